"""Data drawn by a rule: which random numbers a part has, and how long its sequences are."""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from rnnbench.config import DataConfig
from rnnbench.data.source import Batches, Part, Source, generator
from rnnbench.data.task import Batch

#: Sequences in a part, and in an evaluation batch.
PART, EVALUATION_BATCH = 1000, 250
#: How many times longer the test sequences of `DrawnData.longer` are.
LONGER = (2, 4, 16)
#: At each length at most so many sequences; fewer, but so many, where they come to more than these time steps.
LONGER_PART, LONGER_LEAST, LONGER_STEPS = 200, 8, 65_536


class DrawnData(Source):
    """Sequences drawn by a rule: fresh ones at every training step, fixed ones for val and test, whatever the seed.

    A task says how to `draw`, its `task` and its closed forms.

    Args:
        data: T (`data.seq_len`), batch size, and `data.items` where the rule has some.
        seed: Decides the training sequences.

    Attributes:
        name: Of the data set; part of every random number's key.
        definition: Names the rule in the fingerprint; its number rises when the rule changes.
        default_items: What `data.items` is where it is not given; None where the rule has no items.
        symbols: What the inputs stand for, by index; answers: what the targets do.
    """

    name: ClassVar[str]
    definition: ClassVar[str]
    default_items: ClassVar[int | None] = None
    symbols: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()

    def __init__(self, data: DataConfig, seed: int = 0) -> None:
        self._data, self._seed = data, seed
        self.items = data.items or self.default_items or 0
        rule = f"{self.definition}, T = {data.seq_len}" + (f", items = {self.items}" if self.items else "")
        self.fingerprint = hashlib.sha256(rule.encode()).hexdigest()

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> Self:
        return cls(data, seed)

    @abstractmethod
    def draw(self, count: int, seq_len: int, random: torch.Generator, varied: bool) -> Batch:
        """``count`` sequences of T = ``seq_len``; of lengths up to it where ``varied`` and the rule trains on such."""

    def steps(self, seq_len: int) -> int:
        """Time steps of a sequence of T = ``seq_len``."""
        return seq_len

    def _draw(self, count: int, seq_len: int, *key: int | str, varied: bool = False) -> Batch:
        return self.draw(count, seq_len, generator(self.name, *key), varied)

    def train_batch(self, step: int) -> Batch:
        """Fresh sequences, a pure function of (seed, step)."""
        return self._draw(self._data.batch_size, self._data.seq_len, self._seed, step, varied=True)

    def evaluation(self, part: Part, stateful: bool = False, limit: int | None = None) -> Batches:
        """1000 fixed sequences, unrelated; those of val and test are all of length T, of train as in training.

        ``limit``: at most so many time steps, but at least one sequence.
        """
        seq_len = self._data.seq_len
        count = PART if limit is None else min(PART, max(1, limit // self.steps(seq_len)))

        def batch(index: int) -> Batch:
            drawn = self._draw(EVALUATION_BATCH, seq_len, part, index, varied=part == "train")
            return drawn.rows(slice(count - index * EVALUATION_BATCH))

        return Batches(batch, -(-count // EVALUATION_BATCH))

    def longer(self) -> dict[str, Batches]:
        """``_x2``, ``_x4``, ``_x16``: fixed sequences of 2T, 4T and 16T with as many items, one batch each."""
        return {f"_x{times}": self._longer(times) for times in LONGER}

    def _longer(self, times: int) -> Batches:
        count, seq_len = self._longer_part(times), times * self._data.seq_len
        return Batches(lambda index: self._draw(count, seq_len, "test", f"x{times}"), 1)

    def _longer_part(self, times: int) -> int:
        return min(LONGER_PART, max(LONGER_LEAST, LONGER_STEPS // self.steps(times * self._data.seq_len)))

    def probe_batch(self, seq_len: int, batch_size: int) -> Batch:
        """``batch_size`` fixed sequences like the validation's, with as many items, but of T = ``seq_len``.

        Of data.seq_len where that is longer: a gradient is measured over at least as many steps as must be remembered.
        """
        return self._draw(batch_size, max(seq_len, self._data.seq_len), "probe")

    def facts(self) -> dict[str, Any]:
        """Sizes, and one sequence."""
        return {
            "sequences": {"train": "drawn at every step", "val": PART, "test": PART},
            "longer": {f"{times}T": self._longer_part(times) for times in LONGER},
            "seq_len": self._data.seq_len,
            **({"items": self.items} if self.items else {}),
            "sample": self.sample(),
        }

    def sample(self) -> dict[str, Any]:
        """One sequence, x above what is scored of y; a dot where nothing is."""
        one = self._draw(1, self._data.seq_len, "probe")
        scored = one.mask if one.scored is None else one.scored
        right = one.y.reshape(-1).tolist()
        kept = scored.reshape(-1).tolist() if scored is not None else [True] * len(right)
        shown = [self.answers[answer] if keep else "." for answer, keep in zip(right, kept, strict=True)]
        return {"x": " ".join(self.symbols[symbol] for symbol in one.x[0].tolist()), "y": " ".join(shown)}


def up_to(x: Tensor, answers: Tensor, lengths: Tensor | None) -> Batch:
    """Sequences with the answer to what has been read so far, cut to their lengths and padded with index 0.

    Args:
        x: (B, T) indices.
        answers: (B, T), the answer to every beginning of a sequence.
        lengths: (B,), in 1 … T; None: all are whole.
    """
    if lengths is None:
        return Batch(x, answers[:, -1])
    pads = torch.arange(x.shape[1]) >= lengths[:, None]
    return Batch(x.masked_fill(pads, 0), answers.gather(1, lengths[:, None] - 1)[:, 0], lengths=lengths)


def guess(classes: int) -> dict[str, float]:
    """What knowing nothing costs where all classes are as likely: guess_error = 1 − 1/k and guess_nll = ln k nats."""
    return {"guess_error": 1 - 1 / classes, "guess_nll": math.log(classes)}
