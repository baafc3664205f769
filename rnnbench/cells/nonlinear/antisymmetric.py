"""The antisymmetric network (Chang et al. 2019, "AntisymmetricRNN: A dynamical system view on recurrent networks")."""

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import GatedCell, kept
from rnnbench.cells.registry import register_cell


@register_cell("antisymmetric")
class AntisymmetricRNN(GatedCell):
    """Forward Euler on an ODE whose Jacobian has imaginary eigenvalues (eq. 9), moved by −γ for Euler's sake.

    h' = h + ε z ⊙ tanh((W − Wᵀ − γI) h + V x + b)      z = 1, or with ``gated`` (eqs. 11–12)
                                                        z = σ((W − Wᵀ − γI) h + V_z x + b_z)

    W is strictly upper triangular, which loses no antisymmetric matrix: ``weight_hh`` is that triangle, row by row,
    (H(H − 1)/2,), so that no parameter is counted twice. ``weight_ih`` is V, gated [V_z; V]. With G = 1, gated 2:
    G(HI + H) + H(H − 1)/2 parameters.

    Args:
        epsilon: ε, Euler's step; the paper searches 0.01, 0.1 and 1.
        gamma: γ ≥ 0, the diffusion. With the paper's 0.01 a state that is carried on over a stream grows and grows.
        gated: Whether a gate z, which shares the recurrent product, scales each unit's step.
    """

    paper = "Chang et al. 2019"

    def __init__(
        self, input_size: int, hidden_size: int, epsilon: float = 1.0, gamma: float = 1.0, gated: bool = False
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.epsilon, self.gamma, self.gated = epsilon, gamma, gated
        rows = 2 * hidden_size if gated else hidden_size
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size * (hidden_size - 1) // 2))
        self.bias = nn.Parameter(torch.empty(rows))
        self._matrix: Tensor | None = None
        self.reset_parameters()

    def gates(self) -> dict[str, list[Tensor]]:
        return {"write": [self.bias[: self.hidden_size]]} if self.gated else {}

    def matrix(self) -> Tensor:
        """W − Wᵀ − γI, (H, H)."""
        return skew_symmetric(self.weight_hh, self.hidden_size, diagonal=-self.gamma)

    def unrolled(self) -> AbstractContextManager[None]:
        return kept(self, "_matrix", self.matrix())

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias)

    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        matrix = self.matrix() if self._matrix is None else self._matrix
        if not self.gated:
            return s.add(torch.tanh(torch.addmm(u, s.to(u.dtype), matrix.t())), alpha=self.epsilon), {}
        u_gate, u_new = u.chunk(2, dim=-1)
        recurrent = s.to(u.dtype) @ matrix.t()
        z = torch.sigmoid(u_gate + recurrent)
        return s.addcmul(z, torch.tanh(u_new + recurrent), value=self.epsilon), {"input": z}


def skew_symmetric(triangle: Tensor, size: int, diagonal: float = 0.0) -> Tensor:
    """The strict upper triangle of W, row by row, (H(H − 1)/2,) → W − Wᵀ + diagonal · I, (H, H)."""
    rows, columns = torch.triu_indices(size, size, 1, device=triangle.device)
    upper = triangle.new_zeros(size, size).index_put((rows, columns), triangle)
    return upper - upper.t() + diagonal * torch.eye(size, dtype=triangle.dtype, device=triangle.device)
