"""What a data set asks of a model, and the batch it hands over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import Tensor


@dataclass(frozen=True)
class Task:
    """The data's side of the contract with the model: the model builds its input and its head from it.

    Args:
        shape: many_to_many: a target at every step. many_to_one: one target after the last step.
        kind: tokens: x holds indices below ``input_size``, targets are classes, the loss is the negative
            log-likelihood in nats. values: x holds vectors of ``input_size`` numbers, the loss is the squared error.
        input_size: Vocabulary size V, or numbers per time step.
        output_size: Vocabulary size V, or numbers forecast.
        stateful: Consecutive batches continue each other, so the recurrent state is carried from one to the next.
        scale: Standard deviation of the training part (values): turns standardised errors into original units.
        naive_mae: Mean absolute one-step change of the training part in original units, MASE's denominator
            (Hyndman & Koehler 2006); None where the notion makes no sense.
    """

    shape: Literal["many_to_many", "many_to_one"]
    kind: Literal["tokens", "values"]
    input_size: int
    output_size: int
    stateful: bool = False
    scale: float = 1.0
    naive_mae: float | None = None


class Batch(NamedTuple):
    """One step's data.

    x: (B, T) int64 indices, or (B, T, C) float32. y: (B, T) int64 for many_to_many tokens, (B, O) float32 for values.
    reset: the state starts from zero here; False: it continues the previous batch's, stream by stream.
    mask: (B, T) bool, True where the prediction is scored; None scores all.
    """

    x: Tensor
    y: Tensor
    reset: bool = True
    mask: Tensor | None = None
