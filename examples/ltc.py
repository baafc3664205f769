"""Liquid time-constant networks (Hasani, Lechner, Amini, Rus & Grosu 2021), by their fused solver."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells import Cell, register_cell


@register_cell("ltc")
class LTC(Cell):
    """dx/dt = −(1 / τ + f) ⊙ x + f ⊙ A with f = σ(W I + U x + b), integrated by semi-implicit Euler steps:

    x ← (x + Δt f ⊙ A) / (1 + Δt (1 / τ + f))

    from one measurement to the next: Δt is the time since the last one over the number of solver steps, and where
    nothing is measured x stays.

    Args:
        solver_steps: Between two measurements.
    """

    paper = "Hasani et al. 2021"
    needs = ("observed", "elapsed")

    def __init__(self, input_size: int, hidden_size: int, solver_steps: int = 3) -> None:
        super().__init__(input_size, hidden_size)
        self.solver_steps = solver_steps
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()
        self.log_rate = nn.Parameter(torch.empty(hidden_size).uniform_(-3, 0))  # of 1 / τ, per time step
        self.target = nn.Parameter(torch.randn(hidden_size))  # A

    def drive(self, x: Tensor, observed: Tensor, elapsed: Tensor) -> Tensor:  # type: ignore[override]
        interval = (observed * elapsed).unsqueeze(-1) / self.solver_steps
        return torch.cat((F.linear(x, self.weight_ih, self.bias), interval), dim=-1)

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        current, interval = u.split((self.hidden_size, 1), dim=-1)
        for _ in range(self.solver_steps):
            f = torch.sigmoid(torch.addmm(current, s, self.weight_hh.t()))
            s = (s + interval * f * self.target) / (1 + interval * (self.log_rate.exp() + f))
        return s
