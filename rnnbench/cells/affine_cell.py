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
    * ``delay`` = P > 0: the last P features of u act one instant later (a convolution over x_{t−1} and x_t is two
      products, one of them delayed). The state is flat then, (M + P,): M of the recurrence, P that wait; `affine`
      finds in the last P features of its u what waited, and returns a and b of (…, M).
    """

    complex_state: ClassVar[bool] = False
    delay: int = 0

    @abstractmethod
    def affine(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """(…, G) → a and b, each broadcastable to (…, *S)."""

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        if self.delay:
            memory, waiting = s[..., : -self.delay], s[..., -self.delay :]
            a, b = self.affine(torch.cat((u[..., : -self.delay], waiting), dim=-1))
            return torch.cat((a * memory + b, u[..., -self.delay :].to(s.dtype)), dim=-1)
        a, b = self.affine(u)
        if self.complex_state:
            return torch.view_as_real(a * torch.view_as_complex(s) + b)
        return a * s + b
