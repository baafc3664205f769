"""The LSTM with coupled input and forget gates (Greff et al. 2017, "LSTM: A search space odyssey")."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import GatedCell
from rnnbench.cells.registry import register_cell


@register_cell("lstm_cifg")
class CoupledLSTM(GatedCell):
    """The LSTM with i = 1 − f: it writes where it forgets. The state is s = [h; c], (B, 2, H).

    f = σ(W_if x + W_hf h + b_f)      c' = f ⊙ c + (1 − f) ⊙ g
    o = σ(W_io x + W_ho h + b_o)      h' = o ⊙ tanh(c')
    g = tanh(W_ig x + W_hg h + b_g)

    The paper writes f = 1 − i, the same cell with that gate's sign turned, and has peepholes in every variant but one;
    here, as usual since, there are none.
    """

    paper = "Greff et al. 2017"
    parts = ("h", "c")
    bias_gates = ("keep",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(3 * hidden_size))
        self.reset_parameters()

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias)

    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        h, c = s.unbind(-2)
        f, o, g = torch.addmm(u, h.to(u.dtype), self.weight_hh.t()).to(s.dtype).chunk(3, dim=-1)
        f, o = torch.sigmoid(f), torch.sigmoid(o)
        c = torch.lerp(torch.tanh(g), c, f)
        h = o * torch.tanh(c)
        return torch.stack((h, c), dim=-2), {"forget": f, "output": o}
