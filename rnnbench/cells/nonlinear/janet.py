"""Just another network (van der Westhuizen & Lasenby 2018, "The unreasonable effectiveness of the forget gate")."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import GatedCell
from rnnbench.cells.registry import register_cell


@register_cell("janet")
class JANET(GatedCell):
    """The LSTM with nothing but its forget gate, and what is written shifted against it by β = 1.

    f = W_if x + W_hf h + b_f
    g = tanh(W_ig x + W_hg h + b_g)
    h' = σ(f) ⊙ h + (1 − σ(f − β)) ⊙ g

    The paper's experiments also start b_f by the chrono initialisation; here that is a choice of its own.
    """

    paper = "van der Westhuizen & Lasenby 2018"
    beta = 1.0
    bias_gates = ("keep",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(2 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(2 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(2 * hidden_size))
        self.reset_parameters()

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias)

    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        f, g = torch.addmm(u, s.to(u.dtype), self.weight_hh.t()).to(s.dtype).chunk(2, dim=-1)
        keep = torch.sigmoid(f)
        # 1 − σ(f − β) = σ(β − f), without the cancellation.
        return keep * s + torch.sigmoid(self.beta - f) * torch.tanh(g), {"forget": keep}
