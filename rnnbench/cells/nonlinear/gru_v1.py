"""The gated recurrent unit as first published (Cho et al. 2014): the reset gate before the product."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import GatedCell
from rnnbench.cells.registry import register_cell


@register_cell("gru_v1")
class GRUv1(GatedCell):
    """The GRU whose reset gate chooses what of h the product sees (eqs. 5–8 of the paper, with biases).

    r = σ(W_ir x + W_hr h + b_r)
    z = σ(W_iz x + W_hz h + b_z)
    n = tanh(W_in x + W_hn (r ⊙ h) + b_n)
    h' = z ⊙ h + (1 − z) ⊙ n

    ``weight_hh`` is [W_hr; W_hz]; W_hn multiplies another vector and is ``weight_hn``. Two products a time step,
    one after the other, where `gru` has one.
    """

    paper = "Cho et al. 2014"
    bias_gates = ("", "keep")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(2 * hidden_size, hidden_size))
        self.weight_hn = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(3 * hidden_size))
        self.reset_parameters()

    def recurrent_matrices(self) -> list[Tensor]:
        return [*super().recurrent_matrices(), self.weight_hn]

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias)

    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        u_gates, u_new = u.split((2 * self.hidden_size, self.hidden_size), dim=-1)
        gates = torch.addmm(u_gates, s.to(u.dtype), self.weight_hh.t()).to(s.dtype)
        r, z = torch.sigmoid(gates).chunk(2, dim=-1)
        new = torch.addmm(u_new, (r * s).to(u.dtype), self.weight_hn.t()).to(s.dtype)
        return torch.lerp(torch.tanh(new), s, z), {"reset": r, "update": z}
