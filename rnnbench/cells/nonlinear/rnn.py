"""The plain recurrent network (Elman 1990, "Finding structure in time")."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import Cell
from rnnbench.cells.registry import register_cell
from rnnbench.errors import UserError


@register_cell("rnn")
class RNN(Cell):
    """h_t = φ(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh), φ = tanh or relu: `torch.nn.RNN` exactly.

    Args:
        nonlinearity: φ.
        gain: W_hh starts as N(0, gain²/H): the random network whose activity, left to itself, dies out below 1 and is
            chaotic above (Sompolinsky, Crisanti & Sommers 1988). torch's uniform one where not given, of gain 1/√3.

    Raises:
        UserError: a gain that is not positive.
    """

    paper = "Elman 1990"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        gain: float | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        if gain is not None and not 0 < gain < math.inf:
            raise UserError(f"cell.gain of rnn must be positive and finite, got {gain}; 1 is the edge of chaos.")
        self.nonlinearity, self.gain = nonlinearity, gain
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(hidden_size))
        self.bias_hh = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if self.gain is not None:
            nn.init.normal_(self.weight_hh, std=self.gain / math.sqrt(self.hidden_size))

    @property
    def torch_mode(self) -> str:
        return f"RNN_{self.nonlinearity.upper()}"

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias_ih + self.bias_hh)

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        pre = torch.addmm(u, s.to(u.dtype), self.weight_hh.t())
        return (torch.tanh(pre) if self.nonlinearity == "tanh" else torch.relu(pre)).to(s.dtype)
