"""Next-character prediction: one long text, cut 90/5/5 in order, read as contiguous streams.

Training is truncated backpropagation through time: an epoch lays the text out as `batch_size` streams, one after the
other from a random phase, and step i reads chunk i of each, so the state is carried from step to step and a target is
never far from what explains it only because a window began there.
"""

from __future__ import annotations

import hashlib
import lzma
import math
from typing import Any

import torch
from torch import Tensor

from rnnbench.cache import cached_json
from rnnbench.config import DataConfig
from rnnbench.data.source import Batches, Part, Source, evenly, generator
from rnnbench.data.task import Batch, Task
from rnnbench.data.text.readers import read_kjv, read_text
from rnnbench.data.text.vocabulary import Vocabulary
from rnnbench.errors import UserError

#: Stateful evaluation: parallel streams at most, unscored characters before each but the first, steps in a batch.
STREAMS, WARM_UP, CHUNK = 64, 512, 256
#: Stateless evaluation: characters in a batch, about.
STATELESS_BATCH = 16_384


class TextData(Source):
    """A text as training batches and evaluations.

    Args:
        text: All of it; the first 90 % train, the next 5 % validate, the rest tests.
        data: Window length and batch size.
        seed: Decides the phase of each epoch.

    Raises:
        UserError: The text is too short for one training batch, or its parts for one window.
    """

    def __init__(self, text: str, data: DataConfig, seed: int = 0) -> None:
        self._text, self._data, self._seed = text, data, seed
        size, seq_len, batch_size = len(text), data.seq_len, data.batch_size
        train, val = size * 9 // 10, size // 20
        needed = max(-(-10 * (batch_size + 1) * seq_len // 9), 20 * (max(seq_len, 2) + 1))
        if size < needed:
            raise UserError(
                f"{data.label!r} has {size} characters, and data.batch_size {batch_size} × data.seq_len {seq_len} "
                f"needs at least {needed} (90 % train, 5 % validate, 5 % test); take a longer text or lower them."
            )
        self._bounds = {"train": (0, train), "val": (train, train + val), "test": (train + val, size)}
        self.vocabulary: Vocabulary = Vocabulary.of(text[:train])
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        symbols = len(self.vocabulary)
        self.task = Task("many_to_many", "tokens", "symbols", symbols, symbols, stateful=True, causal=True)
        self._ids = self.vocabulary.encode(text)
        # By the largest phase, so that every epoch has as many steps.
        self.steps_per_epoch = ((train - seq_len) // batch_size) // seq_len
        self._epoch: tuple[int, Tensor, Tensor] | None = None

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> TextData:
        """The King James Bible, or the file at ``data.path``."""
        return cls(read_kjv() if data.path is None else read_text(data.path), data, seed)

    def train_batch(self, step: int) -> Batch:
        """x, y (B, T) int64, a pure function of (seed, step); reset at an epoch's first step alone."""
        epoch, chunk = divmod(step, self.steps_per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = (epoch, *self._streams(epoch))
        _, x, y = self._epoch
        span = slice(chunk * self._data.seq_len, (chunk + 1) * self._data.seq_len)
        return Batch(x[:, span], y[:, span], reset=chunk == 0)

    def _streams(self, epoch: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of an epoch, two (B, L) views of the text one character apart."""
        key = generator("text", self._seed, epoch)
        phase = int(torch.randint(self._data.seq_len, (), generator=key))
        batch_size = self._data.batch_size
        length = (self._bounds["train"][1] - 1 - phase) // batch_size
        used = batch_size * length
        x, y = self._ids[phase : phase + used], self._ids[phase + 1 : phase + 1 + used]
        return x.view(batch_size, length), y.view(batch_size, length)

    def evaluation(self, part: Part, stateful: bool, limit: int | None = None) -> Batches:
        """A part's N characters as N − 1 targets, each scored once.

        Args:
            part: Of train, its end: as many characters as test has.
            stateful: As one stream with the state carried from the part's beginning, or else as windows of seq_len
                characters, each from a zero state.
            limit: Only the part's first so many characters (at least 2).
        """
        start, stop = self._bounds[part]
        if part == "train":
            start = max(0, stop - (self._bounds["test"][1] - self._bounds["test"][0]))
        ids = self._ids[start:stop][: None if limit is None else max(2, limit)]
        return _stateful(ids) if stateful else _stateless(ids, self._data.seq_len)

    def probe_batch(self, seq_len: int, batch_size: int) -> Batch:
        """x, y (batch_size, seq_len) int64 from the validation part; shorter where that is too short."""
        ids = self._ids[slice(*self._bounds["val"])]
        seq_len = min(seq_len, len(ids) - 1)
        windows = ids.unfold(0, seq_len + 1, 1)
        windows = windows[evenly(batch_size, len(windows))]
        return Batch(windows[:, :-1], windows[:, 1:])

    def references(self) -> dict[str, float]:
        """Bits per character of what needs no network; cached, as xz takes seconds.

        uniform_bpc: every symbol as likely. unigram_bpc, unigram_bpc_val: the training part's frequencies plus one, on
        test and on val. xz_bpc: (C(train + test) − C(train)) · 8 / |test|, xz at its best (which adapts on the test).
        """
        return cached_json(f"text-references-{self.fingerprint}.json", self._references)

    def _references(self) -> dict[str, float]:
        parts = {name: self._ids[slice(*bounds)] for name, bounds in self._bounds.items()}
        counts = torch.bincount(parts["train"], minlength=len(self.vocabulary)).double() + 1
        bits = -torch.log2(counts / counts.sum())
        train, test = (self._text[slice(*self._bounds[name])].encode() for name in ("train", "test"))
        return {
            "uniform_bpc": math.log2(len(self.vocabulary)),
            "unigram_bpc": float(bits[parts["test"][1:]].mean()),
            "unigram_bpc_val": float(bits[parts["val"][1:]].mean()),
            "xz_bpc": (_xz(train + test) - _xz(train)) * 8 / len(parts["test"]),
        }

    def facts(self) -> dict[str, Any]:
        """Sizes, the vocabulary, and the text's beginning."""
        parts = {name: self._ids[slice(*bounds)] for name, bounds in self._bounds.items()}
        return {
            "characters": len(self._text),
            "split": {name: len(ids) for name, ids in parts.items()},
            "vocabulary": len(self.vocabulary),
            "symbols": "".join(self.vocabulary.symbols[1:]),
            "unknown": {name: int((ids == 0).sum()) for name, ids in parts.items()},
            "steps_per_epoch": self.steps_per_epoch,
            "sample": self._text[:200],
        }


def _stateful(ids: Tensor) -> Batches:
    """N characters as S streams side by side, in chunks of CHUNK steps; the first scores its warm-up too.

    Stream j reads from target j·L on and scores targets W + j·L … W + (j + 1)·L − 1, so a stream's state is what the
    one long stream's would be, up to what a cell remembers of more than W characters ago.
    """
    targets = len(ids) - 1
    streams = min(STREAMS, max(1, (targets - WARM_UP) // WARM_UP))  # no more warm-up than scored steps
    warm_up = WARM_UP if streams > 1 else 0
    length = -(-(targets - warm_up) // streams)
    at = torch.arange(streams)[:, None] * length + torch.arange(warm_up + length)
    scored = at < targets
    scored[1:, :warm_up] = False
    at = at.clamp(max=targets - 1)

    def chunk(index: int) -> Batch:
        span = slice(index * CHUNK, (index + 1) * CHUNK)
        mask = scored[:, span]
        return Batch(ids[at[:, span]], ids[at[:, span] + 1], reset=index == 0, mask=None if mask.all() else mask)

    return Batches(chunk, -(-at.shape[1] // CHUNK))


def _stateless(ids: Tensor, seq_len: int) -> Batches:
    """N characters as windows side by side, each from a zero state; the last, shorter window is padded and masked."""
    targets = len(ids) - 1
    windows, rows = -(-targets // seq_len), max(1, STATELESS_BATCH // seq_len)

    def batch(index: int) -> Batch:
        first = torch.arange(index * rows, min((index + 1) * rows, windows))[:, None] * seq_len
        at = first + torch.arange(seq_len)
        mask = at < targets
        at = at.clamp(max=targets - 1)
        return Batch(ids[at], ids[at + 1], mask=None if mask.all() else mask)

    return Batches(batch, -(-windows // rows))


def _xz(data: bytes) -> int:
    return len(lzma.compress(data, format=lzma.FORMAT_XZ, preset=9 | lzma.PRESET_EXTREME))
