"""The LSTM with a matrix memory (Beck et al. 2024, "xLSTM: extended long short-term memory")."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import Cell, wide
from rnnbench.cells.matrix_cell import Factors, MatrixCell
from rnnbench.cells.registry import register_cell


@register_cell("mlstm")
class MLSTM(MatrixCell):
    """The paper's equations 19–27 in each head, d = H / heads (b_k scaled too, as in the paper's code; f as σ):

    q = W_q x + b_q                          C' = f C + i v kᵀ
    k = (W_k x + b_k) / √d                   n' = f n + i k
    v = W_v x + b_v                          h = o ⊙ C' q / max(|n'ᵀ q|, 1)
    o = σ(W_o x + b_o)
    i = exp(15 tanh((w_i x + b_i) / 15))
    f = σ(w_f x + b_f)

    The soft cap is that of xLSTM 7B (Beck et al. 2025). With it i ≤ e¹⁵ and no stabiliser is needed: the paper's m
    scales C, n and the bound 1 alike, by e⁻ᵐ, which changes nothing but their exponent, and float32's is wide enough.
    The state is [Cᵀ, n], (heads, d, d + 1): n is a column that is always written 1. The block around the cell (up and
    down projection, convolution, norm of the heads, skips) is left out. Forget biases start from 3 to 6 evenly over
    the heads and input biases at 0, about where the paper's code has them; the rest is torch's.

    Args:
        heads: Memories side by side; must divide H.
    """

    paper = "Beck et al. 2024"

    def __init__(self, input_size: int, hidden_size: int, heads: int = 4) -> None:
        super().__init__(input_size, hidden_size, heads)
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size + 2 * heads, input_size))
        self.bias = nn.Parameter(torch.empty(4 * hidden_size + 2 * heads))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        Cell.reset_parameters(self)
        self.gates()["write"][0].zero_()
        self.gates()["keep"][0].copy_(torch.linspace(3, 6, self.heads))

    def gates(self) -> dict[str, list[Tensor]]:
        return {"keep": [self.bias[-self.heads :]], "write": [self.bias[-2 * self.heads : -self.heads]]}

    @property
    def state_shape(self) -> tuple[int, ...]:
        return (self.heads, self.head_dim, self.head_dim + 1)

    def drive(self, x: Tensor) -> Tensor:
        u = wide(F.linear(x, self.weight_ih, self.bias))
        q, k, v, o, i, f = u.split((*[self.hidden_size] * 4, self.heads, self.heads), dim=-1)
        i = torch.exp(15 * torch.tanh(i / 15)).unsqueeze(-1)
        value = torch.cat((i * self.apart(v), i), dim=-1).flatten(-2)
        return torch.cat((q, k / math.sqrt(self.head_dim), torch.sigmoid(o), value, F.logsigmoid(f)), dim=-1)

    def factors(self, u: Tensor) -> Factors:
        H, heads = self.hidden_size, self.heads
        key, _, value, decay = u[..., H:].split((H, H, H + heads, heads), dim=-1)
        return Factors(self.apart(key), self.apart(value), decay.unsqueeze(-1))

    def query(self, u: Tensor) -> Tensor:
        return self.apart(u[..., : self.hidden_size])

    def gate_values(self, u: Tensor, s: Tensor) -> dict[str, Tensor]:
        return {**super().gate_values(u, s), "output": u[..., 2 * self.hidden_size : 3 * self.hidden_size]}

    def emit(self, o: Tensor, u: Tensor) -> Tensor:
        h = o[..., :-1] / o[..., -1:].abs().clamp(min=1)
        return u[..., 2 * self.hidden_size : 3 * self.hidden_size] * h.flatten(-2)
