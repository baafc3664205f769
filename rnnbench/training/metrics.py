"""The figures of merit, summed in float64 so that a million small terms stay exact, and the losses along a text."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from rnnbench.data.task import Batch, Task

#: The figure a study compares, and that decides which weights are the best; of all of them less is better.
PRIMARY_METRIC = {"symbols": "bpc", "labels": "error", "values": "mse", "bits": "nll"}


class _Sums(Metric):
    """Sums of float64 and counts, over all batches and all processes."""

    full_state_update = False
    sums: tuple[str, ...] = ()
    counts: tuple[str, ...] = ("count",)
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in self.sums:
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        for name in self.counts:
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")


def _unmasked(out: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Outputs and targets, those left out that do not count."""
    return (out, batch.y) if batch.mask is None else (out[batch.mask], batch.y[batch.mask])


class LikelihoodMetric(_Sums):
    """Negative log-likelihood of symbols: ``nll`` (nats a symbol), ``bpc`` = nll / ln 2, ``perplexity`` = exp(nll)."""

    sums = ("nll_sum",)
    nll_sum: Tensor
    #: Is shown every batch with its nats (B, T), 0 where a target does not count.
    watcher: Callable[[Tensor, Batch], None] | None = None

    def update(self, out: Tensor, batch: Batch) -> None:
        """out (B, T, V) logits, batch.y (B, T) classes."""
        out, y = _unmasked(out, batch)
        nll = F.cross_entropy(out.flatten(0, -2), y.flatten(), reduction="none")
        self.nll_sum += nll.double().sum()
        self.count += y.numel()
        if self.watcher is not None:
            if batch.mask is not None:
                nll = nll.new_zeros(batch.y.shape).masked_scatter(batch.mask, nll)
            self.watcher(nll.view(batch.y.shape), batch)

    def compute(self) -> dict[str, Tensor]:
        nll = self.nll_sum / self.count
        return {"nll": nll, "bpc": nll / math.log(2), "perplexity": nll.exp()}


class LabelMetric(_Sums):
    """Classes: ``error``, the share of wrong answers among the scored, ``accuracy`` = 1 − error, ``nll`` in nats."""

    sums, counts = ("nll_sum", "wrong"), ("count", "answers")
    nll_sum: Tensor
    wrong: Tensor
    answers: Tensor

    def update(self, out: Tensor, batch: Batch) -> None:
        """out (B, V) or (B, T, V) logits, batch.y (B,) or (B, T) classes."""
        mask = torch.ones_like(batch.y, dtype=torch.bool) if batch.mask is None else batch.mask
        scored = mask if batch.scored is None else batch.scored
        self.nll_sum += F.cross_entropy(out[mask], batch.y[mask], reduction="none").double().sum()
        self.count += mask.sum()
        self.wrong += (out[scored].argmax(-1) != batch.y[scored]).sum()
        self.answers += scored.sum()

    def compute(self) -> dict[str, Tensor]:
        error = self.wrong / self.answers
        return {"error": error, "accuracy": 1 - error, "nll": self.nll_sum / self.count}


class BitMetric(_Sums):
    """Steps of many bits: ``nll`` in nats a step, ``accuracy`` = TP / (TP + FP + FN) at one half (Bay et al. 2009)."""

    sums = ("nll_sum", "hits", "misses")
    nll_sum: Tensor
    hits: Tensor
    misses: Tensor

    def update(self, out: Tensor, batch: Batch) -> None:
        """out (B, T, O) logits, batch.y (B, T, O) of 0 and 1."""
        out, y = _unmasked(out, batch)
        predicted, true = out > 0, y > 0.5
        self.nll_sum += F.binary_cross_entropy_with_logits(out, y, reduction="none").double().sum()
        self.count += out.numel() // out.shape[-1]
        self.hits += (predicted & true).sum()
        self.misses += (predicted != true).sum()

    def compute(self) -> dict[str, Tensor]:
        return {"nll": self.nll_sum / self.count, "accuracy": self.hits / (self.hits + self.misses)}


