"""GRU-D (Che et al. 2018, "Recurrent neural networks for multivariate time series with missing values")."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells import GRU, register_cell


@register_cell("gru_d")
class GRUD(GRU):
    """The GRU for inputs that are missing at times: m is 1 where x was measured, and δ the steps since the last time.

    γ_x = exp(−max(0, w_x δ + b_x)),  γ_h = exp(−max(0, w_h δ + b_h))
    x̂ = m x + (1 − m) (γ_x ⊙ x + (1 − γ_x) ⊙ x̄)      x is the last measured one where none is; x̄ is learned
    h' = GRU(x̂, γ_h ⊙ h), with V m added to what its gates and its candidate read
    """

    paper = "Che et al. 2018"
    needs = ("observed", "elapsed")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.mean = nn.Parameter(torch.zeros(input_size))
        self.weight_mask = nn.Parameter(0.1 * torch.randn(3 * hidden_size))
        self.decay_input, self.bias_input = (nn.Parameter(torch.rand(input_size) / hidden_size) for _ in range(2))
        self.decay_state, self.bias_state = (nn.Parameter(torch.rand(hidden_size) / hidden_size) for _ in range(2))

    def drive(self, x: Tensor, observed: Tensor, elapsed: Tensor) -> Tensor:  # type: ignore[override]
        m, delta = observed.unsqueeze(-1), elapsed.unsqueeze(-1)
        keep_x = torch.exp(-F.relu(self.decay_input * delta + self.bias_input))
        keep_h = torch.exp(-F.relu(self.decay_state * delta + self.bias_state))
        x = m * x + (1 - m) * torch.lerp(self.mean.expand_as(x), x, keep_x)
        return torch.cat((super().drive(x) + m * self.weight_mask, keep_h), dim=-1)

    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        drive, keep = u.split((3 * self.hidden_size, self.hidden_size), dim=-1)
        new, gates = super().gated_step(drive, keep.to(s.dtype) * s)
        return new, {**gates, "decay": keep}
