"""``rnnbench cells``: which cells there are, their options, and what can run them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from rnnbench.cli.arguments import Parser
from rnnbench.cli.output import print_rows
from rnnbench.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

#: The order of the rooms in the table.
_ROOMS = ("nonlinear", "linear", "matrix", "yardstick", "plugin")


def main(argv: Sequence[str]) -> int:
    """List the registry."""
    parser = Parser(prog="rnnbench cells", description="The recurrent cells, their options and their backends.")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.add_argument("--peers", action="store_true", help="list other packages' cells instead: --cell PACKAGE:NAME")
    arguments = parser.parse_args(argv)
    if arguments.peers:
        from rnnbench.cells.adapters import external_names

        names = external_names()
        print(json.dumps(names) if arguments.json else "\n".join(names))
        return 0
    print_rows(listing(), show, arguments.json)
    return 0


def show(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Cells × backends with a letter for why not; below, the letters in words, and each cell's source and options."""
    from rich.table import Table
    from rich.text import Text

    letters: dict[str, str] = {}
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("cell", no_wrap=True)
    for name in rows[0]["backends"]:
        table.add_column(name, justify="center", no_wrap=True)
    table.add_column("weights")
    table.add_column("state")
    notes = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("cell", "source", "options, --cell.NAME VALUE, and defaults"):
        notes.add_column(name, no_wrap=name == "cell")
    for room in _ROOMS:
        inside = [row for row in rows if row["room"] == room]
        if inside:
            table.add_row(Text(room, style="italic"))
        for row in inside:
            marks = [
                "✓" if reason is None else letters.setdefault(reason, ascii_lowercase[len(letters)])
                for reason in row["backends"].values()
            ]
            table.add_row(*map(Text, (row["cell"], *marks, row["weights"], row["state"])))
            options = ", ".join(f"{key} {json.dumps(value)}" for key, value in row["options"].items())
            notes.add_row(*map(Text, (row["cell"], row["paper"], options)))
    console.print(table)
    console.print("\n✓ runs on this machine. Weights and state are those of one layer, I wide at its input and H wide.")
    for reason, letter in letters.items():
        console.print(Text(f"{letter} {reason}"))
    console.print()
    console.print(notes)


def listing() -> list[dict[str, Any]]:
    """A row a cell; ``backends`` maps each backend to None, or to why it cannot run the cell on this machine."""
    import torch

    from rnnbench.backends import BACKENDS, Request
    from rnnbench.cells import cell_class, cell_names, cell_options, make_cell
    from rnnbench.conformance import formulas
    from rnnbench.system.machine import resolve_device

    request = Request(torch.device(resolve_device("auto")), torch.float32)
    rows = []
    for name in cell_names():
        cls = cell_class(name)
        row: dict[str, Any] = {"cell": name, "room": _room(cls), "paper": cls.paper}
        row["options"] = {key: item.default for key, item in cell_options(cls).items()}
        try:
            cell = make_cell(name, 128, 128)
        except UserError as error:  # a stranger's; the others are listed all the same
            reasons = dict.fromkeys(BACKENDS, str(error).rstrip("."))
            rows.append(row | {"weights": "", "state": "", "parameters": None, "state_size": None, "backends": reasons})
            continue
        weights, state = formulas(name)
        rows.append(
            row
            | {
                "weights": weights,
                "state": state,
                "parameters": sum(p.numel() for p in cell.parameters()),
                "state_size": cell.initial_state(1).numel(),
                "backends": {backend.name: backend.refusal(cell, request) for backend in BACKENDS.values()},
            }
        )
    return rows


def _room(cls: type) -> str:
    """The folder of `rnnbench.cells` that a cell lives in; ``plugin`` for one from elsewhere."""
    path = cls.__module__.split(".")
    return path[2].removesuffix("s") if path[:2] == ["rnnbench", "cells"] and len(path) == 4 else "plugin"
