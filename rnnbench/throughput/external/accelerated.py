"""Run a cell s_t = a_t · s_{t−1} + b_t by somebody else's scan, which starts from zero."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from rnnbench.backends.scan import scan
from rnnbench.cells.affine_cell import AffineCell
from rnnbench.cells.cell import Cell
from rnnbench.errors import UserError
from rnnbench.throughput.external.package import PackageImplementation

#: a and b, (B, T, D), to h_t = a_t · h_{t−1} + b_t from h_0 = 0, (B, T, D).
Solve = Callable[[Tensor, Tensor], Tensor]


def run_affine(cell: AffineCell, x: Tensor, s: Tensor, solve: Solve) -> tuple[Tensor, Tensor]:
    """x (B, T, I) and a state (B, *S) → y (B, T, H) and the last state, (B, *S).

    The drive and what is read are the cell's own. The state to start from is folded in, b_1 + a_1 · s, which is exact;
    no scan of others gives the gradient of both the first state and the last.
    """

    def from_zero(a: Tensor, b: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        shape = b.shape
        a, b = (part.to(s.dtype).expand(shape).flatten(2) for part in (a, b))
        b = torch.cat((torch.addcmul(b[:, :1], a[:, :1], s.flatten(1).unsqueeze(1)), b[:, 1:]), dim=1)
        states = solve(a, b).reshape(shape)
        return states, states[:, -1]

    with cell.unrolled():
        u = cell.drive(x)
        states, last = scan(cell, u, s, solve=from_zero)
        return cell.read(states, u), last


#: Lengths that the warp's kernel is written for: every power of two between them.
SHORTEST, LONGEST = 32, 65536


class Warp(PackageImplementation):
    """``accelerated_scan.warp``, in CUDA C++, which is compiled at its first import. float32, whatever the layer is in.

    It wants (B, D, T) and one of some lengths: the change of layout and the padding are part of its work.
    """

    name = "accelerated_scan"
    package = "accelerated-scan"
    module = "accelerated_scan"
    complex_states: ClassVar[bool] = False

    def unfit(self, cell: Cell) -> str | None:
        if not isinstance(cell, AffineCell):
            return "accelerated-scan is for states that are elementwise affine in the last one"
        if cell.complex_state and not self.complex_states:
            return "accelerated-scan's warp scan is for real states"
        return None

    def run(
        self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool
    ) -> tuple[Tensor, Tensor]:
        assert isinstance(cell, AffineCell)
        return run_affine(cell, x, state, self.solve)

    def solve(self, a: Tensor, b: Tensor) -> Tensor:
        """(B, T, D) from h_0 = 0."""
        time = b.shape[1]
        if time > LONGEST:
            raise UserError(f"accelerated-scan's warp scan takes at most {LONGEST} time steps, got {time}.")
        more = max(SHORTEST, 1 << (time - 1).bit_length()) - time
        # What comes out behind the sequence's end is thrown away.
        a, b = (F.pad(part.mT, (0, more)).contiguous() for part in (a, b))
        h: Tensor = import_module("accelerated_scan.warp").scan(a, b)
        return h[..., :time].mT


class Triton(Warp):
    """``accelerated_scan.scalar`` and ``accelerated_scan.complex``, in Triton: any length, and complex states too."""

    name = "accelerated_scan_triton"
    complex_states = True

    def solve(self, a: Tensor, b: Tensor) -> Tensor:
        kind = "complex" if torch.is_complex(b) else "scalar"
        h: Tensor = import_module(f"accelerated_scan.{kind}").scan(a.mT.contiguous(), b.mT.contiguous())
        return h.mT
