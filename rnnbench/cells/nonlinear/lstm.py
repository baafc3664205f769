"""Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import GatedCell
from rnnbench.cells.init import open_gate
from rnnbench.cells.registry import register_cell


@register_cell("lstm")
class LSTM(GatedCell):
    """`torch.nn.LSTM` exactly; the state is s = [h; c], (B, 2, H).

    i = σ(W_ii x + b_ii + W_hi h + b_hi)      c' = f ⊙ c + i ⊙ g
    f = σ(W_if x + b_if + W_hf h + b_hf)      h' = o ⊙ tanh(c')
    g = tanh(W_ig x + b_ig + W_hg h + b_hg)
    o = σ(W_io x + b_io + W_ho h + b_ho)

    Args:
        forget_bias: Sum of the forget gate's two biases at the start (Jozefowicz et al. 2015 advise 1); torch's
            random one where not given.
    """

    paper = "Hochreiter & Schmidhuber 1997; Gers et al. 2000"
    parts = ("h", "c")
    bias_gates = ("write", "keep")

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float | None = None) -> None:
        super().__init__(input_size, hidden_size)
        self.forget_bias = forget_bias
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(4 * hidden_size))
        self.bias_hh = nn.Parameter(torch.empty(4 * hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if self.forget_bias is not None:
            open_gate(self.gates()["keep"], self.forget_bias)

    @property
    def torch_mode(self) -> str | None:
        return "LSTM"

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias_ih + self.bias_hh)

    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        h, c = s.unbind(-2)
        i, f, g, o = torch.addmm(u, h.to(u.dtype), self.weight_hh.t()).chunk(4, dim=-1)
        i, f, o = torch.sigmoid(i), torch.sigmoid(f), torch.sigmoid(o)
        c = f * c + i * torch.tanh(g)
        h = o * torch.tanh(c)
        return torch.stack((h, c), dim=-2), {"input": i, "forget": f, "output": o}
