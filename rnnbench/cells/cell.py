"""The cell contract: what sees all of time at once is apart from what sees one instant."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn


class Cell(nn.Module, ABC):
    """A recurrence s_t = step(u_t, s_{t−1}) with u = drive(x) and y = read(s, u).

    A subclass declares its parameters and the three functions; a backend owns the loop over time. ``step`` is a pure
    function of tensors: no in-place writes and no branch on values, so that it can be traced, vmapped and
    differentiated. The state is one explicit tensor, float32 at least.

    Args:
        input_size: Width I of the input.
        hidden_size: Width H of what the next layer reads.

    Further keyword arguments of a subclass are its options: ``--cell.NAME VALUE`` on the command line.
    """

    #: What `rnnbench cells` says of it, and where it is from.
    paper: ClassVar[str] = ""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size

    @property
    def state_shape(self) -> tuple[int, ...]:
        """Shape S of one sample's state."""
        return (self.hidden_size,)

    @property
    def torch_mode(self) -> str | None:
        """``RNN_TANH``, ``RNN_RELU``, ``LSTM`` or ``GRU`` where this is torch's own maths, weights in torch's order."""
        return None

    def initial_state(self, batch: int) -> Tensor:
        """Zeros, (B, *S), on the parameters' device, in their dtype but never below float32."""
        weight = next(self.parameters())
        dtype = torch.promote_types(weight.dtype, torch.float32)
        return torch.zeros(batch, *self.state_shape, dtype=dtype, device=weight.device)

    @abstractmethod
    def drive(self, x: Tensor) -> Tensor:
        """(B, T, I) → (B, T, G): all that depends on the input alone, over all time at once."""

    @abstractmethod
    def step(self, u: Tensor, s: Tensor) -> Tensor:
        """(B, G), (B, *S) → (B, *S): one instant, all of the recurrence."""

    def read(self, s: Tensor, u: Tensor) -> Tensor:
        """States (B, T, *S) and drives (B, T, G) → (B, T, H): what the next layer sees. The state itself by default."""
        return s

    def reset_parameters(self) -> None:
        """torch's own initialisation of recurrent layers: every parameter uniform in ±1/√H, in order of declaration."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)


class AffineCell(Cell):
    """A cell whose recurrence is s_t = a(u_t) · s_{t−1} + b(u_t); `step` follows from it, so that they cannot drift."""

    @abstractmethod
    def affine(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """(…, G) → a and b, each broadcastable to (…, *S)."""

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        a, b = self.affine(u)
        return a * s + b
