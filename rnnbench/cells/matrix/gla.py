"""Gated linear attention (Yang et al. 2024, "Gated linear attention Transformers with hardware-efficient training")."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import wide
from rnnbench.cells.matrix_cell import Factors, MatrixCell
from rnnbench.cells.registry import register_cell

RANK = 16
TAU = 16


@register_cell("gla")
class GLA(MatrixCell):
    """In each head:

    q, k, v = W_q x, W_k x, W_v x                S' = diag(α) S + k vᵀ
    α = σ(W_α² W_α¹ x + b_α)^(1/16)              o = S'ᵀ q
    r = SiLU(W_r x + b_r)                        y = r ⊙ LN(o)

    As in the paper W_α¹ has 16 rows, keys are half as wide as values (rounded up), and each head has its norm. That has
    no gain of its own: like W_O, which is left out too, it would be one more linear map before the linear map of
    whatever reads y, as with every cell here. So is the paper's block: skips, norms, feed-forward.

    Args:
        heads: Memories side by side; must divide H.
    """

    paper = "Yang et al. 2024"

    def __init__(self, input_size: int, hidden_size: int, heads: int = 4) -> None:
        super().__init__(input_size, hidden_size, heads)
        self.key_dim = (self.head_dim + 1) // 2
        self.keys = heads * self.key_dim
        self.weight_ih = nn.Parameter(torch.empty(2 * self.keys + 2 * hidden_size + RANK, input_size))
        self.weight_alpha = nn.Parameter(torch.empty(self.keys, RANK))
        self.bias = nn.Parameter(torch.empty(self.keys + hidden_size))  # b_α, b_r
        self.reset_parameters()

    def gates(self) -> dict[str, list[Tensor]]:
        return {"keep": [self.bias[: self.keys]]}

    @property
    def state_shape(self) -> tuple[int, ...]:
        return (self.heads, self.key_dim, self.head_dim)

    def drive(self, x: Tensor) -> Tensor:
        sizes = (2 * self.keys + self.hidden_size, self.hidden_size, RANK)
        qkv, r, low = F.linear(x, self.weight_ih).split(sizes, dim=-1)
        b_alpha, b_r = self.bias.split((self.keys, self.hidden_size))
        log_alpha = F.logsigmoid(wide(F.linear(low, self.weight_alpha, b_alpha))) / TAU
        return torch.cat((wide(qkv), log_alpha, F.silu(wide(r + b_r))), dim=-1)

    def factors(self, u: Tensor) -> Factors:
        k, v, log_alpha = u[..., self.keys : -self.hidden_size].split((self.keys, self.hidden_size, self.keys), dim=-1)
        return Factors(self.apart(k), self.apart(v), self.apart(log_alpha))

    def query(self, u: Tensor) -> Tensor:
        return self.apart(u[..., : self.keys])

    def emit(self, o: Tensor, u: Tensor) -> Tensor:
        return u[..., -self.hidden_size :] * F.layer_norm(o, (self.head_dim,)).flatten(-2)