class ErrorMetric(_Sums):
    """Errors of numbers: ``mse`` and ``mae`` on standardised values, ``mase`` where the task knows its weights.

    MASE (Hyndman & Koehler 2006) is the mean absolute error in original units over the training part's mean absolute
    one-step change; of several series the mean of theirs.
    """

    sums = ("squared", "absolute", "scaled")
    squared: Tensor
    absolute: Tensor
    scaled: Tensor

    def __init__(self, mase_weights: tuple[float, ...] = ()) -> None:
        super().__init__()
        self.mase_weights = mase_weights

    def update(self, out: Tensor, batch: Batch) -> None:
        """out and batch.y are (B, O) or (B, T, O)."""
        out, y = _unmasked(out, batch)
        error = (out - y).double()
        self.squared += (error**2).sum()
        self.absolute += error.abs().sum()
        if self.mase_weights:
            self.scaled += (error.abs() * error.new_tensor(self.mase_weights)).sum()
        self.count += error.numel()

    def compute(self) -> dict[str, Tensor]:
        figures = {"mse": self.squared / self.count, "mae": self.absolute / self.count}
        return figures | ({"mase": self.scaled / self.count} if self.mase_weights else {})


def metric_for(task: Task) -> Metric:
    """The metric of a task."""
    if task.predicts == "values":
        return ErrorMetric(task.mase_weights)
    kinds: dict[str, type[Metric]] = {"symbols": LikelihoodMetric, "labels": LabelMetric, "bits": BitMetric}
    return kinds[task.predicts]()


# --- the losses of a text, as watchers of a `LikelihoodMetric` --------------------------------------------------------

#: Characters in a block: neighbours are alike, and what is drawn anew by a bootstrap has to be long (protocol: ≥ 1000).
BLOCK = 1000


class StreamLosses:
    """The nats of every character of a stateful evaluation, put back into the order of the text.

    Such an evaluation cuts one stream into rows that lie one after the other, and reads them side by side, batch after
    batch; what a row reads only to warm up is not scored. So the rows' scored targets in turn are the text.
    """

    def __init__(self) -> None:
        self._nll: list[Tensor] = []
        self._scored: list[Tensor] = []

    def __call__(self, nll: Tensor, batch: Batch) -> None:
        self._nll.append(nll)
        self._scored.append(torch.ones_like(nll, dtype=torch.bool) if batch.mask is None else batch.mask)

    def each(self) -> NDArray[np.float64]:
        """(N,) the nats of each target, from the text's first on."""
        values: NDArray[np.float64] = torch.cat(self._nll, 1)[torch.cat(self._scored, 1)].double().cpu().numpy()
        return values

    def curves(self) -> dict[str, NDArray[Any]]:
        """``nll_blocks`` (K,), the mean nats of each block, and ``nll_block_sizes`` (K,), its characters.

        The last block may be shorter; it is kept, with its size: Σ mean · size / Σ size is the evaluation's nll.
        """
        each = self.each()
        starts = np.arange(0, len(each), BLOCK)
        sizes = np.diff(starts, append=len(each))
        return {"nll_blocks": np.add.reduceat(each, starts) / sizes, "nll_block_sizes": sizes}


class PositionLosses:
    """The nats of a stateless evaluation, by how many characters were read since the state was zeroed."""

    def __init__(self) -> None:
        self._sums, self._counts = torch.zeros(()), torch.zeros((), dtype=torch.int64)

    def __call__(self, nll: Tensor, batch: Batch) -> None:
        self._sums = self._sums.to(nll.device) + nll.double().sum(0)
        self._counts = self._counts.to(nll.device) + (len(nll) if batch.mask is None else batch.mask.sum(0))

    def curves(self) -> dict[str, NDArray[Any]]:
        """``nll_by_position`` (T,), the mean nats of each window's p-th target, and ``nll_position_sizes``, how many.

        Positions without any target, after a text's shorter last window, are left out. Σ mean · size / Σ size is the
        evaluation's nll.
        """
        sums = self._sums.cpu().numpy()
        sizes = self._counts.expand(sums.shape).cpu().numpy()
        seen = sizes > 0
        return {"nll_by_position": sums[seen] / sizes[seen], "nll_position_sizes": sizes[seen]}
