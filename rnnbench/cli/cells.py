"""``rnnbench cells``: which cells there are, their options, and what can run them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from rnnbench.cli.arguments import Parser, cell_list
from rnnbench.cli.output import print_rows, text_table
from rnnbench.errors import UserError, told

if TYPE_CHECKING:
    from rich.console import Console

#: The sections of the table, in order.
_SECTIONS = ("nonlinear", "linear", "matrix", "baseline", "plugin")


def main(argv: Sequence[str]) -> int:
    """List the registry."""
    parser = Parser("cells", "The recurrent cells, their options and their backends.", "a JSON list")
    parser.add_argument("--cell", metavar="NAME,…", help="these alone, also others' and yours: leaky.py:Leaky say")
    parser.add_argument("--peers", action="store_true", help="list other packages' cells instead: --cell PACKAGE:NAME")
    arguments = parser.parse_args(argv)
    if arguments.peers:
        from rnnbench.cells.adapters import external_names

        names = external_names()
        print(json.dumps(names) if arguments.json else "\n".join(names))
        return 0
    asked = None if arguments.cell is None else [cell.name for cell in cell_list(arguments.cell)]
    print_rows(listing(asked), show, arguments.json)
    return 0


def show(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Cells × backends with a letter for why not; below, the letters in words, and each cell's source and options."""
    from rich.text import Text

    letters: dict[str, str] = {}
    backends, texts = rows[0]["backends"], ("source", "options, --cell.NAME VALUE, and defaults")
    table = text_table("cell", *backends, "weights", "state", wrapped=("weights", "state"), centred=backends, gap=1)
    notes = text_table("cell", *texts, wrapped=texts)
    for section in _SECTIONS:
        inside = [row for row in rows if row["room"] == section]
        if inside:
            table.add_row(Text(section, style="italic"))
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
    for row in rows:
        for name, reason in row.get("exempt", {}).items():
            console.print(Text(f"{row['cell']} is exempt from the {name} check: {reason}"))
    console.print("", notes, sep="\n")


def listing(names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """A row a cell; ``backends`` maps each backend to None, or to why it cannot run the cell on this machine.

    names: All that are registered where not given.
    """
    import torch

    from rnnbench.backends import BACKENDS, Request
    from rnnbench.cells import cell_class, cell_names, cell_options, make_cell
    from rnnbench.cells.cell import memory_indices
    from rnnbench.cells.options import plain_default
    from rnnbench.cells.weights import count_weights
    from rnnbench.conformance import formulas
    from rnnbench.system.machine import resolve_device

    request = Request(torch.device(resolve_device("auto")), torch.float32)
    rows = []
    for name in cell_names() if names is None else names:
        cls = cell_class(name)
        row: dict[str, Any] = {"cell": name, "room": _section(cls), "paper": cls.paper}
        row["options"] = {key: plain_default(item.default) for key, item in cell_options(cls).items()}
        if cls.exempt:
            row["exempt"] = dict(cls.exempt)
        row |= {"weights": "", "state": "", "parameters": None, "state_size": None}
        try:
            cell = make_cell(name, 128, 128)
            cell.initial_state(1)
            row["state_size"] = len(memory_indices(cell))
        except Exception as error:  # a plugin's; the others are listed all the same
            reason = str(error).rstrip(".") if isinstance(error, UserError) else f"it raised {told(error)}"
            rows.append(row | {"backends": dict.fromkeys(BACKENDS, reason)})
            continue
        row["weights"], row["state"] = formulas(name)
        counts = count_weights(cell)
        row["parameters"] = counts.trainable
        if counts.frozen:
            row["frozen_parameters"] = counts.frozen
        rows.append(row | {"backends": {backend.name: backend.refusal(cell, request) for backend in BACKENDS.values()}})
    return rows


def _section(cls: type) -> str:
    """The subpackage of `rnnbench.cells` that a cell lives in; ``plugin`` for one from elsewhere."""
    path = cls.__module__.split(".")
    return path[2].removesuffix("s") if path[:2] == ["rnnbench", "cells"] and len(path) == 4 else "plugin"
