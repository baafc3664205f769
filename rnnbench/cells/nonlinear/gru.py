"""The gated recurrent unit (Cho et al. 2014), in cuDNN's and torch's form: the reset gate after the product."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.cell import GatedCell
from rnnbench.cells.init import open_gate
from rnnbench.cells.registry import register_cell


@register_cell("gru")
class GRU(GatedCell):
    """`torch.nn.GRU` exactly.

    r = σ(W_ir x + b_ir + W_hr h + b_hr)
    z = σ(W_iz x + b_iz + W_hz h + b_hz)
    n = tanh(W_in x + b_in + r ⊙ (W_hn h + b_hn))
    h' = (1 − z) ⊙ n + z ⊙ h

    Args:
        update_bias: Sum of the update gate's two biases at the start; positive keeps the old state longer.
            torch's random one where not given.
    """

    paper = "Cho et al. 2014"
    bias_gates = ("", "keep")

    def __init__(self, input_size: int, hidden_size: int, update_bias: float | None = None) -> None:
        super().__init__(input_size, hidden_size)
        self.update_bias = update_bias
        self.weight_ih = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(3 * hidden_size))
        self.bias_hh = nn.Parameter(torch.empty(3 * hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if self.update_bias is not None:
            open_gate(self.gates()["keep"], self.update_bias)

    @property
    def torch_mode(self) -> str:
        return "GRU"

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias_ih)

    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        # b_hh stays with the product: its third part is inside the reset gate's bracket.
        recurrent = torch.addmm(self.bias_hh, s.to(u.dtype), self.weight_hh.t())
        u_gates, u_new = u.split((2 * self.hidden_size, self.hidden_size), dim=-1)
        h_gates, h_new = recurrent.split((2 * self.hidden_size, self.hidden_size), dim=-1)
        r, z = torch.sigmoid(u_gates + h_gates).chunk(2, dim=-1)
        n = torch.tanh(u_new + r * h_new)
        return n + z * (s - n), {"reset": r, "update": z}
