"""The minimal GRU (Feng et al. 2024, "Were RNNs all we needed?")."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.affine_cell import AffineCell
from rnnbench.cells.cell import wide
from rnnbench.cells.registry import register_cell


@register_cell("mingru")
class MinGRU(AffineCell):
    """A GRU whose gate and candidate see the input alone (section 3.1).

    z = σ(W_z x + b_z)
    h̃ = W_h x + b_h
    h' = (1 − z) ⊙ h + z ⊙ h̃

    The candidate is linear, as in the paper's vanilla form; the log-space form of its appendix puts a positive g(·)
    around it, which a scan that carries signs does not need.
    """

    paper = "Feng et al. 2024"
    bias_gates = ("write",)  # what keeps is 1 − z, which has no bias of its own sign

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(2 * hidden_size, input_size))
        self.bias = nn.Parameter(torch.empty(2 * hidden_size))
        self.reset_parameters()

    def drive(self, x: Tensor) -> Tensor:
        z, new = wide(F.linear(x, self.weight_ih, self.bias)).chunk(2, dim=-1)
        return torch.cat((torch.sigmoid(-z), torch.sigmoid(z) * new), dim=-1)

    def affine(self, u: Tensor) -> tuple[Tensor, Tensor]:
        a, b = u.chunk(2, dim=-1)
        return a, b
