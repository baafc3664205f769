"""Long expressive memory (Rusch et al. 2022, "Long expressive memory for sequence modeling")."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import GatedCell
from rnnbench.cells.registry import register_cell


@register_cell("lem")
class LEM(GatedCell):
    """Two coupled states, each with time steps of its own that are learned; the state is s = [y; z], (B, 2, H).

    Δ = Δt σ(W_1 y + V_1 x + b_1)       z' = (1 − Δ) ⊙ z + Δ ⊙ tanh(W_z y + V_z x + b_z)
    Δ̄ = Δt σ(W_2 y + V_2 x + b_2)       y' = (1 − Δ̄) ⊙ y + Δ̄ ⊙ tanh(W_y z' + V_y x + b_y)

    y' is from the new z' (eq. 3). ``weight_ih`` is [V_1; V_2; V_z; V_y], ``bias`` likewise, ``weight_hh``
    [W_1; W_2; W_z]; W_y multiplies another vector and is ``weight_zy``: two products a step, one after the other.
    4(HI + H² + H) parameters. While Δt ≤ 1 states that start in [−1, 1] stay there.

    Args:
        dt: Δt, the longest time step.
    """

    paper = "Rusch et al. 2022"
    parts = ("y", "z")
    bias_gates = ("write",)

    def __init__(self, input_size: int, hidden_size: int, dt: float = 1.0) -> None:
        super().__init__(input_size, hidden_size)
        self.dt = dt
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.weight_zy = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(4 * hidden_size))
        self.reset_parameters()

    def recurrent_matrices(self) -> list[Tensor]:
        return [*super().recurrent_matrices(), self.weight_zy]

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias)

    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        H = self.hidden_size
        y, z = s.unbind(-2)
        u_y_z, u_y = u.split((3 * H, H), dim=-1)
        steps, candidate = torch.addmm(u_y_z, y.to(u.dtype), self.weight_hh.t()).to(s.dtype).split((2 * H, H), dim=-1)
        steps = torch.sigmoid(steps)
        step_z, step_y = (self.dt * steps).chunk(2, dim=-1)
        z = torch.lerp(z, torch.tanh(candidate), step_z)
        candidate = torch.addmm(u_y, z.to(u.dtype), self.weight_zy.t()).to(s.dtype)
        y = torch.lerp(y, torch.tanh(candidate), step_y)
        return torch.stack((y, z), dim=-2), {"steps": steps}

    def gate_values(self, u: Tensor, s: Tensor) -> dict[str, Tensor]:
        """Δ and Δ̄ in units of Δt; taken apart here, for in every step it would be felt."""
        step_z, step_y = super().gate_values(u, s)["steps"].chunk(2, dim=-1)
        return {"step_z": step_z, "step_y": step_y}
