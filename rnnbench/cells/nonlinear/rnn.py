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
        init: default is torch's; identity sets W_hh = I and the biases to zero, which with relu makes the IRNN
            (Le, Jaitly & Hinton 2015).
    """

    paper = "Elman 1990"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        init: Literal["default", "identity"] = "default",
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.nonlinearity, self.init = nonlinearity, init
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(hidden_size))
        self.bias_hh = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if self.init == "identity":
            nn.init.eye_(self.weight_hh)
            nn.init.zeros_(self.bias_ih)
            nn.init.zeros_(self.bias_hh)

    @property
    def torch_mode(self) -> str:
        return f"RNN_{self.nonlinearity.upper()}"

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias_ih + self.bias_hh)

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        pre = torch.addmm(u, s, self.weight_hh.t())
        return torch.tanh(pre) if self.nonlinearity == "tanh" else torch.relu(pre)
