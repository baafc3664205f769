"""What a cell may need beside its input, and what it is where the data say nothing: an unbroken, even sequence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rnnbench.errors import unknown

if TYPE_CHECKING:
    from rnnbench.cells.cell import Cell

#: By name, what it is, (B, T) float32 each.
SIDE_INPUTS = {
    "time": "when the time step is, in steps since the window's first, or since the beginning of a stream",
    "observed": "1 where the step's input was measured, 0 where the last measured value stands for it",
    "elapsed": "steps since the last measurement before this one, 1 where nothing is missing",
}

Side = Mapping[str, Tensor]


def needed(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Names of what some of the cells need, each once.

    Raises:
        UserError: one that no data have.
    """
    names: dict[str, None] = {}
    for cell in cells:
        for name in cell.needs:
            if name not in SIDE_INPUTS:
                raise unknown(f"side input of {type(cell).__name__}", name, SIDE_INPUTS)
            names[name] = None
    return tuple(names)


def completed(names: Iterable[str], side: Side | None, x: Tensor, begin: int = 0) -> Side | None:
    """These side inputs of x (B, T, …): what ``side`` has of them, and the rest as of an unbroken, even sequence.

    ``begin`` is the time of the first step. None where no name is given.
    """
    out: dict[str, Tensor] = {}
    for name in names:
        if side is not None and name in side:
            out[name] = side[name]
        elif name == "time":
            steps = torch.arange(begin, begin + x.shape[1], dtype=torch.float32, device=x.device)
            out[name] = steps.expand(x.shape[:2])
        else:
            out[name] = torch.ones(x.shape[:2], device=x.device)
    return out or None


def cut(side: Side | None, steps: slice) -> Side | None:
    """The same of some time steps."""
    return None if side is None else {name: value[:, steps] for name, value in side.items()}
