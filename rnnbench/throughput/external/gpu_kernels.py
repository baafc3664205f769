"""Kernels of other packages for GPUs: FlashRNN, flash-linear-attention, mamba-ssm and accelerated-scan."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from rnnbench.backends.backend import Output
from rnnbench.backends.scan import scan
from rnnbench.cells.affine_cell import AffineCell
from rnnbench.cells.cell import Cell, wide
from rnnbench.cells.linear.mamba import Mamba
from rnnbench.cells.matrix.deltanet import DeltaNet
from rnnbench.cells.matrix.gla import GLA
from rnnbench.cells.nonlinear.gru import GRU
from rnnbench.cells.nonlinear.lstm import LSTM
from rnnbench.cells.nonlinear.rnn import RNN
from rnnbench.cells.nonlinear.slstm import SLSTM
from rnnbench.errors import UserError
from rnnbench.throughput.external.package import PackageImplementation

# --- FlashRNN: recurrent kernels that keep the recurrent matrix on the chip --------------------------------------


class FlashRNN(PackageImplementation):
    """The package's ``elman`` and ``lstm`` after our input product, the product with R inside of its kernel.

    All of the state is one head. It compiles itself for each size, which takes minutes, with nvcc. States are in the
    layer's number format; where that is float32, products are in TF32.
    """

    name = "flashrnn"
    package = "flashrnn"
    module = "flashrnn"
    #: The package's name for this way, and for the cells that it supports in it.
    kernels: ClassVar[str] = "cuda_fused"
    functions: ClassVar[dict[str, str]] = {"RNN_TANH": "elman", "LSTM": "lstm"}

    def unfit(self, cell: Cell) -> str | None:
        if isinstance(cell, SLSTM):
            return "flashrnn's sLSTM passes no gradient through the stabiliser of the last state"
        if not isinstance(cell, RNN | LSTM | GRU) or cell.torch_mode not in self.functions:
            return f"flashrnn has no kernel {self.kernels} for this cell"
        return None

    def run(self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool) -> Output:
        assert isinstance(cell, RNN | LSTM | GRU)
        flashrnn: Any = import_module(self.module)
        wx, R, b = _flashrnn_arguments(cell, x)
        # A state (B, H) or (B, S, H) becomes (S, B, 1, 1, H): one time step, one head.
        parts = state.to(x.dtype).reshape(len(x), -1, 1, 1, cell.hidden_size).transpose(0, 1)
        states, last = flashrnn.flashrnn(
            wx,
            R,
            b,
            states=parts,
            function=self.functions[str(cell.torch_mode)],
            backend=self.kernels,
            dtype=str(x.dtype).removeprefix("torch."),
        )
        return states[0, :, :, 0], last.transpose(0, 1).reshape(state.shape).to(state.dtype)


class AlternatingFlashRNN(FlashRNN):
    """The other way: cuBLAS for the product with R and a kernel for the rest, in turn; the GRU, too."""

    name = "flashrnn_alternating"
    kernels = "cuda"
    functions: ClassVar[dict[str, str]] = {**FlashRNN.functions, "GRU": "gru"}


def _flashrnn_arguments(cell: RNN | LSTM | GRU, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Wx (B, T, G, 1, H), R (G', 1, H, H) and the biases beside it, (G'', 1, H)."""
    H, u = cell.hidden_size, cell.drive(x)
    R: Tensor = cell.weight_hh
    if isinstance(cell, GRU):
        # Gates of its R are [n, r, z], of Wx [r, z, n], and of the biases [n inside the bracket, r, z, n outside].
        order = [2, 0, 1]
        R = torch.cat([R.chunk(3)[i] for i in order])
        biases = [cell.bias_hh.chunk(3)[i] for i in order]
        b = torch.cat([*biases, torch.zeros_like(biases[0])])
    else:
        b = torch.zeros_like(cell.bias_hh)  # our drive has both biases in it
    return u.unflatten(-1, (-1, 1, H)), R.view(-1, 1, H, H), b.view(-1, 1, H)


