"""mamba-ssm: the selective scan of Mamba's authors."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rnnbench.cells.cell import Cell, wide
from rnnbench.cells.linear.mamba import Mamba
from rnnbench.throughput.external.package import PackageImplementation

#: Δ of an instant at which the state stays what it is: exp(ΔA) is 1 in any float32. A power of two: Δ · (s/Δ) is s.
STILL = 2.0**-40


class SelectiveScan(PackageImplementation):
    """``selective_scan_fn`` in the place of our cell's recurrence, in float32; the drive and the gate stay ours.

    It starts from zero, and there is no gradient of its last state. So the N modes of the state are written one by one
    at N instants before the sequence, and read one by one at N instants after it, which is exact and costs it 2N time
    steps.
    """

    name = "mamba_ssm"
    package = "mamba-ssm"
    module = "mamba_ssm"

    def unfit(self, cell: Cell) -> str | None:
        return None if isinstance(cell, Mamba) else "mamba-ssm's selective scan is for mamba"

    def run(
        self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool
    ) -> tuple[Tensor, Tensor]:
        assert isinstance(cell, Mamba)
        u = cell.drive(x)
        dt, new, z, B, C = u.split(cell.sizes, dim=-1)
        N = cell.state_size
        mode = torch.eye(N, dtype=u.dtype, device=u.device).expand(len(x), N, N)
        scan: Any = import_module("mamba_ssm.ops.selective_scan_interface").selective_scan_fn
        # (B, ·, time), its layout.
        out = scan(
            torch.cat((state / STILL, F.pad(new.mT, (0, N))), dim=-1),
            F.pad(dt.mT, (N, N), value=STILL),
            -torch.exp(wide(cell.A_log)),
            torch.cat((mode, F.pad(B.mT, (0, N))), dim=-1),
            torch.cat((torch.zeros_like(mode), C.mT, mode), dim=-1),
            wide(cell.D),
        )
        y, last = out[..., N:].split((x.shape[1], N), dim=-1)
        return y.mT * F.silu(z), last
