"""The reference: a loop over time in Python, for any cell, with the state perturbation."""

from __future__ import annotations

import torch
from torch import Tensor

from rnnbench.backends.backend import Backend, Output, Request
from rnnbench.cells.cell import Cell


class Loop(Backend):
    """s_t = step(u_t, s_{t−1}) + tap_t, one step after the other. Every other backend is checked against it."""

    name = "loop"

    def refusal(self, cell: Cell, request: Request) -> str | None:
        return None

    def run(self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool) -> Output:
        with cell.unrolled():
            u = cell.driven(x)
            taps = tap.unbind(1) if tap is not None else None
            states = []
            for t, u_t in enumerate(u.unbind(1)):
                state = cell.step(u_t, state)
                if taps is not None:
                    state = state + taps[t]
                states.append(state)
            every = torch.stack(states, dim=1)
            return cell.read(every, u), every if return_states else state
