"""`rnnbench cells` stays readable, however narrow the terminal is and however many backends there are."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from rnnbench.cli.cells import listing, show

NAMES = ("torch", "sequence", "scan", "window", "graph", "loop", "compile")


def rows() -> list[dict[str, Any]]:
    """Every registered cell, on seven backends: the widest that this table gets."""
    reasons = {name: f"the backend {name} has its reason" for name in NAMES}
    return [
        row | {"backends": {name: reasons[name] if (i + k) % 3 else None for k, name in enumerate(NAMES)}}
        for i, row in enumerate(listing())
    ]


def shown(found: list[dict[str, Any]], width: int) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    show(found, console)
    return console.export_text()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_table(width: int) -> None:
    found = rows()
    text = shown(found, width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert len(re.findall(r"\n[a-g] the backend \w+ has its reason\n", text.replace("\n", "\n\n"))) == 7, (
        "a line a reason"
    )
    for row in found:
        (line,) = (line for line in lines if line.startswith(f"{row['cell']} ") and ("✓" in line))
        assert line.split()[1:8].count("✓") == [*row["backends"].values()].count(None), "a row's marks are on one line"
        assert f"\n{row['cell']} " in text.split("options, ")[1], "no source"


def test_every_section_is_shown() -> None:
    """A cell whose room had no place in the order would be missing from the table."""
    found = rows()
    assert {row["room"] for row in found} <= {"nonlinear", "linear", "matrix", "baseline", "plugin"}
    assert {"nonlinear"} <= {row["room"] for row in found}
