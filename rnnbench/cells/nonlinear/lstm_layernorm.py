"""The LSTM with layer normalisation (Ba, Kiros & Hinton 2016, "Layer normalization")."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import GatedCell
from rnnbench.cells.registry import register_cell


@register_cell("lstm_layernorm")
class LayerNormLSTM(GatedCell):
    """The form of the paper's supplementary material: all four gates are normalised as one vector of 4H.

    [f; i; o; g] = LN(W_hh h; α_hh) + LN(W_ih x; α_ih) + b
    c' = σ(f) ⊙ c + σ(i) ⊙ tanh(g)
    h' = σ(o) ⊙ tanh(LN(c'; α_c, β_c))

    LN(v; α, β) = α ⊙ (v − mean v) / √(var v + 1e-5) + β, where the 1e-5 (torch's) keeps it finite at h_0 = 0. The
    paper's three added biases are one here, b. The state is s = [h; c], (B, 2, H), with c as it is before its LN.
    Gains α (``gain_ih``, ``gain_hh``, ``gain_c``) start at one and β_c (``bias_c``) at zero, as in the paper.
    """

    paper = "Ba et al. 2016"
    parts = ("h", "c")
    bias_gates = ("keep", "write")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(4 * hidden_size))
        self.gain_ih = nn.Parameter(torch.empty(4 * hidden_size))
        self.gain_hh = nn.Parameter(torch.empty(4 * hidden_size))
        self.gain_c = nn.Parameter(torch.empty(hidden_size))
        self.bias_c = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        for gain in (self.gain_ih, self.gain_hh, self.gain_c):
            nn.init.ones_(gain)
        nn.init.zeros_(self.bias_c)

    def drive(self, x: Tensor) -> Tensor:
        return F.layer_norm(F.linear(x, self.weight_ih), self.bias.shape, self.gain_ih, self.bias)

    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        h, c = s.unbind(-2)
        recurrent = F.layer_norm(F.linear(h.to(u.dtype), self.weight_hh), self.bias.shape, self.gain_hh)
        f, i, o, g = (u + recurrent).to(s.dtype).chunk(4, dim=-1)
        f, i, o = torch.sigmoid(f), torch.sigmoid(i), torch.sigmoid(o)
        c = f * c + i * torch.tanh(g)
        h = o * torch.tanh(F.layer_norm(c, self.bias_c.shape, self.gain_c.to(s.dtype), self.bias_c.to(s.dtype)))
        return torch.stack((h, c), dim=-2), {"forget": f, "input": i, "output": o}
