"""Weight normalisation (Salimans & Kingma 2016), W = g v / ‖v‖ for each output, exact in float64 on a GPU too."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization


def weight_norm(module: nn.Module) -> nn.Module:
    """As `torch.nn.utils.parametrizations.weight_norm`: the same parameters, g (H, 1, …) and v like W (H, …)."""
    return register_parametrization(module, "weight", Normalised())


class Normalised(nn.Module):
    """torch's own kernel, but for float64 on a GPU, where that takes the root of ‖v‖² in float32."""

    def forward(self, g: Tensor, v: Tensor) -> Tensor:
        """g and v → W."""
        return direct(g, v) if v.is_cuda and v.dtype == torch.float64 else torch._weight_norm(v, g, 0)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """W → g and v."""
        return torch.norm_except_dim(weight, 2, 0), weight


def direct(g: Tensor, v: Tensor) -> Tensor:
    """g and v → W in plain operations, which round otherwise than the kernel."""
    return v * (g / torch.norm_except_dim(v, 2, 0))
