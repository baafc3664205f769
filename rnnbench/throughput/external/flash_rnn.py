"""FlashRNN: recurrent kernels that keep the recurrent matrix on the chip."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

import torch
from torch import Tensor

from rnnbench.cells.cell import Cell
from rnnbench.cells.nonlinear.gru import GRU
from rnnbench.cells.nonlinear.lstm import LSTM
from rnnbench.cells.nonlinear.rnn import RNN
from rnnbench.cells.nonlinear.slstm import SLSTM
from rnnbench.throughput.external.package import PackageImplementation


class FlashRNN(PackageImplementation):
    """The package's ``elman`` and ``lstm`` after our input product, the product with R inside of its kernel.

    All of the state is one head. It compiles itself for each size, which takes minutes, with nvcc. States are in the
    layer's number format; where that is float32, products are in TF32.
    """

    name = "flashrnn"
    package = "flashrnn"
    module = "flashrnn"
    #: Its name for this way, and what it is there for.
    kernels: ClassVar[str] = "cuda_fused"
    functions: ClassVar[dict[str, str]] = {"RNN_TANH": "elman", "LSTM": "lstm"}

    def unfit(self, cell: Cell) -> str | None:
        if isinstance(cell, SLSTM):
            return "flashrnn's sLSTM passes no gradient through the stabiliser of the last state"
        if not isinstance(cell, RNN | LSTM | GRU) or cell.torch_mode not in self.functions:
            return f"flashrnn has no kernel {self.kernels} for this cell"
        return None

    def run(
        self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool
    ) -> tuple[Tensor, Tensor]:
        assert isinstance(cell, RNN | LSTM | GRU)
        flashrnn: Any = import_module(self.module)
        wx, R, b = arguments(cell, x)
        # Of a state (B, H) or (B, S, H) they want (S, B, 1, 1, H): one instant, one head.
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


class Alternating(FlashRNN):
    """The other way: cuBLAS for the product with R and a kernel for the rest, in turn; the GRU, too."""

    name = "flashrnn_alternating"
    kernels = "cuda"
    functions: ClassVar[dict[str, str]] = {**FlashRNN.functions, "GRU": "gru"}


def arguments(cell: RNN | LSTM | GRU, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
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
