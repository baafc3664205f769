"""The gradient of a whole batch's loss, from some of its rows after the others."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rnnbench.data.task import Batch, Task
from rnnbench.models.build import Model
from rnnbench.models.stack import State
from rnnbench.modules.division import Division
from rnnbench.modules.metrics import loss


def in_parts(
    model: Model,
    batch: Batch,
    carry: State | None,
    task: Task,
    division: Division,
    backward: Callable[[Tensor, bool], None],
) -> tuple[Tensor, State]:
    """Forward and backward for each part that is this process's; gradients add up, so they must be cleared before.

    A part's loss, a mean, counts by its share of the batch's scored targets; times the number of processes where
    there are several, for they take the mean of their gradients. What comes out is the gradient of the whole batch's
    loss, up to rounding.

    Args:
        model: What is trained.
        batch: The whole batch.
        carry: This process's rows of the state to go on from; None at the start.
        task: What the targets are.
        division: How the batch is divided.
        backward: Does it for a loss, and is told whether it is this step's last.

    Returns:
        This process's share of the batch's loss, and its rows' last states.
    """
    parts = division.parts(batch.x.shape[0])
    total = torch.zeros((), device=batch.x.device)
    states: list[State] = []
    for rows in parts:
        begin = slice(rows.start - parts[0].start, rows.stop - parts[0].start)
        part = batch.rows(rows)
        out, state = model.predict(part, None if carry is None else [s[begin] for s in carry])
        value, share = loss(out, part, task), part.share_of(batch)
        if isinstance(share, Tensor):  # a part without a scored target has a loss of 0 / 0
            value = torch.where(share > 0, value, 0.0)
        value = value * share
        backward(value * division.devices, rows is parts[-1])
        total += value.detach()
        states.append([s.detach() for s in state])
    return total, [torch.cat(pieces) if len(pieces) > 1 else pieces[0] for pieces in zip(*states, strict=True)]
