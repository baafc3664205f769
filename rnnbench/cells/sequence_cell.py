"""Layers that are given a whole sequence: stacks of torch's layers, convolutions, linear attention in chunks."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from rnnbench.cells.cell import Cell


class SequenceCell(Cell):
    """A layer that maps a sequence and what it remembers of earlier ones to outputs, at whatever length.

    The `sequence` backend calls it once; the loop calls it time step by time step, and so do the probes that look at
    every state. A state is the last output and what the layer remembers, side by side: (B, H + M), so that the loss at
    a time step reaches the state of that step, as in any other cell.
    """

    @property
    def memory_shape(self) -> tuple[int, ...]:
        """Shape S of what one sample's layer remembers, M numbers in all; here (H,)."""
        return (self.hidden_size,)

    @abstractmethod
    def sequence(self, u: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, G) from `drive`, the input where that is not overridden, and (B, *S) → y (B, T, H) and the next s.

        For any T ≥ 1, and such that a sequence in pieces, s handed on, gives what the whole gives.
        """

    @property
    def state_shape(self) -> tuple[int, ...]:
        return (self.hidden_size + math.prod(self.memory_shape),)

    def drive(self, x: Tensor) -> Tensor:
        return x

    def layer(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """`sequence` on a state of the cell: (B, T, G), (B, H + M) → y and the next state."""
        y, s = self.sequence(u, state[:, self.hidden_size :].unflatten(1, self.memory_shape))
        return y, torch.cat((y[:, -1], s.flatten(1)), dim=-1).to(state.dtype)

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return self.layer(u.unsqueeze(1), s)[1]

    def read(self, s: Tensor, u: Tensor) -> Tensor:
        return s[..., : self.hidden_size].to(u.dtype)
