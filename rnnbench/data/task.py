"""What a data set asks of a model, and the batch it hands over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from rnnbench.catalog import Shape


@dataclass(frozen=True)
class Task:
    """The data's side of the contract with the model: the model builds its input and its head from it.

    Args:
        shape: one_to_one, many_to_one: one target a sequence, of one step or of many. many_to_many: a target at every
            step. one_to_many, seq2seq: a target sequence of its own length, written by a decoder.
        reads: tokens: x holds indices below ``input_size``. values: x holds vectors of ``input_size`` numbers.
        predicts: symbols: classes that make a language; the loss is the negative log-likelihood in nats, the figure
            bits per character. labels: classes; the same loss, the figure the share of wrong answers. values: numbers,
            squared error. bits: ``output_size`` yes-or-no answers a step, the sum of their negative log-likelihoods.
        input_size: Vocabulary size, or numbers per time step.
        output_size: Classes, numbers forecast, or bits.
        stateful: Consecutive batches continue each other, so the recurrent state is carried from one to the next.
        causal: The targets are inputs still to come, so nothing may be read backwards.
        mase_weights: Values only: for each output (or once for all) the training part's standard deviation over its
            mean absolute one-step change, which turns a standardised absolute error into MASE's terms (Hyndman &
            Koehler 2006); empty where the notion makes no sense.
    """

    shape: Shape
    reads: Literal["tokens", "values"]
    predicts: Literal["symbols", "labels", "values", "bits"]
    input_size: int
    output_size: int
    stateful: bool = False
    causal: bool = False
    mase_weights: tuple[float, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether the targets are a sequence of their own length, so that the model needs a decoder."""
        return self.shape in ("one_to_many", "seq2seq")


class Batch(NamedTuple):
    """One step's data. Sequences of several lengths are padded at their end; what pads is never scored.

    x: (B, T) int64 indices, or (B, T, C) float32; T = 1 where one vector is read.
    y: one target a sequence: (B,) int64 classes, or (B, O) float32 values. One a step: (B, T) classes, or (B, T, O)
        values or bits. A sequence of its own: (B, U) int64 classes, the end symbol included.
    reset: the state starts from zero here; False: it continues the previous batch's, stream by stream.
    mask: bool, True where a target counts; (B, T), (B, U) or, one target a sequence, (B,). None: all count.
    lengths: (B,) int64, how many steps of x are data. None: all T.
    scored: bool, like ``mask``: where labels are counted as right or wrong, if that is not wherever they count in the
        loss (copy: the loss is over all steps, the answer is the last ten).
    side: (B, T) float32 by name, what a cell may need beside x where it does not follow from the step's number, as in a
        record with gaps; see `rnnbench.cells.side_inputs`.
    begin: the number of x's first step in its stream; 0 where the state starts from zero.
    """

    x: Tensor
    y: Tensor
    reset: bool = True
    mask: Tensor | None = None
    lengths: Tensor | None = None
    scored: Tensor | None = None
    side: Mapping[str, Tensor] | None = None
    begin: int = 0

    def rows(self, which: slice) -> Batch:
        """Some of the sequences: views, not copies."""
        return self._each(lambda tensor: tensor[which])

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return self._each(lambda tensor: tensor.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Every tensor changed in the same way."""
        parts = (self.x, self.y, self.mask, self.lengths, self.scored)
        x, y, mask, lengths, scored = (None if one is None else change(one) for one in parts)
        assert x is not None
        assert y is not None
        side = None if self.side is None else {name: change(value) for name, value in self.side.items()}
        return Batch(x, y, self.reset, mask, lengths, scored, side, self.begin)

    def share_of(self, whole: Batch) -> float | Tensor:
        """How much of the targets that count in the whole batch's loss, a mean, count in this part's.

        A plain number where every target counts, else a tensor on the batch's device: it is not waited for.
        """
        if self.mask is None or whole.mask is None:
            return self.y.shape[0] / whole.y.shape[0]
        return self.mask.sum() / whole.mask.sum()
