"""Zoneout (Krueger et al. 2017, "Zoneout: regularizing RNNs by randomly preserving hidden activations")."""

import torch
from torch import Tensor

from rnnbench.cells import LSTM, register_cell


@register_cell("zoneout")
class Zoneout(LSTM):
    """The LSTM, of which each number of h and of c keeps its old value with some probability at each step:

    h' = z_h ⊙ h + (1 − z_h) ⊙ LSTM_h(x, h, c)      z_h ~ Bernoulli(hidden), in evaluation z_h = hidden
    c' = z_c ⊙ c + (1 − z_c) ⊙ LSTM_c(x, h, c)      z_c ~ Bernoulli(cell), in evaluation z_c = cell

    Args:
        hidden: Probability that a number of h is kept.
        cell: Probability that a number of c is kept.
    """

    paper = "Krueger et al. 2017"
    torch_mode = None

    def __init__(self, input_size: int, hidden_size: int, hidden: float = 0.05, cell: float = 0.5) -> None:
        super().__init__(input_size, hidden_size)
        self.rates = (hidden, cell)

    def draw(self, batch: int, time: int) -> Tensor:
        rates = torch.tensor(self.rates, device=self.bias_hh.device).repeat_interleave(self.hidden_size)
        rates = rates.expand(batch, time, -1)
        return torch.bernoulli(rates) if self.training else rates

    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        drive, keep = u.split((4 * self.hidden_size, 2 * self.hidden_size), dim=-1)
        new, gates = super().gated_step(drive, s)
        return torch.lerp(new, s, keep.to(s.dtype).view_as(s)), gates
