"""Pairs of a source and a target sequence: their vocabulary, batches and baselines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rnnbench.config import DataConfig
from rnnbench.data.source import Batches, Part, Source, evenly, generator
from rnnbench.data.task import Batch, Task
from rnnbench.data.text.vocabulary import Vocabulary
from rnnbench.errors import UserError


def chrf(written: Sequence[str], wanted: Sequence[str]) -> float:
    """chrF of Popović 2015 over a corpus, 0 to 1, more is better: F₂ of character n-grams up to 6."""
    from torchmetrics.text import CHRFScore

    return float(CHRFScore(n_word_order=0)(list(written), [[one] for one in wanted]))


#: Index 0 of the targets: ends what is written (the control character "end of text").
END = "\x03"


class Targets(Vocabulary):
    """Characters by index and back; index 0 is END, index 1 UNKNOWN, the rest as in a `Vocabulary`.

    Raises:
        UserError: They are not distinct single characters with END and UNKNOWN first.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        if list(symbols[:1]) != [END] or END in symbols[1:]:
            raise UserError(f"a vocabulary of targets must begin with {END!r} and have it once, got {symbols[:8]!r} ….")
        super().__init__(symbols[1:])
        self.symbols = list(symbols)

    @classmethod
    def of(cls, text: str) -> Targets:
        """END, UNKNOWN, then the text's distinct characters in the order of their code points."""
        return cls([END, *Vocabulary.of(str(text).replace(END, "")).symbols])

    def encode(self, text: str) -> Tensor:
        """(N + 1,) int64 indices of the text's characters, 1 for unknown ones, and the end's."""
        return torch.cat((super().encode(text) + 1, torch.zeros(1, dtype=torch.long)))

    def decode(self, indices: Iterable[int] | Tensor) -> str:
        """The characters up to the first end."""
        return super().decode(indices).split(END, 1)[0]


#: Pairs in an evaluation batch; batches among whose pairs the similarly long are put together in training.
EVALUATION_BATCH, POOL = 100, 20
#: What is written out in full after a training: so many test pairs at most, of so many symbols read at most.
DECODED, DECODED_SYMBOLS = 200, 12_800


class Pair(NamedTuple):
    """x: (S,) int64 indices or (S, C) float32. y: (U,) int64 indices, the end included."""

    x: Tensor
    y: Tensor


