"""The minimal LSTM (Feng et al. 2024, "Were RNNs all we needed?")."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.affine_cell import AffineCell
from rnnbench.cells.cell import wide
from rnnbench.cells.registry import register_cell


@register_cell("minlstm")
class MinLSTM(AffineCell):
    """An LSTM whose gates see the input alone and sum to one (section 3.2).

    f = σ(W_f x + b_f)      f' = f / (f + i)
    i = σ(W_i x + b_i)      i' = i / (f + i)
    h̃ = W_h x + b_h
    h' = f' ⊙ h + i' ⊙ h̃

    The candidate is linear, as in the paper's vanilla form; the log-space form of its appendix puts a positive g(·)
    around it, which a scan that carries signs does not need.
    """

    paper = "Feng et al. 2024"
    bias_gates = ("keep", "write")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.bias = nn.Parameter(torch.empty(3 * hidden_size))
        self.reset_parameters()

    def drive(self, x: Tensor) -> Tensor:
        f, i, new = wide(F.linear(x, self.weight_ih, self.bias)).chunk(3, dim=-1)
        # f' = σ(log f − log i): no quotient, which would be 0/0 where both gates are shut.
        odds = F.softplus(-i) - F.softplus(-f)
        return torch.cat((torch.sigmoid(odds), torch.sigmoid(-odds) * new), dim=-1)

    def affine(self, u: Tensor) -> tuple[Tensor, Tensor]:
        a, b = u.chunk(2, dim=-1)
        return a, b
