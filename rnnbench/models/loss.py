"""What training minimises."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from rnnbench.data.task import Batch, Task


def loss(out: Tensor, batch: Batch, task: Task) -> Tensor:
    """What training minimises, a mean over the targets that count; ``out`` has a logit a class where those are classes.

    symbols, labels: nats a target. bits: nats a step, summed over its bits. values: the squared error.
    """
    y = batch.y
    if batch.mask is not None:
        out, y = out[batch.mask], y[batch.mask]
    if task.predicts == "values":
        return F.mse_loss(out, y)
    if task.predicts == "bits":
        return F.binary_cross_entropy_with_logits(out, y, reduction="sum") / (out.numel() // out.shape[-1])
    return F.cross_entropy(out.flatten(0, -2), y.flatten())
