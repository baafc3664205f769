"""The update gate RNN (Collins, Sohl-Dickstein & Sussillo 2017, "Capacity and trainability in RNNs")."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import GatedCell
from rnnbench.cells.registry import register_cell


@register_cell("ugrnn")
class UGRNN(GatedCell):
    """A plain RNN behind one gate that keeps or replaces: the GRU without its reset gate.

    c = tanh(W_ic x + W_hc h + b_c)
    g = σ(W_ig x + W_hg h + b_g)
    h' = g ⊙ h + (1 − g) ⊙ c
    """

    paper = "Collins et al. 2017"
    bias_gates = ("", "keep")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(2 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(2 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(2 * hidden_size))
        self.reset_parameters()

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias)

    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        c, g = torch.addmm(u, s.to(u.dtype), self.weight_hh.t()).to(s.dtype).chunk(2, dim=-1)
        g = torch.sigmoid(g)
        return torch.lerp(torch.tanh(c), s, g), {"update": g}
