"""The independently recurrent network (Li et al. 2018, "Independently recurrent neural network (IndRNN)")."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import Cell
from rnnbench.cells.registry import register_cell


@register_cell("indrnn")
class IndRNN(Cell):
    """Each unit hears only its own last state; units mix where layers are stacked.

    h' = relu(W x + u ⊙ h + b)

    ``weight_hh`` is u, (H,). A unit's gradient over T steps is at most |u|^T; the paper keeps |u| ≤ 2^(1/T) during
    training, which is left to the optimiser here. HI + 2H parameters.

    Initialisation: u uniform in (0, 1), so that units differ in how long they remember (as the paper's authors do with
    relu; their bound at the start, 2^(1/T), tends to 1 as well); the rest torch's.
    """

    paper = "Li et al. 2018"

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size))
        self.bias = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.uniform_(self.weight_hh)

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias)

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return torch.relu(torch.addcmul(u, self.weight_hh, s))
