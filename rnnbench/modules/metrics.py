"""The figures of merit, as torchmetrics: accumulated in float64, so that a million small terms stay exact."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Metric

from rnnbench.data.task import Batch, Task


class LikelihoodMetric(Metric):
    """Negative log-likelihood of tokens: ``nll`` (nats a token), ``bpc`` = nll / ln 2, ``perplexity`` = exp(nll)."""

    full_state_update = False
    nll_sum: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("nll_sum", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, out: Tensor, batch: Batch) -> None:
        """out (B, T, V) logits, batch.y (B, T) classes; positions outside batch.mask do not count."""
        nll = F.cross_entropy(out.flatten(0, 1), batch.y.flatten(), reduction="none").double()
        if batch.mask is not None:
            nll = nll * batch.mask.flatten()
            self.count += batch.mask.sum()
        else:
            self.count += nll.numel()
        self.nll_sum += nll.sum()

    def compute(self) -> dict[str, Tensor]:
        nll = self.nll_sum / self.count
        return {"nll": nll, "bpc": nll / math.log(2), "perplexity": nll.exp()}


class ErrorMetric(Metric):
    """Errors of a forecast: ``mse`` and ``mae`` on standardised values, ``mase`` where the task knows its denominator.

    MASE (Hyndman & Koehler 2006) is the mean absolute error in original units over the training part's mean absolute
    one-step change.
    """

    full_state_update = False
    squared: Tensor
    absolute: Tensor
    count: Tensor

    def __init__(self, scale: float, naive_mae: float | None) -> None:
        super().__init__()
        self.scale, self.naive_mae = scale, naive_mae
        self.add_state("squared", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("absolute", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, out: Tensor, batch: Batch) -> None:
        """out and batch.y are (B, O)."""
        error = (out - batch.y).double()
        self.squared += (error**2).sum()
        self.absolute += error.abs().sum()
        self.count += error.numel()

    def compute(self) -> dict[str, Tensor]:
        mse, mae = self.squared / self.count, self.absolute / self.count
        figures = {"mse": mse, "mae": mae}
        if self.naive_mae:
            figures["mase"] = mae * self.scale / self.naive_mae
        return figures


def metric_for(task: Task) -> Metric:
    """The metric of a task."""
    return LikelihoodMetric() if task.kind == "tokens" else ErrorMetric(task.scale, task.naive_mae)


def loss_for(task: Task) -> nn.Module:
    """What training minimises: nats a token, or the mean squared error."""
    return nn.CrossEntropyLoss() if task.kind == "tokens" else nn.MSELoss()


#: The figure a study compares, by kind of task.
HEADLINE = {"tokens": "bpc", "values": "mse"}
