"""The orthogonal network by the exponential map (Lezcano-Casado & Martínez-Rubio 2019, "Cheap orthogonal …")."""

import math
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import Cell, kept
from rnnbench.cells.nonlinear.antisymmetric import skew_symmetric
from rnnbench.cells.registry import register_cell


@register_cell("exprnn")
class ExpRNN(Cell):
    """The recurrent matrix is exp(A), orthogonal for every skew-symmetric A = −Aᵀ: training never leaves the group.

    h' = modrelu(W x + exp(A) h)      modrelu(v) = sign(v) ⊙ relu(|v| + b)      (Arjovsky et al. 2016)

    ``weight_hh`` is A's strict upper triangle, row by row, (H(H − 1)/2,); ``bias`` is modrelu's b, the only one.
    HI + H(H − 1)/2 + H parameters. exp(A) is computed once a run, in float64: torch's gradient of it is only good to
    1e-5 in float32.

    Initialisation: A block-diagonal, a rotation by an angle uniform in (−π, π) for each pair of units (Henaff et al.
    2016, one of the paper's two; an odd last unit is kept as it is), b uniform in ±0.01 (as the authors do); W torch's.
    """

    paper = "Lezcano-Casado & Martínez-Rubio 2019"

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size * (hidden_size - 1) // 2))
        self.bias = nn.Parameter(torch.empty(hidden_size))
        self._rotation: Tensor | None = None
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        super().reset_parameters()
        rows, columns = torch.triu_indices(self.hidden_size, self.hidden_size, 1, device=self.weight_hh.device)
        pairs = (rows % 2 == 0) & (columns == rows + 1)
        nn.init.uniform_(self.weight_hh, -math.pi, math.pi).mul_(pairs)
        nn.init.uniform_(self.bias, -0.01, 0.01)

    def rotation(self) -> Tensor:
        """exp(A), (H, H)."""
        dtype = torch.promote_types(self.weight_hh.dtype, torch.float32)
        return torch.matrix_exp(skew_symmetric(self.weight_hh.double(), self.hidden_size)).to(dtype)

    def unrolled(self) -> AbstractContextManager[None]:
        return kept(self, "_rotation", self.rotation())

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih)

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        rotation = self.rotation() if self._rotation is None else self._rotation
        pre = torch.addmm(u.to(s.dtype), s, rotation.t())
        return torch.sign(pre) * torch.relu(torch.abs(pre) + self.bias)
