"""The form that a scan runs in parallel over time: the next state is elementwise affine in the last one."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from rnnbench.cells.cell import Cell


class AffineCell(Cell):
    """A cell whose recurrence is s_t = a(u_t) · s_{t−1} + b(u_t); `step` follows from it, so that they cannot drift.

    Two variations that papers need:

    * ``complex_state``: the state's last axis is (real, imaginary) and `affine` returns complex a and b of its shape
      less that axis.
    * ``delay`` = P > 0: the last P features of u act one time step later (a convolution over x_{t−1} and x_t is two
      products, one of them delayed). The state is flat then, (M + P,): M of the recurrence, P that wait; `affine`
      finds in the last P features of its u what waited, and returns a and b of (…, M).
    """

    complex_state: ClassVar[bool] = False
    delay: int = 0

    @abstractmethod
    def affine(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """(…, G) → a and b, each broadcastable to (…, *S)."""

    def _arrived(self, u: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """With a delay: what acts now, (…, G) for `affine`, and the memory that it acts on, (…, M)."""
        memory, waiting = s[..., : -self.delay], s[..., -self.delay :]
        return torch.cat((u[..., : -self.delay], waiting), dim=-1), memory

    def gate_values(self, u: Tensor, s: Tensor) -> dict[str, Tensor]:
        """``decay``: |a|, how much of each number of the old state (of the recurrence, where some wait) is kept."""
        now, memory = self._arrived(u, s) if self.delay else (u, s)
        a, _ = self.affine(now)
        return {"decay": a.abs().expand(memory.shape[:-1] if self.complex_state else memory.shape)}

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        now, memory = self._arrived(u, s) if self.delay else (u, s)
        a, b = self.affine(now)
        if self.complex_state:
            return torch.view_as_real(a * torch.view_as_complex(memory) + b)
        if self.delay:
            return torch.cat((a * memory + b, u[..., -self.delay :].to(s.dtype)), dim=-1)
        return a * memory + b
