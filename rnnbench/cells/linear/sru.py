"""The simple recurrent unit (Lei et al. 2018, "Simple recurrent units for highly parallelizable recurrence")."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.affine_cell import AffineCell
from rnnbench.cells.cell import wide
from rnnbench.cells.registry import register_cell


@register_cell("sru")
class SRU(AffineCell):
    """SRU (equations 1 to 4) without the terms v ⊙ c in its gates, with which it would not be affine in c.

    f = σ(W_f x + b_f)      c' = f ⊙ c + (1 − f) ⊙ (W x)
    r = σ(W_r x + b_r)      h = r ⊙ c' + (1 − r) ⊙ α x

    Where I ≠ H the highway takes W_s x instead of x, as in the paper. The cell is its initialisation (section 3.2):
    W uniform in ±√(3/I), b_f = 0, b_r = highway_bias, and α = √(1 + 2 exp(highway_bias)), which keeps the variance.

    Args:
        highway_bias: b_r at the start; negative lets more of the input pass by.
    """

    paper = "Lei et al. 2018"
    bias_gates = ("keep",)

    def __init__(self, input_size: int, hidden_size: int, highway_bias: float = 0.0) -> None:
        super().__init__(input_size, hidden_size)
        self.highway_bias = highway_bias
        self.alpha = math.sqrt(1 + 2 * math.exp(highway_bias))
        products = 3 if input_size == hidden_size else 4  # W, W_f, W_r and W_s
        self.weight_ih = nn.Parameter(torch.empty(products * hidden_size, input_size))
        self.bias = nn.Parameter(torch.empty(2 * hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = math.sqrt(3 / self.input_size)
        nn.init.uniform_(self.weight_ih, -bound, bound)
        nn.init.zeros_(self.bias[: self.hidden_size])
        nn.init.constant_(self.bias[self.hidden_size :], self.highway_bias)

    def drive(self, x: Tensor) -> Tensor:
        H, products = self.hidden_size, wide(F.linear(x, self.weight_ih))
        new, gates = products[..., :H], products[..., H : 3 * H]
        skip = x if self.input_size == H else products[..., 3 * H :]
        f, r = torch.sigmoid(gates + self.bias).chunk(2, dim=-1)
        return torch.cat((f, (1 - f) * new, r, (1 - r) * self.alpha * skip), dim=-1)

    def affine(self, u: Tensor) -> tuple[Tensor, Tensor]:
        a, b, _, _ = u.chunk(4, dim=-1)
        return a, b

    def gate_values(self, u: Tensor, s: Tensor) -> dict[str, Tensor]:
        f, _, r, _ = u.chunk(4, dim=-1)
        return {"decay": f, "reset": r}

    def read(self, s: Tensor, u: Tensor) -> Tensor:
        _, _, r, highway = u.chunk(4, dim=-1)
        return r * s + highway
