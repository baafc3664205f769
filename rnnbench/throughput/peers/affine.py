"""Run a cell s_t = a_t · s_{t−1} + b_t by somebody else's scan, which starts from zero."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rnnbench.backends.scan import scan
from rnnbench.cells.affine_cell import AffineCell

#: a and b, (B, T, D), to h_t = a_t · h_{t−1} + b_t from h_0 = 0, (B, T, D).
Solve = Callable[[Tensor, Tensor], Tensor]


def run_affine(cell: AffineCell, x: Tensor, s: Tensor, solve: Solve) -> tuple[Tensor, Tensor]:
    """x (B, T, I) and a state (B, *S) → y (B, T, H) and the last state, (B, *S).

    The drive and what is read are the cell's own. The state to start from is folded in, b_1 + a_1 · s, which is exact;
    no scan of others gives the gradient of both the first state and the last.
    """

    def from_zero(a: Tensor, b: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        shape = b.shape
        a, b = (part.to(s.dtype).expand(shape).flatten(2) for part in (a, b))
        b = torch.cat((torch.addcmul(b[:, :1], a[:, :1], s.flatten(1).unsqueeze(1)), b[:, 1:]), dim=1)
        states = solve(a, b).reshape(shape)
        return states, states[:, -1]

    with cell.unrolled():
        u = cell.drive(x)
        states, last = scan(cell, u, s, solve=from_zero)
        return cell.read(states, u), last
