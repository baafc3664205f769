"""The LSTM whose gates see its memory (Gers & Schmidhuber 2000, "Recurrent nets that time and count")."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import GatedCell
from rnnbench.cells.registry import register_cell


@register_cell("lstm_peephole")
class PeepholeLSTM(GatedCell):
    """An LSTM with diagonal peepholes; the output gate looks at the new memory. The state is s = [h; c], (B, 2, H).

    i = σ(W_ii x + W_hi h + p_i ⊙ c + b_i)      c' = f ⊙ c + i ⊙ g
    f = σ(W_if x + W_hf h + p_f ⊙ c + b_f)      o = σ(W_io x + W_ho h + p_o ⊙ c' + b_o)
    g = tanh(W_ig x + W_hg h + b_g)             h' = o ⊙ tanh(c')

    ``peephole`` is [p_i; p_f; p_o], (3H,). The last tanh is that of Graves 2013 and Greff et al. 2017; Gers &
    Schmidhuber had left it out.
    """

    paper = "Gers & Schmidhuber 2000"
    parts = ("h", "c")
    bias_gates = ("write", "keep")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.peephole = nn.Parameter(torch.empty(3 * hidden_size))
        self.bias = nn.Parameter(torch.empty(4 * hidden_size))
        self.reset_parameters()

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias)

    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        h, c = s.unbind(-2)
        p_i, p_f, p_o = self.peephole.chunk(3)
        i, f, g, o = torch.addmm(u, h.to(u.dtype), self.weight_hh.t()).to(s.dtype).chunk(4, dim=-1)
        i, f = torch.sigmoid(torch.addcmul(i, p_i, c)), torch.sigmoid(torch.addcmul(f, p_f, c))
        c = f * c + i * torch.tanh(g)
        o = torch.sigmoid(torch.addcmul(o, p_o, c))
        h = o * torch.tanh(c)
        return torch.stack((h, c), dim=-2), {"input": i, "forget": f, "output": o}