# --- scans of s_t = a_t · s_{t−1} + b_t that start from zero ------------------------------------------------------

#: a and b, (B, T, D), to h_t = a_t · h_{t−1} + b_t from h_0 = 0, (B, T, D).
Solve = Callable[[Tensor, Tensor], Tensor]


def run_affine(cell: AffineCell, x: Tensor, s: Tensor, solve: Solve) -> Output:
    """x (B, T, I) and a state (B, *S) → y (B, T, H) and the last state, (B, *S).

    The drive and the readout are the cell's own. The state to start from is folded in, b_1 + a_1 · s, which is exact;
    no scan of another package gives the gradient of both the first state and the last.
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


class WarpScan(PackageImplementation):
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

    def run(self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool) -> Output:
        assert isinstance(cell, AffineCell)
        return run_affine(cell, x, state, self.solve)

    def solve(self, a: Tensor, b: Tensor) -> Tensor:
        """(B, T, D) from h_0 = 0."""
        time = b.shape[1]
        if time > LONGEST:
            raise UserError(f"accelerated-scan's warp scan takes at most {LONGEST} time steps, got {time}.")
        more = max(SHORTEST, 1 << (time - 1).bit_length()) - time
        # The results of the padding behind the sequence's end are dropped.
        a, b = (F.pad(part.mT, (0, more)).contiguous() for part in (a, b))
        h: Tensor = import_module("accelerated_scan.warp").scan(a, b)
        return h[..., :time].mT


class TritonScan(WarpScan):
    """``accelerated_scan.scalar`` and ``accelerated_scan.complex``, in Triton: any length, and complex states too."""

    name = "accelerated_scan_triton"
    complex_states = True

    def solve(self, a: Tensor, b: Tensor) -> Tensor:
        kind = "complex" if torch.is_complex(b) else "scalar"
        h: Tensor = import_module(f"accelerated_scan.{kind}").scan(a.mT.contiguous(), b.mT.contiguous())
        return h.mT


# --- flash-linear-attention: HGRN, gated linear attention and the delta rule --------------------------------------

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

    def run(self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool) -> Output:
        if isinstance(cell, GLA | DeltaNet):
            return _run_matrix(cell, x, state)
        assert isinstance(cell, AffineCell)
        return run_affine(cell, x, state, _hgrn)


def _hgrn(a: Tensor, b: Tensor) -> Tensor:
    """(B, T, D) from h_0 = 0."""
    ops: Any = import_module("fla.ops.hgrn")
    # A decay of 0 has no logarithm; its gradient would be 0/0.
    log_a = a.clamp_min(torch.finfo(a.dtype).tiny).log()
    h: Tensor = (ops.fused_recurrent_hgrn if b.shape[1] <= SHORT else ops.chunk_hgrn)(b.contiguous(), log_a)[0]
    return h


def _run_matrix(cell: GLA | DeltaNet, x: Tensor, state: Tensor) -> Output:
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


# --- mamba-ssm: the selective scan of Mamba's authors -------------------------------------------------------------

#: Δ of a time step that leaves the state as it is: exp(ΔA) is 1 in any float32. A power of two: Δ · (s/Δ) is s.
STILL = 2.0**-40


class SelectiveScan(PackageImplementation):
    """``selective_scan_fn`` in the place of our cell's recurrence, in float32; the drive and the gate stay ours.

    It starts from zero, and there is no gradient of its last state. So the N modes of the state are written one by one
    at N time steps before the sequence, and read one by one at N after it, which is exact and costs it 2N time steps.
    """

    name = "mamba_ssm"
    package = "mamba-ssm"
    module = "mamba_ssm"

    def unfit(self, cell: Cell) -> str | None:
        return None if isinstance(cell, Mamba) else "mamba-ssm's selective scan is for mamba"

    def run(self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool) -> Output:
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
