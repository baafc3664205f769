"""DeltaNet (Yang et al. 2024, "Parallelizing linear Transformers with the delta rule over sequence length")."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import wide
from rnnbench.cells.matrix_cell import Factors, MatrixCell
from rnnbench.cells.registry import register_cell


@register_cell("deltanet")
class DeltaNet(MatrixCell):
    """The fast weight programmer of Schlag, Irie & Schmidhuber (2021) with Yang et al.'s keys; in each head:

    q = norm(SiLU(W_q x))        S' = S − β k (kᵀ S) + β k vᵀ
    k = norm(SiLU(W_k x))        y = S'ᵀ q
    v = W_v x
    β = σ(w_β x)

    norm(a) = a / √(|a|² + 10⁻⁶), smooth at zero. No biases, as published. What surrounds it there is left out: the
    short convolutions before q, k and v, the norm of y and the output projection after it.

    Args:
        heads: Memories side by side; must divide H.
    """

    paper = "Yang et al. 2024"

    def __init__(self, input_size: int, hidden_size: int, heads: int = 4) -> None:
        super().__init__(input_size, hidden_size, heads)
        self.weight_ih = nn.Parameter(torch.empty(3 * hidden_size + heads, input_size))
        self.reset_parameters()

    @property
    def state_shape(self) -> tuple[int, ...]:
        return (self.heads, self.head_dim, self.head_dim)

    def drive(self, x: Tensor) -> Tensor:
        u = wide(F.linear(x, self.weight_ih))
        qk, v, beta = u.split((2 * self.hidden_size, self.hidden_size, self.heads), dim=-1)
        qk = F.silu(qk).unflatten(-1, (2 * self.heads, -1))
        qk = qk * torch.rsqrt(qk.square().sum(-1, keepdim=True) + 1e-6)
        return torch.cat((qk.flatten(-2), v, torch.sigmoid(beta)), dim=-1)

    def factors(self, u: Tensor) -> Factors:
        sizes = (self.hidden_size, self.hidden_size, self.heads)
        k, v, beta = u[..., self.hidden_size :].split(sizes, dim=-1)
        return Factors(self.apart(k), self.apart(v), beta=beta.unsqueeze(-1))

    def query(self, u: Tensor) -> Tensor:
        return self.apart(u[..., : self.hidden_size])

    def emit(self, o: Tensor, u: Tensor) -> Tensor:
        return o.flatten(-2)
