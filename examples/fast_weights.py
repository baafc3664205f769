"""Fast weights (Ba, Hinton, Mnih, Leibo & Ionescu 2016, "Using fast weights to attend to the recent past")."""

import torch
from torch import Tensor, nn

from rnnbench.cells import Cell, register_cell


@register_cell("fast_weights")
class FastWeights(Cell):
    """A plain RNN whose h looks once at a matrix A of its own recent past; s = [h; A], (B, 1 + H, H):

    A' = λ A + η h hᵀ      r = W h + C x + b      h' = relu(LN(r + A' relu(r)))

    Args:
        decay: λ.
        rate: η.
    """

    paper = "Ba et al. 2016"

    def __init__(self, input_size: int, hidden_size: int, decay: float = 0.95, rate: float = 0.5) -> None:
        super().__init__(input_size, hidden_size)
        self.decay, self.rate = decay, rate
        self.weight_hh = nn.Parameter(0.05 * torch.eye(hidden_size))  # as in the paper
        self.slow, self.norm = nn.Linear(input_size, hidden_size), nn.LayerNorm(hidden_size)

    @property
    def state_shape(self) -> tuple[int, ...]:
        return (1 + self.hidden_size, self.hidden_size)

    def drive(self, x: Tensor) -> Tensor:
        return self.slow(x)

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        h, A = s[:, 0], s[:, 1:]
        A = self.decay * A + self.rate * h.unsqueeze(-1) * h.unsqueeze(-2)
        r = u + h @ self.weight_hh.t()
        h = torch.relu(self.norm(r + torch.einsum("bij,bj->bi", A, torch.relu(r))))
        return torch.cat((h.unsqueeze(1), A), dim=1)

    def read(self, s: Tensor, u: Tensor) -> Tensor:
        return s[..., 0, :]
