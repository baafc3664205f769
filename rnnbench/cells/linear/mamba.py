"""The selective state space of Mamba (Gu & Dao 2023, "Mamba: linear-time sequence modeling …")."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.affine_cell import AffineCell
from rnnbench.cells.cell import wide
from rnnbench.cells.registry import register_cell
from rnnbench.errors import UserError


@register_cell("mamba")
class Mamba(AffineCell):
    """S6 (algorithm 2) of N modes for each of H channels, between Mamba's input projection and its gate.

    x̂ = SiLU(W_x x)                     Δ = softplus(W_Δ W_δ x̂ + b)
    z = W_z x                           B = W_B x̂, C = W_C x̂
    s' = exp(Δ A) ⊙ s + (Δ x̂) Bᵀ        A = −exp(A_log)
    y = (s' C + D ⊙ x̂) ⊙ SiLU(z)

    B is discretised by Euler's rule, as in their code. Of Mamba's block the convolution before the SiLU, the expansion
    to twice the width and the output projection are left out: what is around a cell is the model's business. W_δ has
    rank ⌈H/16⌉. The cell is its initialisation: A = −1 … −N, D = 1, softplus(b) log-uniform in [0.001, 0.1], W_Δ
    uniform in ±1/√rank; the rest is torch's.

    Args:
        state_size: N.

    Raises:
        UserError: an empty state.
    """

    paper = "Gu & Dao 2023"

    def __init__(self, input_size: int, hidden_size: int, state_size: int = 16) -> None:
        super().__init__(input_size, hidden_size)
        if state_size < 1:
            raise UserError(f"state_size of mamba counts modes, got {state_size}; give 1 or more.")
        self.state_size, self.rank = state_size, math.ceil(hidden_size / 16)
        self.sizes = (hidden_size, hidden_size, hidden_size, state_size, state_size)  # of u: Δ, x̂, z, B, C
        self.weight_ih = nn.Parameter(torch.empty(2 * hidden_size, input_size))  # x̂ and z
        self.weight_select = nn.Parameter(torch.empty(self.rank + 2 * state_size, hidden_size))  # δ, B and C
        self.weight_dt = nn.Parameter(torch.empty(hidden_size, self.rank))
        self.A_log = nn.Parameter(torch.empty(hidden_size, state_size))
        self.dt_bias, self.D = nn.Parameter(torch.empty(hidden_size)), nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.uniform_(self.weight_dt, -(self.rank**-0.5), self.rank**-0.5)
        dt = torch.empty_like(self.dt_bias).uniform_(math.log(0.001), math.log(0.1)).exp_()
        self.dt_bias.copy_(torch.expm1(dt).log())
        self.A_log.copy_(torch.arange(1, self.state_size + 1).log())
        nn.init.ones_(self.D)

    @property
    def state_shape(self) -> tuple[int, ...]:
        return (self.hidden_size, self.state_size)

    def drive(self, x: Tensor) -> Tensor:
        x, z = F.linear(x, self.weight_ih).chunk(2, dim=-1)
        x = F.silu(x)
        dt, BC = F.linear(x, self.weight_select).split((self.rank, 2 * self.state_size), dim=-1)
        return torch.cat((F.softplus(wide(F.linear(dt, self.weight_dt, self.dt_bias))), x, z, BC), dim=-1)

    def affine(self, u: Tensor) -> tuple[Tensor, Tensor]:
        dt, x, _, B, _ = u.split(self.sizes, dim=-1)
        return torch.exp(dt.unsqueeze(-1) * -torch.exp(wide(self.A_log))), (dt * x).unsqueeze(-1) * B.unsqueeze(-2)

    def read(self, s: Tensor, u: Tensor) -> Tensor:
        _, x, z, _, C = u.split(self.sizes, dim=-1)
        return ((s @ C.unsqueeze(-1)).squeeze(-1) + self.D * x) * F.silu(z)
