"""The HyperLSTM (Ha, Dai & Le 2016, "HyperNetworks", section 3.2), without its layer normalisation."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells import Cell, register_cell


@register_cell("hyperlstm")
class HyperLSTM(Cell):
    """An LSTM whose gates a small LSTM scales and shifts; s = [h; c; ĥ; ĉ]; for each gate

    ĥ', ĉ' = LSTM([x; h], ĥ, ĉ)      [p; q; b] = D (W_z ĥ' + b_z)      (1 + p) ⊙ W x + (1 + q) ⊙ U h + b

    Args:
        hyper_size: Width of ĥ.
        embedding_size: Width of what each p, q and b is made from.
    """

    paper = "Ha, Dai & Le 2016"

    def __init__(self, input_size: int, hidden_size: int, hyper_size: int = 16, embedding_size: int = 4) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.D = nn.Parameter(torch.empty(12, embedding_size, hidden_size))
        self.reset_parameters()
        self.hyper = nn.LSTMCell(input_size + hidden_size, hyper_size)
        self.z = nn.Linear(hyper_size, 12 * embedding_size)

    @property
    def state_shape(self) -> tuple[int, ...]:
        return (2 * self.hidden_size + 2 * self.hyper.hidden_size,)

    def drive(self, x: Tensor) -> Tensor:
        return torch.cat((F.linear(x, self.weight_ih), x), dim=-1)

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        h, c, *hyper = s.split((*[self.hidden_size] * 2, *[self.hyper.hidden_size] * 2), dim=-1)
        wx, x = u.split((4 * self.hidden_size, self.input_size), dim=-1)
        hyper = self.hyper(torch.cat((x, h), dim=-1), tuple(hyper))
        z = self.z(hyper[0]).unflatten(-1, (12, -1))
        p, q, b = torch.einsum("bgz,gzh->bgh", z, self.D).flatten(1).chunk(3, dim=-1)
        i, f, g, o = ((1 + p) * wx + (1 + q) * (h @ self.weight_hh.t()) + b).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.cat((torch.sigmoid(o) * torch.tanh(c), c, *hyper), dim=-1)

    def read(self, s: Tensor, u: Tensor) -> Tensor:
        return s[..., : self.hidden_size]
