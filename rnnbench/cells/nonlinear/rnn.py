"""The plain recurrent network (Elman 1990, "Finding structure in time")."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import Cell
from rnnbench.cells.registry import register_cell


@register_cell("rnn")
class RNN(Cell):
    """h_t = φ(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh), φ = tanh or relu: `torch.nn.RNN` exactly.

    Args:
        input_size: I.
        hidden_size: H.
        nonlinearity: φ.
    """

    paper = "Elman 1990"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.nonlinearity = nonlinearity
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(hidden_size))
        self.bias_hh = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    @property
    def torch_mode(self) -> str:
        return f"RNN_{self.nonlinearity.upper()}"

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias_ih + self.bias_hh)

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        pre = torch.addmm(u, s.to(u.dtype), self.weight_hh.t())
        return (torch.tanh(pre) if self.nonlinearity == "tanh" else torch.relu(pre)).to(s.dtype)
