"""The real-gated linear recurrent unit of Griffin (De et al. 2024)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.affine_cell import AffineCell
from rnnbench.cells.cell import wide
from rnnbench.cells.registry import register_cell

#: c of the paper: how many times over the recurrence gate decays.
SHARPNESS = 8.0


@register_cell("rglru")
class RGLRU(AffineCell):
    """RG-LRU (section 2.4, equations 1 to 4), after a projection x̂ = W_x x to the width H.

    r = σ(W_r x̂ + b_r)                   a = exp(−c softplus(Λ) ⊙ r), c = 8
    i = σ(W_i x̂ + b_i)                   h' = a ⊙ h + √(1 − a²) ⊙ (i ⊙ x̂)

    W_r and W_i are dense, as in the equations (their code has them block-diagonal), and Λ has their code's sign. The
    convolution and the gated branch of Griffin's block are left out. The cell is its initialisation: the decay
    at r = 1, exp(−c softplus(Λ)), is uniform in [0.9, 0.999]; the rest is torch's.
    """

    paper = "De et al. 2024"

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_gates = nn.Parameter(torch.empty(2 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(2 * hidden_size))
        self.decay = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        super().reset_parameters()
        slowest = torch.empty_like(self.decay).uniform_(0.9, 0.999)
        self.decay.copy_(torch.expm1(-slowest.log() / SHARPNESS).log())

    def drive(self, x: Tensor) -> Tensor:
        projected = F.linear(x, self.weight_ih)
        r, i = torch.sigmoid(wide(F.linear(projected, self.weight_gates, self.bias))).chunk(2, dim=-1)
        log_a = -SHARPNESS * F.softplus(wide(self.decay)) * r
        # expm1 keeps 1 − a² exact near a = 1; the clamp keeps the slope of its root finite there.
        scale = torch.sqrt((-torch.expm1(2 * log_a)).clamp_min(1e-12))
        return torch.cat((torch.exp(log_a), scale * i * projected), dim=-1)

    def affine(self, u: Tensor) -> tuple[Tensor, Tensor]:
        a, b = u.chunk(2, dim=-1)
        return a, b
