"""The form of what is no recurrence: the state is the last W entries, and everything sees them at once."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from rnnbench.cells.cell import Cell


class WindowCell(Cell):
    """A cell whose state is a shift register of (W, E): the last W entries, oldest first, zeros before the beginning.

    So a Transformer with a window, or a convolution, is a cell like any other: it carries its state over chunks, takes
    a tap and is probed. `step` and `read` follow from `entry` and `look`. An entry must say itself that it is one (a
    last feature of 1, say), where the zeros before the beginning are not to be taken for an input.

    Args:
        window: W: how many time steps an output depends on, its own included.
        entry_size: E: width of what is remembered of a time step.
        block: How many time steps the window backend looks at once, where the work of `look` grows with T · (T + W);
            None, all of them, where it grows with T + W.
    """

    def __init__(
        self, input_size: int, hidden_size: int, window: int, entry_size: int, block: int | None = None
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.window, self.entry_size, self.block = window, entry_size, block

    @property
    def state_shape(self) -> tuple[int, ...]:
        return (self.window, self.entry_size)

    @abstractmethod
    def entry(self, u: Tensor) -> Tensor:
        """(…, G) → (…, E): what is remembered of a time step."""

    @abstractmethod
    def look(self, entries: Tensor, u: Tensor) -> Tensor:
        """Entries (B, W − 1 + T, E) and u (B, T, G) → (B, T, H); output t depends on entries t … t + W − 1 only."""

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return torch.cat((s[:, 1:], self.entry(u).unsqueeze(1).to(s.dtype)), dim=1)

    def read(self, s: Tensor, u: Tensor) -> Tensor:
        # Each time step by itself, with its own window: one output a row.
        batch, time = u.shape[:2]
        return self.look(s.flatten(0, 1), u.flatten(0, 1).unsqueeze(1)).reshape(batch, time, self.hidden_size)
