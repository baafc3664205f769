"""Initialisations by name, for any cell that has what they act upon."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


@torch.no_grad()
def open_gate(biases: Sequence[Tensor], value: float | Tensor) -> None:
    """Let a gate's biases sum to a value: the first takes it, the others are zeroed."""
    first, *others = biases
    first.copy_(torch.as_tensor(value, dtype=first.dtype, device=first.device).expand_as(first))
    for other in others:
        other.zero_()
