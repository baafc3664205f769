"""Run a cell s_t = a_t · s_{t−1} + b_t by somebody else's scan, which starts from zero."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rnnbench.cells.affine_cell import AffineCell

#: a and b, (B, T, D), to h_t = a_t · h_{t−1} + b_t from h_0 = 0, (B, T, D).
Solve = Callable[[Tensor, Tensor], Tensor]


def run_affine(cell: AffineCell, x: Tensor, s: Tensor, solve: Solve) -> tuple[Tensor, Tensor]:
    """x (B, T, I) and a state (B, *S) → y (B, T, H) and the last state, (B, *S).

    The drive and what is read are the cell's own. The state to start from is folded in, b_1 + a_1 · s, which is exact;
    no scan of others gives the gradient of both the first state and the last.
    """
    with cell.unrolled():
        u = now = cell.drive(x)
        late = u[..., u.shape[-1] - cell.delay :].to(s.dtype)
        if cell.delay:  # what acts an instant later arrives with the next instant's drive
            s, first = s[..., : -cell.delay], s[..., -cell.delay :]
            arrived = torch.cat((first.unsqueeze(1), late[:, :-1]), dim=1)
            now = torch.cat((u[..., : -cell.delay], arrived), dim=-1)
        if cell.complex_state:
            s = torch.view_as_complex(s)
        a, b = cell.affine(now)
        shape = (*x.shape[:2], *s.shape[1:])
        a, b = (part.to(s.dtype).expand(shape).flatten(2) for part in (a, b))
        b = torch.cat((torch.addcmul(b[:, :1], a[:, :1], s.flatten(1).unsqueeze(1)), b[:, 1:]), dim=1)
        states = solve(a, b).reshape(shape)
        if cell.complex_state:
            states = torch.view_as_real(states)
        elif cell.delay:
            states = torch.cat((states, late), dim=-1)
        return cell.read(states, u), states[:, -1]
