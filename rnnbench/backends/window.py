"""All time steps at once, for cells whose state is a window of past entries: Transformer and convolution."""

from __future__ import annotations

import torch
from torch import Tensor

from rnnbench.backends.backend import Backend, Output, Request
from rnnbench.cells.cell import Cell
from rnnbench.cells.window_cell import WindowCell


class Window(Backend):
    """Computes each entry once and looks at all windows together, where the loop holds T windows of W entries.

    Where the cell has a ``block``, that many time steps are looked at together: attention of T steps to all W − 1 + T
    entries would mostly be masked.
    """

    name = "window"

    def refusal(self, cell: Cell, request: Request) -> str | None:
        if not isinstance(cell, WindowCell):
            return "its state is not a window of past inputs"
        if request.tap:
            return "windows that share their entries take no tap: it would change one time step's copy of them"
        if request.states:
            return "it keeps the last state only, not every state"
        return None

    def run(self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool) -> Output:
        assert isinstance(cell, WindowCell)
        with cell.unrolled():
            u = cell.driven(x)
            # The oldest entry of the state has left the first new window: W − 1 + T remain.
            entries = torch.cat((state[:, 1:], cell.entry(u).to(state.dtype)), dim=1)
            return _look(cell, entries, u), entries[:, -cell.window :]


def _look(cell: WindowCell, entries: Tensor, u: Tensor) -> Tensor:
    """`look`, in blocks as rows of one batch, and the rest that fills no block by itself."""
    if cell.block is None or u.shape[1] <= cell.block:
        return cell.look(entries, u)
    past, whole = cell.window - 1, u.shape[1] // cell.block * cell.block
    seen = entries[:, : past + whole].unfold(1, past + cell.block, cell.block).transpose(2, 3)
    now = u[:, :whole].unflatten(1, (-1, cell.block))
    y = cell.look(seen.flatten(0, 1), now.flatten(0, 1)).reshape(len(u), whole, cell.hidden_size)
    if whole == u.shape[1]:
        return y
    return torch.cat((y, cell.look(entries[:, whole:], u[:, whole:])), dim=1)
