"""Next-symbol prediction, characters or bytes: one long text, cut 90/5/5 in order, read as contiguous streams.

Training is truncated backpropagation through time: an epoch rolls the training text by a random offset and lays it out
as `batch_size` streams, one after the other; step i reads chunk i of each. So the state is carried from step to step,
and a target is never far from what explains it only because a window began there. The offset depends on the seed, and
with it what is read in which order. The text is held once more as indices of one or two bytes each; batches are int64.

Of a corpus (a text of the catalogue, not a file of the user's) the second half of the validation part is held out for
good: no study scores it but a project's last one (`data.final`), so that nothing has been chosen on it.
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor

from rnnbench.cache import cached_json
from rnnbench.config import DataConfig
from rnnbench.data.source import Batches, Part, Source, evenly, generator
from rnnbench.data.task import Batch, Task
from rnnbench.data.text.readers import read
from rnnbench.data.text.references import CHOOSING, LONGEST, bits_per_symbol, chosen, lines
from rnnbench.data.text.vocabulary import BYTES, UNKNOWN, Vocabulary, chunks
from rnnbench.errors import UserError

#: Training batches that are cut at once: one at a time takes longer to find in the text than to copy.
CUT = 32
#: Stateful evaluation: parallel streams at most, unscored characters before each but the first, steps in a batch.
STREAMS, WARM_UP, CHUNK = 64, 512, 256
#: Stateless evaluation: characters in a batch, about.
STATELESS_BATCH = 16_384
#: Characters of the prompt, and symbols of the training part's beginning among which they are looked for.
PROMPT, LOOKED_AT = 40, 4096


class TextData(Source):
    """A text as training batches and evaluations.

    Args:
        text: All of it; the first 90 % train, the next 5 % validate (of a corpus 2.5 %), the rest tests. Bytes are
            their own symbols.
        data: Window length, batch size, and whether characters are to be read as the bytes of their UTF-8.
        seed: Decides the offset of each epoch.

    Raises:
        UserError: The text is too short for one training batch, or its parts for one window.
    """

    def __init__(self, text: str | bytes, data: DataConfig, seed: int = 0) -> None:
        if isinstance(text, str) and data.symbols == "bytes":
            text = text.encode()
        self._unit = "bytes" if isinstance(text, bytes) else "characters"
        self._text, self._data, self._seed = text, data, seed
        size, seq_len, batch_size = len(text), data.seq_len, data.batch_size
        train, val = size * 9 // 10, size // 20
        needed = max(-(-10 * (batch_size * seq_len + 1) // 9), 20 * (max(seq_len, 2) + 1))
        if size < needed:
            raise UserError(
                f"{data.label!r} has {size} {self._unit}, and data.batch_size {batch_size} × data.seq_len {seq_len} "
                f"needs at least {needed} (90 % train, 5 % validate, 5 % test); take a longer text or lower them."
            )
        self._bounds = {"train": (0, train), "val": (train, train + val), "test": (train + val, size)}
        if data.path is None:
            middle = train + val // 2
            self._bounds |= {"val": (train, middle), "final": (middle, train + val)}
            if data.final:
                self._bounds["test"] = self._bounds["final"]
        self.vocabulary: Vocabulary = Vocabulary(BYTES) if isinstance(text, bytes) else Vocabulary.of(text[:train])
        self.fingerprint = _sha256(text)
        symbols = len(self.vocabulary)
        self.task = Task("many_to_many", "tokens", "symbols", symbols, symbols, stateful=True, causal=True)
        self._ids = self.vocabulary.compact(text)
        beginning = self.vocabulary.decode(self._ids[:train][:LOOKED_AT]).replace(UNKNOWN, "")
        self.prompt = (beginning.lstrip() or beginning)[:PROMPT] or self.vocabulary.symbols[-1]
        self.steps_per_epoch = ((train - 1) // batch_size) // seq_len
        self._epoch: tuple[int, Tensor, Tensor] | None = None
        self._cut: tuple[int, Tensor, Tensor] | None = None
        self._ngram: dict[str, Any] | None = None

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> TextData:
        """The text that the configuration names."""
        return cls(read(data), data, seed)

    def train_batch(self, step: int) -> Batch:
        """x, y (B, T) int64, a pure function of (seed, step); reset at an epoch's first step alone."""
        epoch, chunk = divmod(step, self.steps_per_epoch)
        first = step - chunk % CUT
        if self._cut is None or self._cut[0] != first:
            x, y = self._chunks(epoch, chunk - chunk % CUT)
            self._cut = (first, x, y)
        _, x, y = self._cut
        return Batch(x[step - first], y[step - first], reset=chunk == 0)

    def _chunks(self, epoch: int, begin: int) -> list[Tensor]:
        """Inputs and targets of an epoch's chunks from ``begin`` on, two (N, B, T) int64, N ≤ CUT."""
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = (epoch, *self._streams(epoch))
        seq_len, end = self._data.seq_len, min(begin + CUT, self.steps_per_epoch)
        spans = (stream[:, begin * seq_len : end * seq_len] for stream in self._epoch[1:])
        pieces = (span.unflatten(1, (end - begin, seq_len)).transpose(0, 1) for span in spans)
        return [piece.to(torch.int64, memory_format=torch.contiguous_format) for piece in pieces]

    def _streams(self, epoch: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of an epoch, two (B, L) views of the rolled training part one character apart.

        One target in all is wrong, where the training part's beginning follows its end.
        """
        ids = self._ids[: self._bounds["train"][1]]
        offset = int(torch.randint(len(ids), (), generator=generator("text", self._seed, epoch)))
        rolled = torch.cat([ids[offset:], ids[:offset]])
        batch_size = self._data.batch_size
        used = (len(ids) - 1) // batch_size * batch_size
        return rolled[:used].view(batch_size, -1), rolled[1 : used + 1].view(batch_size, -1)

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
        return Batch(windows[:, :-1].long(), windows[:, 1:].long())

    def context_windows(self, count: int, length: int) -> Tensor:
        """(N, length) int64, up to ``count`` windows spread evenly over the test part; shorter where that is too short.

        The same for every seed and window length of the training: what `context_curve` scores the last symbols of.
        """
        ids = self._ids[slice(*self._bounds["test"])]
        windows = ids.unfold(0, min(length, len(ids)), 1)
        return windows[evenly(count, len(windows))].long()

    def references(self) -> dict[str, float]:
        """Bits per symbol, as `rnnbench.data.text.references.lines` says; cached, as they take a minute."""
        found = cached_json(
            f"text-baselines-{self._cached_as}.json", lambda: lines(self._parts(), self._said(), len(self.vocabulary))
        )
        self._ngram = found["ngram"]
        return dict(found["references"])

    def references_read(self, steps: int) -> dict[str, float]:
        """``ngram_read_bpc``: the n-gram's bits where it counts the very characters that so many training steps read.

        Empty where they read all of the training part, for that is `references`' own n-gram; cached like that.
        """
        if not 0 < steps < self.steps_per_epoch:
            return {}
        read, batch_size = steps * self._data.seq_len, self._data.batch_size

        def bits() -> dict[str, float]:
            ids, parts = self._streams(0)[0][:, :read].flatten(), self._parts()
            model, _ = chosen(ids.numpy(), parts["val"][:CHOOSING].numpy(), len(self.vocabulary))
            return {"ngram_read_bpc": bits_per_symbol(model, parts["test"].numpy())}

        return cached_json(f"text-ngram-{self._cached_as}-seed{self._seed}-{batch_size}x{read}.json", bits)

    @property
    def _cached_as(self) -> str:
        """What the baselines depend on: the text, and where its parts begin and end."""
        bounds = "-".join(str(place) for part in ("val", "test") for place in self._bounds[part])
        return f"{self._unit}-{self.fingerprint}-{bounds}"

    def _parts(self) -> dict[str, Tensor]:
        return {name: self._ids[slice(*bounds)] for name, bounds in self._bounds.items()}

    def _said(self) -> dict[str, bytes]:
        """Train (the end of a very long one) and test as bytes."""
        start, stop = self._bounds["train"]
        spans = {"train": slice(max(start, stop - LONGEST), stop), "test": slice(*self._bounds["test"])}
        pieces = {name: self._text[span] for name, span in spans.items()}
        return {name: piece if isinstance(piece, bytes) else piece.encode() for name, piece in pieces.items()}

    def facts(self) -> dict[str, Any]:
        """Sizes, the vocabulary, the text's beginning, and of the n-gram how it was chosen, once `references` has."""
        parts, beginning = self._parts(), self._text[:200]
        facts = {
            self._unit: len(self._text),
            "split": {name: len(ids) for name, ids in parts.items()},
            "vocabulary": len(self.vocabulary),
            "steps_per_epoch": self.steps_per_epoch,
        }
        if self._ngram is not None:
            facts["ngram"] = self._ngram
        if isinstance(beginning, bytes):
            return facts | {"sample": beginning.decode("utf-8", "replace")}
        known = "".join(self.vocabulary.symbols[1:])
        unknown = {name: int((ids == 0).sum()) for name, ids in parts.items()}
        return facts | {"symbols": known, "unknown": unknown, "sample": beginning}


def _sha256(text: str | bytes) -> str:
    """Of the bytes, or of the UTF-8."""
    digest = hashlib.sha256()
    for chunk in [text] if isinstance(text, bytes) else map(str.encode, chunks(text)):
        digest.update(chunk)
    return digest.hexdigest()


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
        return Batch(
            ids[at[:, span]].long(), ids[at[:, span] + 1].long(), reset=index == 0, mask=None if mask.all() else mask
        )

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
        return Batch(ids[at].long(), ids[at + 1].long(), mask=None if mask.all() else mask)

    return Batches(batch, -(-windows // rows))
