"""``rnnbench cells``: which cells there are, their options, and what can run them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rnnbench.commands.arguments import Parser


def main(argv: Sequence[str]) -> int:
    """List the registry."""
    parser = Parser(prog="rnnbench cells", description="The recurrent cells, their options and their backends.")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    arguments = parser.parse_args(argv)
    rows = listing()
    if arguments.json:
        print(json.dumps(rows))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("cell", *rows[0]["backends"], "weights", "state", "source"):
        table.add_column(name)
    notes = []
    for row in rows:
        marks = ["no" if reason else "yes" for reason in row["backends"].values()]
        table.add_row(row["cell"], *marks, f"{row['parameters']:,}", str(row["state_size"]), row["paper"])
        notes += [f"{row['cell']} --cell.{key}, default {value}" for key, value in row["options"].items()]
        notes += [f"{row['cell']} not on {name}: {reason}" for name, reason in row["backends"].items() if reason]
    console = Console()
    console.print(table)
    console.print("\nWeights and state are those of one layer of 128. Options, and why not:", highlight=False)
    for note in notes:
        console.print(f"  {note}", highlight=False)
    return 0


def listing() -> list[dict[str, Any]]:
    """A row a cell; ``backends`` maps each backend to None, or to why it cannot run the cell on this machine."""
    import torch

    from rnnbench.backends import BACKENDS, Request
    from rnnbench.cells import cell_class, cell_names, cell_options, make_cell
    from rnnbench.machine import resolve_device

    request = Request(torch.device(resolve_device("auto")), torch.float32)
    rows = []
    for name in cell_names():
        cell, cls = make_cell(name, 128, 128), cell_class(name)
        rows.append(
            {
                "cell": name,
                "options": {key: item.default for key, item in cell_options(cls).items()},
                "parameters": sum(p.numel() for p in cell.parameters()),
                "state_size": cell.initial_state(1).numel(),
                "backends": {backend.name: backend.refusal(cell, request) for backend in BACKENDS.values()},
                "paper": cls.paper,
            }
        )
    return rows