class PairData(Source):
    """Pairs, split and ready. Training reads each once an epoch, in an order drawn anew, beside those of its length.

    Raises:
        UserError: There are fewer training pairs than data.batch_size, or no others.
    """

    #: Whether what is written is natural language, so that chrF says something.
    language = False
    targets: Targets

    def __init__(
        self, parts: dict[Part, list[Pair]], task: Task, targets: Targets, data: DataConfig, seed: int = 0
    ) -> None:
        self._parts, self.task, self.targets, self._data, self._seed = parts, task, targets, data, seed
        self.steps_per_epoch = len(parts["train"]) // data.batch_size
        if not self.steps_per_epoch or not parts["val"] or not parts["test"]:
            sizes = ", ".join(f"{len(pairs)} {part}" for part, pairs in parts.items())
            raise UserError(
                f"{data.label!r} has {sizes} pairs of up to data.seq_len {data.seq_len} symbols, too few for "
                f"data.batch_size {data.batch_size}; raise data.seq_len or lower data.batch_size."
            )
        self._epoch: tuple[int, list[Tensor]] | None = None

    def train_batch(self, step: int) -> Batch:
        """A pure function of (seed, step); of an epoch's last pairs those that fill no batch are left out."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = (epoch, self._order(epoch))
        pairs = self._parts["train"]
        return collate([pairs[index] for index in self._epoch[1][place].tolist()])

    def _order(self, epoch: int) -> list[Tensor]:
        """The pairs of each of an epoch's batches: shuffled, then sorted by length within a pool of batches."""
        random, size = generator("pairs", self._seed, epoch), self._data.batch_size
        pairs = self._parts["train"]
        lengths = torch.tensor([len(pair.x) + len(pair.y) for pair in pairs])
        order = torch.randperm(len(pairs), generator=random)[: self.steps_per_epoch * size]
        batches = [part for pool in order.split(POOL * size) for part in pool[lengths[pool].argsort()].split(size)]
        return [batches[index] for index in torch.randperm(len(batches), generator=random).tolist()]

    def _chosen(self, part: Part, count: int) -> list[Pair]:
        """Pairs of a part, evenly chosen; of train among its last, as many as test has; by rising length."""
        pairs = self._parts[part]
        if part == "train":
            pairs = pairs[-len(self._parts["test"]) :]
        chosen = [pairs[index] for index in evenly(count, len(pairs)).tolist()]
        return sorted(chosen, key=lambda pair: (len(pair.x), len(pair.y)))

    def evaluation(self, part: Part, stateful: bool = False, limit: int | None = None) -> Batches:
        """Each target of a part once; see `Source.evaluation`.

        Of train the last pairs, as many as test has; at most limit / seq_len, at least one, evenly chosen.
        """
        size = len(self._parts[part]) if limit is None else max(1, limit // self._data.seq_len)
        pairs = self._chosen(part, size)

        def batch(index: int) -> Batch:
            return collate(pairs[index * EVALUATION_BATCH : (index + 1) * EVALUATION_BATCH])

        return Batches(batch, -(-len(pairs) // EVALUATION_BATCH))

    def to_write(self) -> list[Pair]:
        """The test pairs that are written out in full after a training, evenly chosen, by rising length."""
        return self._chosen("test", min(DECODED, max(1, DECODED_SYMBOLS // self._data.seq_len)))

    def probe_batch(self, seq_len: int, batch_size: int) -> Batch:
        """The longest validation sources, cut to one length, whatever ``seq_len`` says; they keep their ends."""
        pairs = self._chosen("val", len(self._parts["val"]))[-batch_size:]
        return collate([Pair(pair.x[-len(pairs[0].x) :], pair.y) for pair in pairs])

    def references(self) -> dict[str, float]:
        """Bits a target symbol, the end's included, on the test part.

        uniform_bpc: log₂ of the targets' vocabulary. unigram_bpc: frequencies in the training part's targets, each
        count raised by one. prior_bpc, where a subclass knows it: the best guess without a look at the source.
        """
        symbols = len(self.targets)
        counts = torch.cat([pair.y for pair in self._parts["train"]]).bincount(minlength=symbols).double() + 1
        tests = torch.cat([pair.y for pair in self._parts["test"]])
        return {
            "uniform_bpc": math.log2(symbols),
            "unigram_bpc": float(-(counts / counts.sum()).log2()[tests].mean()),
        }

    def facts(self) -> dict[str, Any]:
        """Sizes, lengths, and a pair."""
        tests = self._parts["test"]
        return {
            "pairs": {part: len(pairs) for part, pairs in self._parts.items()},
            "longest": {"source": max(len(pair.x) for pair in tests), "target": max(len(pair.y) for pair in tests)},
            "target_symbols": len(self.targets),
            "steps_per_epoch": self.steps_per_epoch,
            "sample": self.shown(self._parts["train"][0]),
        }

    def shown(self, pair: Pair) -> dict[str, Any]:
        """A pair as plain values: ``source``, a string or rows of numbers, and ``target``."""
        source: Any = [[round(value, 2) for value in row] for row in pair.x.tolist()] if pair.x.dim() > 1 else ""
        if self.vocabulary is not None:
            source = self.vocabulary.decode(pair.x)
        return {"source": source, "target": self.targets.decode(pair.y)}


def collate(pairs: Sequence[Pair]) -> Batch:
    """Padded at the end, with lengths and mask where there is something to pad."""
    read = torch.tensor([len(pair.x) for pair in pairs])
    written = torch.tensor([len(pair.y) for pair in pairs])
    x = pad_sequence([pair.x for pair in pairs], batch_first=True)
    y = pad_sequence([pair.y for pair in pairs], batch_first=True)
    mask = torch.arange(y.shape[1]) < written[:, None]
    return Batch(x, y, lengths=None if bool((read == read[0]).all()) else read, mask=None if bool(mask.all()) else mask)
