"""The leaky echo state network (Jaeger 2001, "The echo state approach"; leaky units: Jaeger et al. 2007)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from rnnbench.cells import Cell, register_cell


@register_cell("echo_state")
class EchoState(Cell):
    """A reservoir that is drawn once and never trained; what it holds is read out by the model's own readout:

    s' = (1 − a) s + a tanh(W_in x + b + W s)

    W_in and b are uniform in ±1; one number in ten of W is not zero, and W is scaled to a spectral radius.

    Args:
        leak: a, in (0, 1].
        radius: Spectral radius of W; somewhat below 1 the reservoir forgets where it started.
    """

    paper = "Jaeger 2001; Jaeger et al. 2007"

    def __init__(self, input_size: int, hidden_size: int, leak: float = 0.3, radius: float = 0.95) -> None:
        super().__init__(input_size, hidden_size)
        self.leak = leak
        reservoir = torch.rand(hidden_size, hidden_size).mul_(2).sub_(1)
        reservoir *= torch.rand(hidden_size, hidden_size) < max(0.1, 4 / hidden_size)
        reservoir *= radius / torch.linalg.eigvals(reservoir).abs().amax().clamp(min=1e-3)
        self.register_buffer("weight_in", torch.rand(hidden_size, input_size).mul_(2).sub_(1))
        self.register_buffer("bias", torch.rand(hidden_size).mul_(2).sub_(1))
        self.register_buffer("reservoir", reservoir)

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.get_buffer("weight_in"), self.get_buffer("bias"))

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return torch.lerp(s, torch.tanh(u + s.to(u.dtype) @ self.get_buffer("reservoir").t()).to(s.dtype), self.leak)
