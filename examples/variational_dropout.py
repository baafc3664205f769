"""Variational dropout (Gal & Ghahramani 2016, "A theoretically grounded application of dropout in RNNs")."""

import torch
from torch import Tensor

from rnnbench.cells import LSTM, register_cell


@register_cell("variational_dropout")
class VariationalDropout(LSTM):
    """The LSTM, which reads z ⊙ h / (1 − rate) in the place of h, with one z ~ Bernoulli(1 − rate) for all of a window.

    In evaluation the factor is 1. The masks of what goes in and out are those of ``--model.dropout``.

    Args:
        rate: Probability that a number of h is dropped.
    """

    paper = "Gal & Ghahramani 2016"
    torch_mode = None

    def __init__(self, input_size: int, hidden_size: int, rate: float = 0.25) -> None:
        super().__init__(input_size, hidden_size)
        self.rate = rate

    def draw(self, batch: int, time: int) -> Tensor:
        ones = torch.ones(batch, 1, self.hidden_size, device=self.bias_hh.device)
        factor = torch.bernoulli(ones * (1 - self.rate)) / (1 - self.rate) if self.training else ones
        return factor.expand(-1, time, -1)

    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        drive, factor = u.split((4 * self.hidden_size, self.hidden_size), dim=-1)
        h, c = s.unbind(-2)
        return super().gated_step(drive, torch.stack((factor.to(s.dtype) * h, c), dim=-2))
