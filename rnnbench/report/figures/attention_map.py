"""Where a decoder looked for each symbol that it wrote."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnbench.report.figures.style import canvas, file_name, save
from rnnbench.report.results import Result
from rnnbench.runs import SAMPLES, friendly
from rnnbench.runs.packs import read_text

#: Inches a symbol, and the least of a side.
PITCH, LEAST = 0.17, 1.5


def attention_figure(results: Sequence[Result], folder: Path, formats: set[str]) -> list[Path]:
    """For each cell and data set, ``attention-DATA-CELL-T…``: of its first finished seed over one test example.

    results: those without attention are passed over.
    """
    written: list[Path] = []
    drawn: set[str] = set()
    for result in sorted(results, key=lambda one: int(one.run.get("seed") or 0)):
        name = f"attention-{result.data}-{result.cell}-T{result.seq_len}" if result.kind == "train" else ""
        if not result.done or not name or name in drawn:
            continue
        example = _example(result.folder)
        if example is not None:
            drawn.add(name)
            written += _draw(example, folder / file_name(name), formats, f"Where does {result.cell} look?")
    return written


def picture(example: Mapping[str, Any], path: Path) -> None:
    """One example's attention as a picture; raises `UserError` where the file cannot be written."""
    with friendly(path.parent):
        _draw(example, path, {path.suffix[1:]}, "Where does the decoder look?")


def _example(folder: Path) -> Mapping[str, Any] | None:
    """The first example with attention, None where there is none; of an unreadable file a line on stderr."""
    try:
        examples = json.loads(read_text(folder, SAMPLES))
        return next((one for one in examples if one.get("attention")), None)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        print(f"rnnbench: skipped {folder / SAMPLES}: {type(error).__name__}: {error}", file=sys.stderr)
        return None


def _draw(example: Mapping[str, Any], path: Path, formats: set[str], title: str) -> list[Path]:
    """Symbols read from left to right, symbols written from top to bottom; the darker, the more was looked at."""
    weights = example["attention"]
    read, written = _labels(example["source"], len(weights[0])), _labels(example["decoded"], len(weights))
    width, height = max(LEAST, PITCH * len(read)) + 2.4, max(LEAST, PITCH * len(written)) + 1.6
    with canvas(width=width, height=height) as (figure, (axes,)):
        image = axes.imshow(weights, cmap="Blues", vmin=0.0, vmax=1.0, aspect="equal", interpolation="nearest")
        letters: dict[str, Any] = {"family": "monospace", "fontsize": 9, "parse_math": False}
        axes.set_xticks(range(len(read)), read, **letters)
        axes.set_yticks(range(len(written)), written, **letters)
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.tick_params(length=0)
        axes.grid(visible=False)
        for side in axes.spines.values():
            side.set_visible(False)
        axes.set(title=title, xlabel="read", ylabel="written")
        bar = figure.colorbar(image, ax=axes, shrink=0.6, ticks=[0.0, 0.5, 1.0])
        bar.set_label("weight α")
        return save(figure, path, formats)


def _labels(symbols: Any, count: int) -> list[str]:
    """A string's characters, blanks made visible, and the end; where numbers were read, steps by number."""
    if not isinstance(symbols, str):
        return [str(step) for step in range(count)]
    shown = ["␣" if symbol == " " else symbol for symbol in symbols[:count]]
    return shown + ["end"] * (count - len(shown))
