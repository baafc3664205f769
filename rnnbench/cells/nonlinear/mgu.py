"""The minimal gated unit (Zhou et al. 2016, "Minimal gated unit for recurrent neural networks")."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import GatedCell
from rnnbench.cells.registry import register_cell


@register_cell("mgu")
class MGU(GatedCell):
    """A GRU with one gate for both of its gates' work.

    f = σ(W_if x + W_hf h + b_f)
    n = tanh(W_in x + W_hn (f ⊙ h) + b_n)
    h' = (1 − f) ⊙ h + f ⊙ n

    The paper calls f the forget gate, but at 1 it writes: `gates` names it so. ``weight_hh`` is W_hf; W_hn multiplies
    another vector and is ``weight_hn``.
    """

    paper = "Zhou et al. 2016"
    bias_gates = ("write",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(2 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.weight_hn = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(2 * hidden_size))
        self.reset_parameters()

    def recurrent_matrices(self) -> list[Tensor]:
        return [*super().recurrent_matrices(), self.weight_hn]

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias)

    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        u_gate, u_new = u.chunk(2, dim=-1)
        f = torch.sigmoid(torch.addmm(u_gate, s.to(u.dtype), self.weight_hh.t()).to(s.dtype))
        new = torch.addmm(u_new, (f * s).to(u.dtype), self.weight_hn.t()).to(s.dtype)
        return torch.lerp(s, torch.tanh(new), f), {"forget": f}
