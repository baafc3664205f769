"""Optimiser, gradient clipping and learning-rate schedule from their config."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from rnnbench.cells.cell import Cell
from rnnbench.config import OptimConfig
from rnnbench.errors import UserError, unknown

_OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
}


def make_optimizer(parameters: Iterable[Parameter], config: OptimConfig, cells: Iterable[Cell] = ()) -> Optimizer:
    """torch's own; the fused form where torch has one (0.12 ms a step instead of 0.24 for six tensors).

    The cells' `parameter_groups` come after one of all other parameters; raises `UserError` where one is ill-formed.
    """
    extra = {"foreach": True} if config.name == "rmsprop" else {"fused": True}
    special = [_group(cell, group, config) for cell in cells for group in cell.parameter_groups()]
    grouped = [id(parameter) for group in special for parameter in group["params"]]
    if len(set(grouped)) < len(grouped):
        raise UserError("parameter_groups has a parameter twice; a parameter is in one group at most.")
    rest: list[Any] = [parameter for parameter in parameters if id(parameter) not in grouped]
    groups = [{"params": rest}, *special] if special else rest
    return _OPTIMIZERS[config.name](groups, lr=config.lr, weight_decay=config.weight_decay, **extra)


def _group(cell: Cell, group: dict[str, Any], config: OptimConfig) -> dict[str, Any]:
    """One of a cell's groups as torch's optimisers take it."""
    name, known = f"a parameter group of {type(cell).__name__}", ("params", "lr_factor", "weight_decay")
    for key in group:
        if key not in known:
            raise unknown(f"entry of {name}", str(key), known)
    its = {id(parameter) for parameter in cell.parameters()}
    params = list(group.get("params", ()))
    if not params or any(id(parameter) not in its for parameter in params):
        raise UserError(f"{name} must have params, a list of parameters of that cell.")
    lr, decay = config.lr * group.get("lr_factor", 1.0), group.get("weight_decay", config.weight_decay)
    return {"params": params, "lr": lr, "weight_decay": decay}


def clip_gradients(weights: Sequence[Parameter], config: OptimConfig) -> Tensor:
    """Clip all gradients in place, by their global norm or value by value; returns the norm before.

    `SequenceModule` calls it after each backward pass.

    The operations of torch's `clip_grad_norm_`, without its search for devices and number formats.
    """
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    if config.clip is not None and config.clip_by == "value":
        torch.nn.utils.clip_grad_value_(weights, config.clip, foreach=True)
    elif config.clip is not None:
        torch._foreach_mul_(gradients, torch.clamp(config.clip / (norm + 1e-6), max=1.0))
    return norm


def make_schedule(optimizer: Optimizer, config: OptimConfig, total_steps: int) -> LambdaLR | None:
    """Linear warm-up, then constant, cosine or linear decay to zero at ``total_steps``; None where nothing changes.

    Raises:
        UserError: something is to change, and the length is not known.
    """
    if config.schedule == "constant" and config.warmup == 0:
        return None
    if total_steps < 1:
        raise UserError("a schedule or warm-up needs the training's length: pass total_steps to the module.")
    rising = round(config.warmup * total_steps)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        share = min(1.0, (step - rising) / max(1, total_steps - rising))
        if config.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * share))
        return 1.0 - share if config.schedule == "linear" else 1.0

    return LambdaLR(optimizer, factor)
