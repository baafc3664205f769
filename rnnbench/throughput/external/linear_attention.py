"""flash-linear-attention: Triton's kernels of HGRN, gated linear attention and the delta rule."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from rnnbench.cells.affine_cell import AffineCell
from rnnbench.cells.cell import Cell
from rnnbench.cells.matrix.deltanet import DeltaNet
from rnnbench.cells.matrix.gla import GLA
from rnnbench.throughput.external.accelerated import run_affine
from rnnbench.throughput.external.package import PackageImplementation

#: Up to this length the package's own layers take the recurrent kernel instead of the one that goes chunk by chunk.
SHORT = 64


class LinearAttention(PackageImplementation):
    """HGRN's kernel for every cell whose state decays, elementwise and real, and those of `gla` and `deltanet`.

    HGRN's is h = exp(g) h + x, so that a decay goes in as its logarithm: 0 < a ≤ 1 is what it can do. Its chunked form
    has no gradient of the first and the last state; they are taken before it and after it. Keys, queries and values
    are in the layer's number format, decays and states in float32, as in the package's layers.
    """

    name = "fla"
    package = "flash-linear-attention"
    module = "fla"

    def unfit(self, cell: Cell) -> str | None:
        if isinstance(cell, GLA | DeltaNet):
            return None
        if not isinstance(cell, AffineCell):
            return "flash-linear-attention has no kernel for this cell"
        if cell.complex_state:
            return "flash-linear-attention's HGRN is for real states"
        return None

    def run(
        self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool
    ) -> tuple[Tensor, Tensor]:
        if isinstance(cell, GLA | DeltaNet):
            return _matrix(cell, x, state)
        assert isinstance(cell, AffineCell)
        return run_affine(cell, x, state, hgrn)


def hgrn(a: Tensor, b: Tensor) -> Tensor:
    """(B, T, D) from h_0 = 0."""
    ops: Any = import_module("fla.ops.hgrn")
    # What is forgotten at once has no logarithm; its gradient would be 0/0.
    log_a = a.clamp_min(torch.finfo(a.dtype).tiny).log()
    h: Tensor = (ops.fused_recurrent_hgrn if b.shape[1] <= SHORT else ops.chunk_hgrn)(b.contiguous(), log_a)[0]
    return h


def _matrix(cell: GLA | DeltaNet, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    u = cell.drive(x)
    factors = cell.factors(u)
    q, k, v = (part.to(x.dtype) for part in (cell.query(u), factors.key, factors.value))
    short = x.shape[1] <= SHORT
    how: dict[str, Any] = {"scale": 1.0, "initial_state": state, "output_final_state": True}
    if factors.beta is None:
        ops: Any = import_module("fla.ops.gla")
        if short:
            o, last = ops.fused_recurrent_gla(q, k, v, gk=factors.log_decay, **how)
        else:
            o, last = ops.chunk_gla(q, k, v, g=factors.log_decay, **how)
    else:
        ops = import_module("fla.ops.delta_rule")
        # By chunks it refuses float32.
        rule = ops.fused_recurrent_delta_rule if short or x.dtype == torch.float32 else ops.chunk_delta_rule
        o, last = rule(q, k, v, factors.beta.squeeze(-1).to(x.dtype), **how)
    return cell.emit(o.to(state.dtype), u), last.to(state.dtype)
