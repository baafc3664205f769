"""The hierarchically gated recurrent network (Qin et al. 2023, HGRN, its first version)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.affine_cell import AffineCell
from rnnbench.cells.cell import wide
from rnnbench.cells.registry import register_cell
from rnnbench.errors import UserError


@register_cell("hgrn")
class HGRN(AffineCell):
    """HGRN's recurrent unit, with its complex state (section 3.2).

    c = SiLU(W_re x + b_re) + i SiLU(W_im x + b_im)
    λ = γ + (1 − γ) σ(W_λ x + b_λ)
    s' = λ ⊙ exp(iθ) ⊙ s + (1 − λ) ⊙ c
    g = σ(W_g x + b_g)
    y = W_o LayerNorm(g ⊙ [Re s'; Im s']) + b_o

    In the paper γ grows from layer to layer and is learnt across them (a cumulative softmax); a cell knows no other
    layer, so that here it is a number. The LayerNorm has no scale and shift: W_o and b_o do their work. θ is learnt,
    from 10000^(−2k/H), k = 0 … H − 1, as in their code (whose g is a SiLU); the other initial values are torch's.

    Args:
        hidden_size: H, also the number of complex entries of the state.
        lower_bound: γ, what the forget gate keeps at least; 0 ≤ γ < 1.

    Raises:
        UserError: a lower bound out of its range.
    """

    paper = "Qin et al. 2023"
    complex_state = True
    bias_gates = ("", "", "keep")

    def __init__(self, input_size: int, hidden_size: int, lower_bound: float = 0.0) -> None:
        super().__init__(input_size, hidden_size)
        if not 0 <= lower_bound < 1:
            raise UserError(f"lower_bound of hgrn is in [0, 1), got {lower_bound}; at 1 it would write nothing.")
        self.lower_bound = lower_bound
        self.weight_ih = nn.Parameter(torch.empty(5 * hidden_size, input_size))  # re, im, λ, g (twice H)
        self.bias = nn.Parameter(torch.empty(5 * hidden_size))
        self.theta = nn.Parameter(torch.empty(hidden_size))
        self.weight_ho = nn.Parameter(torch.empty(hidden_size, 2 * hidden_size))
        self.bias_ho = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        super().reset_parameters()
        self.theta.copy_(10000 ** (-2 * torch.arange(self.hidden_size) / self.hidden_size))

    @property
    def state_shape(self) -> tuple[int, ...]:
        return (self.hidden_size, 2)

    def drive(self, x: Tensor) -> Tensor:
        H, pre = self.hidden_size, wide(F.linear(x, self.weight_ih, self.bias))
        new, keep, g = pre.split((2 * H, H, 2 * H), dim=-1)
        write = (1 - self.lower_bound) * torch.sigmoid(-keep)  # 1 − λ
        return torch.cat((1 - write, torch.cat((write, write), dim=-1) * F.silu(new), torch.sigmoid(g)), dim=-1)

    def affine(self, u: Tensor) -> tuple[Tensor, Tensor]:
        keep, re, im, _, _ = u.chunk(5, dim=-1)
        theta = wide(self.theta)
        return keep * torch.polar(torch.ones_like(theta), theta), torch.complex(re, im)

    def read(self, s: Tensor, u: Tensor) -> Tensor:
        H, g = self.hidden_size, u[..., 3 * self.hidden_size :]
        normed = F.layer_norm(g * s.transpose(-1, -2).flatten(-2), (2 * H,))
        return F.linear(normed, self.weight_ho.to(s.dtype), self.bias_ho.to(s.dtype))
