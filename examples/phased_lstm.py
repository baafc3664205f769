"""Phased LSTM (Neil, Pfeiffer & Liu 2016, "Accelerating recurrent network training for long or event-based sequences").

It needs the time stamps: on data without any they are the number of the step.
"""

import torch
from torch import Tensor, nn

from rnnbench.cells import LSTM, register_cell


@register_cell("phased_lstm")
class PhasedLSTM(LSTM):
    """The LSTM, of which each unit is updated while its own clock is in the open phase:

    φ = ((t − s) mod τ) / τ
    k = 2φ / r for φ < r / 2;  2 − 2φ / r for r / 2 ≤ φ < r;  αφ else
    c' = k ⊙ LSTM_c(x, h, c) + (1 − k) ⊙ c,  h' the same

    Args:
        ratio: r, the share of a period in which a unit is open.
        leak: α, by which it is open in the rest of it.
        longest: log τ starts uniform in 0 … log ``longest``, τ in time steps; s is uniform in 0 … τ.
    """

    paper = "Neil, Pfeiffer & Liu 2016"
    needs = ("time",)
    torch_mode = None

    def __init__(
        self, input_size: int, hidden_size: int, ratio: float = 0.05, leak: float = 0.001, longest: float = 20.0
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.ratio, self.leak = ratio, leak
        self.log_period = nn.Parameter(torch.rand(hidden_size) * torch.tensor(longest).log())
        self.shift = nn.Parameter(torch.rand(hidden_size) * self.log_period.detach().exp())

    def drive(self, x: Tensor, time: Tensor) -> Tensor:  # type: ignore[override]
        turns = (time.unsqueeze(-1) - self.shift) / self.log_period.exp()
        phase = turns - turns.floor()
        rising, falling = 2 * phase / self.ratio, 2 - 2 * phase / self.ratio
        gate = torch.where(phase < self.ratio, torch.minimum(rising, falling), self.leak * phase)
        return torch.cat((super().drive(x), gate), dim=-1)

    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        drive, gate = u.split((4 * self.hidden_size, self.hidden_size), dim=-1)
        new, gates = super().gated_step(drive, s)
        return torch.lerp(s, new, gate.unsqueeze(-2).to(s.dtype).expand_as(s)), {**gates, "time": gate}
