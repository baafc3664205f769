"""What is to be known of a user's file before it is trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rnnbench.config import DataConfig
from rnnbench.data.files.leaks import leaks
from rnnbench.data.load import load
from rnnbench.data.series.windows import SeriesData
from rnnbench.data.text.streams import TextData
from rnnbench.errors import UserError

if TYPE_CHECKING:
    from rnnbench.data.source import Source


def check(data: DataConfig) -> tuple[dict[str, list[str]], SeriesData | TextData]:
    """A user's file: ``file``, ``read``, ``left_out``, ``looks_wrong``, ``baselines``, ``leaks``; and the data, loaded.

    Each is a list of sentences; ``looks_wrong`` has what matters most first. ``leaks`` is what training would know of
    what it is scored on: found by changing the val and test parts and looking at what changes in training; empty where
    nothing does.

    Raises:
        UserError: It cannot be read, or not be trained on.
    """
    source = load(data)
    if not isinstance(source, SeriesData | TextData) or source.notes is None:
        raise UserError(f"data check looks at files of yours, and {data.label!r} is none; see rnnbench data info.")
    found = {"file": [str(data.path)], **findings(source)}
    found["baselines"] = _in_words(source.naive_references())
    return found, source


def findings(source: Source) -> dict[str, list[str]]:
    """What `check` says of data that are loaded, but for the baselines; empty where they are no file of the user's."""
    if not isinstance(source, SeriesData | TextData) or source.notes is None:
        return {}
    notes = source.notes
    return {
        "read": notes.read,
        "left_out": notes.left_out,
        "looks_wrong": notes.warnings,
        "leaks": leaks(source),
    }


def _in_words(references: dict[str, Any]) -> list[str]:
    """``persistence: mse 0.1, mae 0.2`` of NAME_METRIC and their values."""
    baselines: dict[str, list[str]] = {}
    for name, value in references.items():
        baseline, _, metric = name.rpartition("_")
        baselines.setdefault(baseline, []).append(f"{metric} {value:.4g}")
    return [f"{name.replace('_', ' ')}: {', '.join(figures)}" for name, figures in baselines.items()]
