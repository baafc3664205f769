"""Fixed splits: the same for every seed and every run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnbench.config import DataConfig
from rnnbench.data.classification.baselines import guesses, logistic_error
from rnnbench.data.source import Batches, EpochOrder, Part, Source, evenly, generator
from rnnbench.data.task import Batch, Task
from rnnbench.data.text.vocabulary import Vocabulary
from rnnbench.errors import UserError
from rnnbench.system.cache import cached_json


def stratified(labels: np.ndarray, shares: tuple[float, ...], name: str) -> list[np.ndarray]:
    """Indices into labels, (N,), of as many groups as there are shares, and of one more that takes the rest; rising.

    Every class gives a group its share of its members, rounded; which of them is drawn by the name and the class alone.
    """
    groups: list[list[np.ndarray]] = [[] for _ in range(len(shares) + 1)]
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = torch.randperm(len(members), generator=generator("split", name, int(label))).numpy()
        stops = np.rint(np.cumsum(shares) * len(members)).astype(int)
        for group, chosen in zip(groups, np.split(members[order], stops), strict=True):
            group.append(chosen)
    return [np.sort(np.concatenate(group)) for group in groups]


#: An evaluation batch has at most so many sequences, and at most about so many steps.
ROWS, STEPS = 512, 65_536
#: The logistic regression is fitted to at most so many training sequences.
FITTED = 20_000


@dataclass(frozen=True)
class Labelled:
    """A part of a data set: N sequences, (T_i, C) numbers or (T_i,) indices, and their classes, (N,), 0 … K − 1."""

    x: Sequence[np.ndarray]
    y: np.ndarray


class LabelledData(Source):
    """Sequences as batches: x (B, T, C) float32 or (B, T) int64, padded at the end with zeros; y (B,) int64.

    Numbers are shown in standard deviations of the training part. Where a batch has several lengths it says so in
    ``lengths``; T is its longest.

    Args:
        classes: Their names.
        data: Longest length, batch size.
        seed: Decides the order of the training sequences.
        vocabulary: Where the sequences are symbols.
        together: All channels have one mean and one deviation (pixels of a picture), not each its own.
        sample: One sequence for people to look at.

    Raises:
        UserError: No sequence is as long as data.seq_len.
    """

    def __init__(
        self,
        parts: Mapping[Part, Labelled],
        classes: Sequence[str],
        data: DataConfig,
        seed: int = 0,
        vocabulary: Vocabulary | None = None,
        together: bool = False,
        sample: Any = None,
    ) -> None:
        self._data, self._sample, self._classes = data, sample, list(classes)
        longest = max(len(sequence) for part in parts.values() for sequence in part.x)
        if data.seq_len > longest:
            raise UserError(
                f"the longest sequence of {data.label!r} has {longest} steps, and data.seq_len is {data.seq_len}; "
                "lower it (longer sequences are cut to it), or leave it out."
            )
        self.fingerprint = _digest(parts)
        self.vocabulary = vocabulary
        self._y = {name: torch.from_numpy(part.y.astype(np.int64)) for name, part in parts.items()}
        self._lengths = {
            name: torch.tensor([min(len(one), data.seq_len) for one in part.x]) for name, part in parts.items()
        }
        self._starts = {name: lengths.cumsum(0) - lengths for name, lengths in self._lengths.items()}
        # end to end, in the dtype in which they came: 70,000 pictures are four times as large in float32
        self._flat = {
            name: torch.from_numpy(np.concatenate([one[: data.seq_len] for one in part.x]))
            for name, part in parts.items()
        }
        self._scale = None if vocabulary else _scale(self._flat["train"], together)
        self.task = Task(
            "one_to_one" if longest == 1 else "many_to_one",
            "tokens" if vocabulary else "values",
            "labels",
            len(vocabulary) if vocabulary else self._flat["train"].shape[-1],
            len(self._classes),
        )
        self._order = EpochOrder(len(self._y["train"]), data.batch_size, "labels", seed)
        self.steps_per_epoch = self._order.steps_per_epoch

    def _batch(self, part: Part, rows: Tensor, last: int | None = None) -> Batch:
        """These sequences side by side; of each the last so many steps, which it must have, or all."""
        starts, lengths = self._starts[part][rows], self._lengths[part][rows]
        if last is not None:
            starts, lengths = starts + lengths - last, torch.full_like(lengths, last)
        time = torch.arange(int(lengths.max()))
        padded = time >= lengths[:, None]
        x = self._flat[part][(starts[:, None] + time).masked_fill(padded, 0)]
        if self._scale is not None:
            mean, std = self._scale
            x = (x.float() - mean) / std
        if not padded.any():
            return Batch(x, self._y[part][rows])
        x[padded] = 0
        return Batch(x, self._y[part][rows], lengths=lengths)

    def train_batch(self, step: int) -> Batch:
        """A pure function of (seed, step): a sequence at most once an epoch, in an order drawn for each epoch."""
        return self._batch("train", self._order.rows(step))

    def evaluation(self, part: Part, stateful: bool = False, limit: int | None = None) -> Batches:
        """All of a part's unrelated sequences, the shorter first, so that little is padded.

        Of train as many as test has; at most limit / seq_len (at least one); evenly spread.
        """
        rows = evenly(len(self._y["test" if part == "train" else part]), len(self._y[part]))
        if limit is not None:
            rows = rows[evenly(max(1, limit // self._data.seq_len), len(rows))]
        rows = rows[self._lengths[part][rows].argsort(stable=True)]
        groups = rows.split(max(1, min(ROWS, STEPS // self._data.seq_len)))
        return Batches(lambda index: self._batch(part, groups[index]), len(groups))

    def probe_batch(self, seq_len: int, batch_size: int) -> Batch:
        """Up to ``batch_size`` validation sequences of one length: ``seq_len``, or the longest that so many have.

        Longer ones keep their ends, after which the label is asked for, as in training.
        """
        lengths = self._lengths["val"]
        count = min(batch_size, len(lengths))
        length = min(seq_len, int(lengths.sort(descending=True).values[count - 1]))
        long_enough = torch.nonzero(lengths >= length).flatten()
        return self._batch("val", long_enough[evenly(count, len(long_enough))], length)

    def references(self) -> dict[str, float]:
        """On the test part; cached, as the regression takes seconds.

        `baselines.guesses`, and logistic_error: of a logistic regression on what `baselines.features` says.
        """
        what = hashlib.sha256(repr((self.fingerprint, self._data.seq_len, self._classes)).encode()).hexdigest()
        return cached_json(f"labels-references-{what}.json", self._references)

    def _references(self) -> dict[str, float]:
        rows = {part: evenly(FITTED if part == "train" else len(y), len(y)) for part, y in self._y.items()}
        frequent = torch.bincount(self._y["train"], minlength=len(self._classes))
        train, test = (self._batch(part, rows[part]) for part in ("train", "test"))
        return guesses(frequent, test.y) | {"logistic_error": logistic_error(train, test, self.task)}

    def facts(self) -> dict[str, Any]:
        """Sizes, lengths, how often each class is, the training part's scale, and a sample."""
        lengths = torch.cat(list(self._lengths.values())).double()
        counts = torch.bincount(self._y["train"], minlength=len(self._classes)).tolist()
        out: dict[str, Any] = {
            "sequences": {part: len(y) for part, y in self._y.items()},
            "lengths": {"min": int(lengths.min()), "mean": float(lengths.mean()), "max": int(lengths.max())},
            "classes": dict(zip(self._classes, counts, strict=True)),
            "steps_per_epoch": self.steps_per_epoch,
        }
        if self._scale is not None:
            out |= {"train_mean": self._scale[0].tolist(), "train_std": self._scale[1].tolist()}
        if self.vocabulary is not None:
            out |= {"vocabulary": len(self.vocabulary), "symbols": "".join(self.vocabulary.symbols[1:])}
        return out | {"sample": self._sample}


def _scale(flat: Tensor, together: bool) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel, or of all together, in float32; a constant channel's deviation is 1."""
    values = flat.double()
    over = (0, 1) if together else (0,)
    mean, std = values.mean(over, keepdim=True)[0], values.std(over, correction=0, keepdim=True)[0]
    varied = values.amax(over, keepdim=True)[0] > values.amin(over, keepdim=True)[0]
    return mean.float(), torch.where(varied, std, 1.0).float()


def _digest(parts: Mapping[Part, Labelled]) -> str:
    digest = hashlib.sha256()
    for name, part in parts.items():
        digest.update(repr((name, [one.size for one in part.x], str(part.x[0].dtype))).encode())
        for one in (*part.x, part.y):
            digest.update(np.ascontiguousarray(one).tobytes())
    return digest.hexdigest()
