"""The quasi-recurrent network (Bradbury et al. 2017, "Quasi-recurrent neural networks")."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.affine_cell import AffineCell
from rnnbench.cells.cell import wide
from rnnbench.cells.registry import register_cell


@register_cell("qrnn")
class QRNN(AffineCell):
    """A causal convolution of width 2, then fo-pooling (sections 2 and 2.1).

    z = tanh(W_z¹ x_{t−1} + W_z² x_t + b_z)      c' = f ⊙ c + (1 − f) ⊙ z
    f = σ(W_f¹ x_{t−1} + W_f² x_t + b_f)         h = o ⊙ c'
    o = σ(W_o¹ x_{t−1} + W_o² x_t + b_o)

    The state is [c; ō; W¹ x], (B, 5H): ō is o before its σ, which `read` could not rebuild without the last input, and
    W¹ x waits for the next step. Before the beginning x is 0, so that the weight is `nn.Conv1d`'s, (3H, I, 2).
    """

    paper = "Bradbury et al. 2017"
    bias_gates = ("", "keep")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.delay = 3 * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(3 * hidden_size, input_size, 2))
        self.bias = nn.Parameter(torch.empty(3 * hidden_size))
        self.reset_parameters()

    @property
    def state_shape(self) -> tuple[int, ...]:
        return (5 * self.hidden_size,)

    def drive(self, x: Tensor) -> Tensor:
        before, now = self.weight_ih.unbind(-1)
        bias = torch.cat((self.bias, torch.zeros_like(self.bias)))
        return wide(F.linear(x, torch.cat((now, before)), bias))

    def _parts(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z before its tanh, f, and o before its σ."""
        now, before = u.chunk(2, dim=-1)
        z, f, o = (now + before).chunk(3, dim=-1)
        return z, torch.sigmoid(f), o

    def affine(self, u: Tensor) -> tuple[Tensor, Tensor]:
        z, f, o = self._parts(u)
        return torch.cat((f, torch.zeros_like(f)), dim=-1), torch.cat(((1 - f) * torch.tanh(z), o), dim=-1)

    def gate_values(self, u: Tensor, s: Tensor) -> dict[str, Tensor]:
        # Of a the half that is c's: ō keeps nothing.
        _, f, o = self._parts(self._arrived(u, s)[0])
        return {"decay": f, "output": torch.sigmoid(o)}

    def read(self, s: Tensor, u: Tensor) -> Tensor:
        c, o = s[..., : 2 * self.hidden_size].chunk(2, dim=-1)
        return torch.sigmoid(o) * c
