"""Linear recurrences in parallel over time: a scan of affine maps, or of a matrix state chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rnnbench.backends.backend import Backend, Request
from rnnbench.backends.chunkwise import chunkwise
from rnnbench.backends.recurrence import recurrence
from rnnbench.cells.affine_cell import AffineCell
from rnnbench.cells.cell import Cell
from rnnbench.cells.matrix_cell import MatrixCell

#: a, which may be one for all of batch and time, b (B, T, …) and a state (B, …) → every state and the last.
Solve = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


class Scan(Backend):
    """All gates at once, then s_t = a_t · s_{t−1} + b_t by a kernel of its own, with its own gradient."""

    name = "scan"

    def refusal(self, cell: Cell, request: Request) -> str | None:
        if isinstance(cell, AffineCell):
            return None
        if not isinstance(cell, MatrixCell):
            return "its next state is not linear in the last one"
        if request.tap or request.states:
            return "inside a chunk a matrix state is never formed, so that no tap reaches it and none is returned"
        return None

    def run(
        self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool
    ) -> tuple[Tensor, Tensor]:
        with cell.unrolled():
            u = cell.drive(x)
            if isinstance(cell, MatrixCell):
                o, last = chunkwise(cell.factors(u), cell.query(u), state)
                return cell.emit(o, u), last
            assert isinstance(cell, AffineCell)
            states, last = scan(cell, u, state, tap)
            return cell.read(states, u), states if return_states else last


def scan(
    cell: AffineCell, u: Tensor, s: Tensor, tap: Tensor | None = None, solve: Solve = recurrence
) -> tuple[Tensor, Tensor]:
    """Every state (B, T, *S) and the last. A tap is one more addend of b: s_t = a_t s_{t−1} + (b_t + tap_t)."""
    waiting = None
    if cell.delay:
        waiting = u[..., -cell.delay :].to(s.dtype)
        s, first = s[..., : -cell.delay], s[..., -cell.delay :]
        if tap is not None:
            tap, late = tap[..., : -cell.delay], tap[..., -cell.delay :]
            waiting = waiting + late
        arrived = torch.cat((first.unsqueeze(1), waiting[:, :-1]), dim=1)
        u = torch.cat((u[..., : -cell.delay], arrived), dim=-1)
    a, b = cell.affine(u)
    if cell.complex_state:
        s = torch.view_as_complex(s)
        tap = torch.view_as_complex(tap) if tap is not None else None
    # a may be the same for all of batch and time; b's shape is the whole one.
    b = b.expand(*u.shape[:2], *s.shape[1:])
    states, last = solve(a, b if tap is None else b + tap, s)
    if cell.complex_state:
        return torch.view_as_real(states), torch.view_as_real(last)
    if waiting is not None:
        return torch.cat((states, waiting), dim=-1), torch.cat((last, waiting[:, -1]), dim=-1)
    return states, last
