"""The whole sequence at once, for layers that take one."""

from __future__ import annotations

from torch import Tensor

from rnnbench.backends.backend import Backend, Output, Request
from rnnbench.cells.cell import Cell
from rnnbench.cells.sequence_cell import SequenceCell


class Sequence(Backend):
    """One call of the layer, where the loop makes one a time step."""

    name = "sequence"

    def refusal(self, cell: Cell, request: Request) -> str | None:
        if not isinstance(cell, SequenceCell):
            return "it declares a time step, not a whole sequence"
        if request.tap or request.states:
            return "no state inside a sequence leaves the layer, so that no tap reaches one and none is returned"
        return None

    def run(self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool) -> Output:
        assert isinstance(cell, SequenceCell)
        with cell.unrolled():
            return cell.layer(cell.driven(x), state)
