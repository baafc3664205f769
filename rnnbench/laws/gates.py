"""The law of what a cell says of its gates, which pictures are made of."""

from __future__ import annotations

import torch

from rnnbench.cells.affine_cell import AffineCell
from rnnbench.laws.finding import Broken
from rnnbench.laws.subject import B, Subject, largest


def gates(subject: Subject, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """`gate_values` gives numbers in 0 … 1, row by row as `step` does; a cell without gates gives none.

    The decay of an affine cell may be above 1: that it grows is its own affair.
    """
    cell, sample = subject.cell(dtype), subject.sample(dtype)
    with torch.no_grad():
        u, s = cell.drive(sample.x)[:, 0], sample.state
        values, turned = cell.gate_values(u, s), cell.gate_values(u.roll(1, 0), s.roll(1, 0))
    for name, value in values.items():
        if value.shape[:1] != (B,):
            raise Broken(f"gate_values gives for {name} {tuple(value.shape)}, expected (B, …) = ({B}, …)")
        highest = float("inf") if name == "decay" and isinstance(cell, AffineCell) else 1 + 1e-6
        low, high = float(value.min()), float(value.max())
        if not (low >= -1e-6 and high <= highest):
            raise Broken(f"gate_values gives for {name} from {low:.3g} to {high:.3g}, expected 0 … 1")
        if largest(turned[name] - value.roll(1, 0)) > 1e-6:
            raise Broken(f"gate_values gives for {name} what changes with the rows beside it")
    return None, ""
