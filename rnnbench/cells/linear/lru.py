"""The linear recurrent unit (Orvieto et al. 2023, "Resurrecting recurrent neural networks for long sequences")."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.affine_cell import AffineCell
from rnnbench.cells.cell import wide
from rnnbench.cells.registry import register_cell
from rnnbench.errors import UserError


@register_cell("lru")
class LRU(AffineCell):
    """A complex diagonal recurrence, stable by its parametrisation (section 3).

    λ = exp(−exp(ν) + i exp(θ))
    s' = λ ⊙ s + exp(γ) ⊙ (B x)
    y = Re(C s') + D x

    D is diagonal where I = H, as in the paper, and a full (H, I) matrix where not. The cell is its initialisation: |λ|²
    uniform in [r_min², r_max²], the phase in [0, 2π], exp(γ) = √(1 − |λ|²); B, C, D normal, of variances 1/I, 2/N, 1.

    Args:
        state_size: N complex entries; H where not given.
        r_min: Inner radius of the ring of eigenvalues; the paper takes 0.9 and more where memory must be long.
        r_max: Its outer radius, at most 1.

    Raises:
        UserError: not 0 ≤ r_min < r_max ≤ 1, or an empty state.
    """

    paper = "Orvieto et al. 2023"
    complex_state = True

    def __init__(
        self, input_size: int, hidden_size: int, state_size: int | None = None, r_min: float = 0.0, r_max: float = 1.0
    ) -> None:
        super().__init__(input_size, hidden_size)
        N = hidden_size if state_size is None else state_size
        if not 0 <= r_min < r_max <= 1 <= N:
            raise UserError(f"lru needs 0 ≤ r_min < r_max ≤ 1 ≤ state_size, got {r_min}, {r_max}, {N}; try 0, 1, 64.")
        self.r_min, self.r_max, self.state_size = r_min, r_max, N
        self.nu, self.theta, self.gamma = (nn.Parameter(torch.empty(N)) for _ in range(3))
        self.weight_ih = nn.Parameter(torch.empty(2 * N, input_size))  # Re B over Im B
        self.weight_ho = nn.Parameter(torch.empty(hidden_size, N, 2))  # (Re C, −Im C)
        self.D = nn.Parameter(torch.empty((hidden_size,) if input_size == hidden_size else (hidden_size, input_size)))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        # Neither the centre nor the rim itself: their logarithms are infinite.
        square = torch.empty_like(self.nu).uniform_(self.r_min**2, self.r_max**2).clamp_(1e-6, 1 - 1e-6)
        self.nu.copy_((-0.5 * square.log()).log())
        self.theta.uniform_(1e-6, 2 * torch.pi).log_()
        self.gamma.copy_(0.5 * (1 - square).log())
        self.weight_ih.normal_(std=(2 * self.input_size) ** -0.5)
        self.weight_ho.normal_(std=self.state_size**-0.5)
        self.D.normal_()

    @property
    def state_shape(self) -> tuple[int, ...]:
        return (self.state_size, 2)

    def drive(self, x: Tensor) -> Tensor:
        weight = torch.exp(self.gamma).repeat(2).unsqueeze(-1) * self.weight_ih
        skip = x * self.D if self.D.dim() == 1 else F.linear(x, self.D)
        return wide(torch.cat((F.linear(x, weight), skip), dim=-1))

    def affine(self, u: Tensor) -> tuple[Tensor, Tensor]:
        re, im = u[..., : 2 * self.state_size].chunk(2, dim=-1)
        return torch.polar(torch.exp(-torch.exp(wide(self.nu))), torch.exp(wide(self.theta))), torch.complex(re, im)

    def read(self, s: Tensor, u: Tensor) -> Tensor:
        return F.linear(s.flatten(-2), self.weight_ho.flatten(1).to(s.dtype)) + u[..., 2 * self.state_size :]
