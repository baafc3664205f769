"""What every line of a table over groups of runs begins with: which runs they are, and how many of them are done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnnbench.report.statistics import Group
from rnnbench.report.tables.table import MISSING, Column


def first_columns(groups: Sequence[Group]) -> list[Column]:
    """Cell, data where they differ, T (or K), and whatever else tells the groups apart."""
    several_data = len({g.data for g in groups}) > 1
    return [
        Column("cell", "cell", 0, left=True),
        *([Column("data", "data", 0, left=True)] if several_data else []),
        Column("length", groups[0].symbol, 0),
        *(Column(name, name.rsplit(".", 1)[-1], 1, left=True) for name, _ in groups[0].extras),
    ]


def first_entries(g: Group) -> tuple[dict[str, Any], dict[str, str]]:
    """A group's raw numbers and texts for `first_columns`, and for a column ``seeds``."""
    raw: dict[str, Any] = {"cell": g.cell, "data": g.data, "length": g.length, **dict(g.extras)}
    raw |= {"done": len(g.done), "all": len(g.results)}
    text = {"cell": g.cell, "data": g.data, "length": str(g.length), "seeds": f"{len(g.done)}/{len(g.results)}"}
    return raw, text | {name: MISSING if value is None else _short(value) for name, value in g.extras}


def _short(value: object) -> str:
    """As it was given, but for a number that was drawn at random, of which nobody reads twelve digits."""
    text = str(value)
    return f"{value:.4g}" if isinstance(value, float) and len(text) > 7 else text
