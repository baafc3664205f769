"""The temporal convolutional network (Bai, Kolter & Koltun 2018)."""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.registry import register_cell
from rnnbench.cells.weight_norm import weight_norm
from rnnbench.cells.window_cell import WindowCell
from rnnbench.errors import UserError


@register_cell("tcn")
class TCN(WindowCell):
    """Residual blocks of two causal convolutions each, dilated by 1, 2, 4, …; an entry is [x; 1].

    At level l = 0 … L − 1, with z = x at the first:
    z' = relu(conv(relu(conv(z))))         conv(z)_t = b + Σ_j W_j z_{t − 2^l j}, j = 0 … k − 1, W weight-normalised
    z = relu(z' + z)                       or z' + W_z z + b_z where the widths differ

    The window is the receptive field, W = 1 + 2 (k − 1)(2^L − 1). Every convolution is padded with zeros before the
    beginning: the entries' 1 tells where that was. Initialised as torch's `nn.Conv1d`: the N(0, 0.01) of the paper's
    code is lost in its weight normalisation but for W_z. The dropout inside the blocks is left out.

    Args:
        hidden_size: H, the width of every convolution.
        levels: L.
        kernel: k.

    Raises:
        UserError: fewer than 1 level, or a kernel below 2, which would see no past.
    """

    paper = "Bai, Kolter & Koltun 2018"

    def __init__(self, input_size: int, hidden_size: int, levels: int = 4, kernel: int = 3) -> None:
        if levels < 1 or kernel < 2:
            raise UserError(f"tcn: levels must be 1 or more and kernel 2 or more, got {levels} and {kernel}.")
        super().__init__(input_size, hidden_size, 1 + 2 * (kernel - 1) * (2**levels - 1), entry_size=input_size + 1)
        self.convs = nn.ModuleList()
        for level in range(levels):
            for width in (hidden_size if level else input_size, hidden_size):
                self.convs.append(weight_norm(nn.Conv1d(width, hidden_size, kernel, dilation=2**level)))
        self.residual = nn.Conv1d(input_size, hidden_size, 1) if input_size != hidden_size else nn.Identity()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                module.reset_parameters()
        # That drew into a product of what is normalised; an assignment sets its factors.
        for conv in self.convs:
            conv.weight = nn.init.kaiming_uniform_(torch.empty_like(cast(Tensor, conv.weight)), a=math.sqrt(5))

    def drive(self, x: Tensor) -> Tensor:
        return x

    def entry(self, u: Tensor) -> Tensor:
        return F.pad(u, (0, 1), value=1.0)

    def look(self, entries: Tensor, u: Tensor) -> Tensor:
        channels = entries.to(u.dtype).transpose(1, 2)
        z, known = channels[:, :-1], (channels[:, -1:] > 0.5).to(u.dtype)
        for level, (first, second) in enumerate(zip(self.convs[::2], self.convs[1::2], strict=True)):
            # Unpadded, each convolution drops the time steps whose past is not among the entries.
            inner = torch.relu(first(z * known))
            inner = torch.relu(second(inner * known[..., -inner.shape[-1] :]))
            z, known = z[..., -inner.shape[-1] :], known[..., -inner.shape[-1] :]
            z = torch.relu(inner + (self.residual(z) if level == 0 else z))
        return z.transpose(1, 2)
