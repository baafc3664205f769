"""The scalar LSTM of xLSTM (Beck et al. 2024, "xLSTM: extended long short-term memory", section 2.2)."""

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import GatedCell, kept
from rnnbench.cells.registry import register_cell
from rnnbench.errors import UserError


@register_cell("slstm")
class SLSTM(GatedCell):
    """An LSTM whose input gate is exponential, with a normaliser n and a stabiliser m; s = [h; c; n; m], (B, 4, H).

    i = W_i x + R_i h + b_i             m' = max(m + log f, i)
    f = σ(W_f x + R_f h + b_f)          c' = exp(m + log f − m') ⊙ c + exp(i − m') ⊙ z
    z = tanh(W_z x + R_z h + b_z)       n' = exp(m + log f − m') ⊙ n + exp(i − m')
    o = σ(W_o x + R_o h + b_o)          h' = o ⊙ c' / n'

    Rows are [i; f; z; o]; ``weight_hh`` holds R's blocks alone, (4H, H / heads). At first h = c = n = 0 and m = −1e30,
    as log 0: the first n' is 1 and, one exponential always being 1, none is less: max(n', 1) only guards other states.

    Args:
        heads: Blocks of each R, a divisor of H (else `UserError`); 1, dense as in other cells, suits every H.
    """

    paper, parts = "Beck et al. 2024", ("h", "c", "n", "m")
    bias_gates = ("write", "keep")

    def __init__(self, input_size: int, hidden_size: int, heads: int = 1) -> None:
        super().__init__(input_size, hidden_size)
        if heads < 1 or hidden_size % heads:
            raise UserError(f"slstm: {heads} heads do not divide hidden_size {hidden_size}; choose a divisor of it.")
        self.heads = heads
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size // heads))
        self.bias = nn.Parameter(torch.empty(4 * hidden_size))
        self._dense: Tensor | None = None
        self.reset_parameters()

    def initial_state(self, batch: int) -> Tensor:
        return F.pad(super().initial_state(batch)[:, :3], (0, 0, 0, 1), value=-1e30)

    def _with_zeros(self) -> Tensor:
        return torch.cat([torch.block_diag(*gate.chunk(self.heads)) for gate in self.weight_hh.chunk(4)])

    def unrolled(self) -> AbstractContextManager[None]:
        return kept(self, "_dense", self._with_zeros())

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias)

    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        h, c, n, m = s.unbind(-2)
        weight = self._with_zeros() if self._dense is None else self._dense
        i, f, z, o = torch.addmm(u, h.to(u.dtype), weight.t()).to(s.dtype).chunk(4, dim=-1)
        old = m + F.logsigmoid(f)
        m = torch.maximum(old, i)
        keep, write, o = torch.exp(old - m), torch.exp(i - m), torch.sigmoid(o)
        c, n = keep * c + write * torch.tanh(z), keep * n + write
        return torch.stack((o * c / n.clamp(min=1), c, n, m), dim=-2), {"input": write, "forget": keep, "output": o}
