"""The reference: a loop over time in Python, for any cell, with the state perturbation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rnnbench.backends.backend import Backend, Output, Request
from rnnbench.cells.cell import Cell

#: States that are so many times as large as the outputs and over all steps take so many bytes are read one by one, and
#: not kept. A `read` at each step takes longer (a half, of `mlstm` at B 16, H 128), so that smaller ones are stacked.
TIMES, BYTES = 4, 2**26


class Loop(Backend):
    """s_t = step(u_t, s_{t−1}) + tap_t, one step after the other. Every other backend is checked against it.

    States that are large, a matrix say, are not kept over time unless they are asked for.
    """

    name = "loop"

    def refusal(self, cell: Cell, request: Request) -> str | None:
        return None

    def run(self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool) -> Output:
        with cell.unrolled():
            u = cell.driven(x)
            taps = tap.unbind(1) if tap is not None else None
            size = math.prod(cell.state_shape)
            large = size > TIMES * cell.hidden_size and u.shape[1] * state.numel() * state.element_size() > BYTES
            at_once = large and not return_states
            kept = []
            for t, u_t in enumerate(u.unbind(1)):
                state = cell.step(u_t, state)
                if taps is not None:
                    state = state + taps[t]
                kept.append(cell.read(state.unsqueeze(1), u_t.unsqueeze(1)) if at_once else state)
            if at_once:
                return torch.cat(kept, dim=1), state
            every = torch.stack(kept, dim=1)
            return cell.read(every, u), every if return_states else state
