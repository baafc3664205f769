"""The diagonal state space model (Gu et al. 2022, "On the parameterization and initialization of diagonal SSMs")."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.affine_cell import AffineCell
from rnnbench.cells.cell import wide
from rnnbench.cells.registry import register_cell
from rnnbench.errors import UserError


@register_cell("s4d")
class S4D(AffineCell):
    """A diagonal SSM of N modes in conjugate pairs for each of H channels of x̂ = W_x x, by zero-order hold.

    Ā = exp(Δ A)                  s' = Ā ⊙ s + B̄ x̂
    B̄ = (Ā − 1) / A               y = W_o GELU(2 Re(C s') + D x̂) + b_o

    A = −exp(α) + iω and B = 1, which C makes up for. W_o is linear where S4's block has a GLU. The cell is its
    initialisation: Re A = −½, Im A = πn (lin) or N/π (N/(2n + 1) − 1) (inv), Δ log-uniform in 0.001 … 0.1; C, D normal.

    Args:
        state_size: N; the paper's 64 is dear on a CPU, where every step costs H N.
        init: S4D-Lin or S4D-Inv.

    Raises:
        UserError: a state size that is not even and positive.
    """

    paper = "Gu et al. 2022"
    complex_state = True

    def __init__(
        self, input_size: int, hidden_size: int, state_size: int = 16, init: Literal["lin", "inv"] = "lin"
    ) -> None:
        super().__init__(input_size, hidden_size)
        if state_size < 2 or state_size % 2:
            raise UserError(f"state_size of s4d counts conjugate pairs, got {state_size}; give an even number from 2.")
        self.state_size, self.init, modes = state_size, init, (hidden_size, state_size // 2)
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        self.log_dt = nn.Parameter(torch.empty(hidden_size, 1))
        self.alpha, self.omega = nn.Parameter(torch.empty(modes)), nn.Parameter(torch.empty(modes))
        self.C = nn.Parameter(torch.empty(*modes, 2))  # (Re C, −Im C)
        self.D, self.bias = nn.Parameter(torch.empty(hidden_size)), nn.Parameter(torch.empty(hidden_size))
        self.weight_ho = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        super().reset_parameters()
        n, N = torch.arange(self.state_size // 2), self.state_size
        self.log_dt.uniform_(math.log(0.001), math.log(0.1))
        self.alpha.fill_(math.log(0.5))
        self.omega.copy_(math.pi * n if self.init == "lin" else N / math.pi * (N / (2 * n + 1) - 1))
        nn.init.normal_(self.C, std=math.sqrt(0.5))
        nn.init.normal_(self.D)

    @property
    def state_shape(self) -> tuple[int, ...]:
        return (self.hidden_size, self.state_size // 2, 2)

    def drive(self, x: Tensor) -> Tensor:
        return wide(F.linear(x, self.weight_ih))

    def affine(self, u: Tensor) -> tuple[Tensor, Tensor]:
        A = torch.complex(-torch.exp(wide(self.alpha)), wide(self.omega))
        a = torch.exp(torch.exp(wide(self.log_dt)) * A)
        return a, (a - 1) / A * u.unsqueeze(-1)

    def read(self, s: Tensor, u: Tensor) -> Tensor:
        y = 2 * (s * self.C).flatten(-2).sum(-1) + self.D * u
        return F.linear(F.gelu(y), self.weight_ho.to(s.dtype), self.bias.to(s.dtype))
