"""A study as its dashboard sees it: what it logs, how its runs are grouped, in which colours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.report.dashboard.panels import Logged, PanelSection, config_value, logged, sections, study_name
from rnnbench.report.results import Result, read
from rnnbench.report.statistics import group
from rnnbench.report.task_families import TASK_FAMILIES

#: Nested groups beyond these are a tangle: the cell, the length, and two settings more.
LEVELS = 4


@dataclass(frozen=True)
class View:
    """What workspace and report are made from.

    Args:
        study: Its name, which is W&B's group.
        results: Its finished jobs.
        logged: All keys that they log.
        grouping: Config keys by which runs are grouped: the cell first, then what else varies but the seed.
        colors: A colour for each group: the values of the grouping's keys, as W&B writes them.
        sections: The panels.
    """

    study: str
    results: tuple[Result, ...]
    logged: Logged
    grouping: tuple[str, ...]
    colors: dict[tuple[str, ...], str]
    sections: tuple[PanelSection, ...]


def view(folder: Path) -> View:
    """Read a study's ledger.

    Raises:
        UserError: The folder is none, holds no finished run, or runs of several studies.
    """
    results = read([folder])
    train = [result for result in results if result.kind == "train"]
    found = logged(results)
    grouping = _grouping(train)
    kinds = [kind for kind in TASK_FAMILIES if kind in {result.data_set.kind for result in train}]
    return View(
        study_name(results, folder),
        tuple(results),
        found,
        grouping,
        _colors(train, grouping),
        tuple(sections(kinds, [result.seq_len for result in results], found)),
    )


def _grouping(train: Sequence[Result]) -> tuple[str, ...]:
    """cell_label, dataset, seq_len, and the other settings in which groups differ; for timings the length."""
    if not train:
        return ("seq_len",)
    names = ["cell_label"]
    names += [name for name in ("dataset", "seq_len") if len({config_value(r, name) for r in train}) > 1]
    extras = {name for g in group(train) for name, _ in g.extras if not name.startswith("environment.")}
    return tuple((names + sorted(extras - {"data.name", "data.path", "data.seq_len"}))[:LEVELS])


def _colors(train: Sequence[Result], grouping: Sequence[str]) -> dict[tuple[str, ...], str]:
    """A cell's own colour, lighter and lighter for its groups, the last of them (the longest T) in full."""
    from rnnbench.report.figures.style import looks

    if not train:
        return {}
    style = looks([result.cell for result in train])
    colors: dict[tuple[str, ...], str] = {}
    for cell in style:
        values = {tuple(config_value(r, name) for name in grouping) for r in train if r.cell == cell}
        paths = sorted(values, key=lambda path: [_sortable(value) for value in path])
        for index, path in enumerate(paths):
            share = 1.0 if len(paths) == 1 else 0.4 + 0.6 * index / (len(paths) - 1)
            colors[tuple(map(_as_written, path))] = _towards_white(style[cell].color, share)
    return colors


def _sortable(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, before all else by name."""
    number = isinstance(value, int | float)
    return not number, float(value) if number else 0.0, str(value)


def _as_written(value: Any) -> str:
    """As JSON has it, strings without their quotes."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _towards_white(color: str, share: float) -> str:
    """A colour of which only so much is left, #RRGGBB."""
    parts = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(255 - share * (255 - part)):02X}" for part in parts)
