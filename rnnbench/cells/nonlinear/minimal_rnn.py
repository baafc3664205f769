"""The MinimalRNN (Chen 2017, "MinimalRNN: toward more interpretable and trainable recurrent neural networks")."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import GatedCell
from rnnbench.cells.registry import register_cell


@register_cell("minimal_rnn")
class MinimalRNN(GatedCell):
    """The state is a gated average of the inputs' latents: the recurrence only decides how long each one stays.

    z = tanh(W_iz x + b_z)
    g = σ(W_hg h + W_zg z + b_g)
    h' = g ⊙ h + (1 − g) ⊙ z

    All but W_hg h is drive. ``weight_ih`` is W_iz, ``weight_zh`` W_zg, ``weight_hh`` W_hg, ``bias`` [b_z; b_g].
    """

    paper = "Chen 2017"
    bias_gates = ("", "keep")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_zh = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(2 * hidden_size))
        self.reset_parameters()

    def drive(self, x: Tensor) -> Tensor:
        b_z, b_g = self.bias.chunk(2)
        z = torch.tanh(F.linear(x, self.weight_ih, b_z))
        return torch.cat((z, F.linear(z, self.weight_zh, b_g)), dim=-1)

    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        z, u_gate = u.chunk(2, dim=-1)
        g = torch.sigmoid(torch.addmm(u_gate, s.to(u.dtype), self.weight_hh.t()).to(s.dtype))
        return torch.lerp(z.to(s.dtype), s, g), {"update": g}
