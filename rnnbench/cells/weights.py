"""How many weights a module has: those that are trained, and those that stay as they were drawn."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn


class WeightCounts(NamedTuple):
    """Numbers in all parameters that require a gradient, and in all other weights."""

    trainable: int
    frozen: int

    @property
    def total(self) -> int:
        return self.trainable + self.frozen


def count_weights(module: nn.Module) -> WeightCounts:
    """Each tensor once. Frozen are parameters without a gradient and persistent floating-point buffers, which a
    ``state_dict`` holds: an echo state network's reservoir. What follows from sizes or options alone belongs into a
    buffer that is not persistent, and is no weight.
    """
    trained = {id(weight): weight for weight in module.parameters() if weight.requires_grad}
    frozen: dict[int, Tensor] = {id(weight): weight for weight in module.parameters() if not weight.requires_grad}
    frozen |= {id(buffer): buffer for part in module.modules() for buffer in _persistent(part)}
    return WeightCounts(*(sum(weight.numel() for weight in weights.values()) for weights in (trained, frozen)))


def _persistent(module: nn.Module) -> list[Tensor]:
    named = module.named_buffers(recurse=False)
    transient = module._non_persistent_buffers_set
    return [buffer for name, buffer in named if name not in transient and buffer.is_floating_point()]
