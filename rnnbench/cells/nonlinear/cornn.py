"""The coupled oscillatory network (Rusch & Mishra 2021, "Coupled oscillatory recurrent neural network (coRNN)")."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import Cell
from rnnbench.cells.registry import register_cell


@register_cell("cornn")
class CoRNN(Cell):
    """H damped oscillators, driven through one another; the state is s = [y; z], (B, 2, H): positions and velocities.

    z' = z + Δt (tanh(W y + 𝓦 z + V x + b) − γ y − ε z)
    y' = y + Δt z'

    This is the paper's IMEX discretisation of y″ = tanh(W y + 𝓦 y′ + V x + b) − γ y − ε y′ (eq. 3) with explicit
    damping (n̄ = n − 1), as its authors run it: velocities from the old state, positions from the new velocities.
    ``weight_hh`` is [W, 𝓦], (H, 2H). HI + 2H² + H parameters.

    Args:
        dt: Δt, the time step. The paper tunes all three to the task (0.042, 2.7 and 4.7 for the 784 steps of sequential
            MNIST); the defaults are for what changes from step to step, as text does.
        gamma: γ, the oscillators' squared frequency.
        epsilon: ε, their damping.
    """

    paper = "Rusch & Mishra 2021"
    parts = ("y", "z")

    def __init__(
        self, input_size: int, hidden_size: int, dt: float = 0.5, gamma: float = 1.0, epsilon: float = 1.0
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.dt, self.gamma, self.epsilon = dt, gamma, epsilon
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size, 2 * hidden_size))
        self.bias = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def recurrent_matrices(self) -> list[Tensor]:
        return list(self.weight_hh.split(self.hidden_size, dim=1))

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias)

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        y, z = s.unbind(-2)
        coupling = torch.tanh(torch.addmm(u, s.flatten(-2).to(u.dtype), self.weight_hh.t()).to(s.dtype))
        force = coupling.sub(y, alpha=self.gamma).sub(z, alpha=self.epsilon)
        z = z.add(force, alpha=self.dt)
        y = y.add(z, alpha=self.dt)
        return torch.stack((y, z), dim=-2)
