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
import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from rnnbench.config import DataConfig
from rnnbench.config.parts import shares
from rnnbench.data.files import ReadingNotes
from rnnbench.data.files.content import named_by
from rnnbench.data.source import Batches, Part, Source, evenly, generator
from rnnbench.data.task import Batch, Task
from rnnbench.data.text.checks import look_at_parts, symbol_counts
from rnnbench.data.text.readers import read, read_text
from rnnbench.data.text.references import CHOOSING, LONGEST, baselines, bits_per_symbol, chosen, guesses
from rnnbench.data.text.vocabulary import BYTES, UNKNOWN, Vocabulary, chunks
from rnnbench.errors import UserError
from rnnbench.system.cache import cached_json

Text = str | bytes

#: Of train, val and test, where data.split says nothing else.
SHARES = (0.9, 0.05, 0.05)
#: Stateful evaluation: parallel streams at most, unscored characters before each but the first, steps in a batch.
STREAMS, WARM_UP, CHUNK = 64, 512, 256
#: Stateless evaluation: characters in a batch, about.
STATELESS_BATCH = 16_384
#: Characters of the prompt, and symbols of the training part's beginning among which they are looked for.
PROMPT, LOOKED_AT = 40, 4096


class TextData(Source):
    """A text as training batches and evaluations.

    Args:
        text: All of it, or what the other two leave; divided in order by ``data.split``, where not given the first 90 %
            train, the next 5 % validate (of a corpus 2.5 %), the rest tests. Bytes are their own symbols.
        data: Window length, batch size, shares of the parts, and whether characters are to be read as the bytes of
            their UTF-8.
        seed: Decides the offset of each epoch.
        val: A validation part of its own.
        test: A test part of its own.

    Raises:
        UserError: The text is too short for one training batch, or its parts for one window.
    """

    vocabulary: Vocabulary

    def __init__(
        self, text: Text, data: DataConfig, seed: int = 0, val: Text | None = None, test: Text | None = None
    ) -> None:
        whole, *files = (None if one is None else _as_read(one, data) for one in (text, val, test))
        assert whole is not None
        self._unit = "bytes" if isinstance(whole, bytes) else "characters"
        self._data, self._seed, self._separate = data, seed, (val is not None, test is not None)
        self._shares = _shares(data.split, *self._separate)
        self._check_length(len(whole), {"val": files[0], "test": files[1]})
        sizes = _sizes(len(whole), self._shares)
        if any(self._separate):
            ends = [0, *itertools.accumulate(sizes)]
            parts = [whole[start:stop] for start, stop in itertools.pairwise(ends)]
            parts[1:] = [part if file is None else file for part, file in zip(parts[1:], files, strict=True)]
            whole, sizes = _joined(parts), [len(part) for part in parts]
        self._text, self._sizes = whole, sizes
        train, val_end, end = itertools.accumulate(sizes)
        self._bounds = {"train": (0, train), "val": (train, val_end), "test": (val_end, end)}
        if data.path is None:
            middle = train + sizes[1] // 2
            self._bounds |= {"val": (train, middle), "final": (middle, val_end)}
            if data.final:
                self._bounds["test"] = self._bounds["final"]
        self.vocabulary = Vocabulary(BYTES) if isinstance(whole, bytes) else Vocabulary.of(whole[:train])
        self.fingerprint = _sha256(whole, sizes if any(self._separate) else None)
        symbols = len(self.vocabulary)
        self.task = Task("many_to_many", "tokens", "symbols", symbols, symbols, stateful=True, causal=True)
        self._ids = self.vocabulary.compact(whole)
        beginning = self.vocabulary.decode(self._ids[:train][:LOOKED_AT]).replace(UNKNOWN, "")
        self.prompt = (beginning.lstrip() or beginning)[:PROMPT] or self.vocabulary.symbols[-1]
        self.steps_per_epoch = ((train - 1) // data.batch_size) // data.seq_len
        self._epoch: tuple[int, Tensor, Tensor] | None = None
        self._ngram: dict[str, Any] | None = None

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> TextData:
        """The text that the configuration names; one of the user's with notes on how it was read."""
        if data.name != "text":
            return cls(read(data), data, seed)
        notes = ReadingNotes()
        texts: list[str | None] = []
        for option, path in {"path": data.path, "val_path": data.val_path, "test_path": data.test_path}.items():
            with named_by(f"data.{option}"):
                texts.append(None if path is None else read_text(path, data.encoding, notes))
        assert texts[0] is not None, "a configuration of a text of the user's has a path"
        source = cls(texts[0], data, seed, *texts[1:])
        texts.clear()
        parts = ("train", "val", "test")
        symbols, counts = {p: source.symbols(p) for p in parts}, {p: source.symbol_counts(p) for p in parts}
        look_at_parts(source.vocabulary, symbols, counts, notes)
        source.notes = notes
        return source

    def _check_length(self, size: int, files: dict[str, Text | None]) -> None:
        data = self._data
        seq_len, batch_size, window = data.seq_len, data.batch_size, max(data.seq_len, 2) + 1
        least = [batch_size * seq_len + 1, *(0 if separate else window for separate in self._separate)]

        def fits(size: int) -> bool:
            return all(has >= needs for has, needs in zip(_sizes(size, self._shares), least, strict=True))

        if not fits(size):
            needed = int(max(needs / share for needs, share in zip(least, self._shares, strict=True) if needs)) - 2
            while not fits(needed):
                needed += 1
            words = zip(self._shares, ("train", "validate", "test"), strict=True)
            division = ", ".join(f"{100 * share:.4g} % {word}" for share, word in words if share)
            raise UserError(
                f"{data.label!r} has {size} {self._unit}, and data.batch_size {batch_size} × data.seq_len {seq_len} "
                f"needs at least {needed} ({division}); take a longer text or lower them."
            )
        for part, text in files.items():
            if text is not None and len(text) < window:
                raise UserError(
                    f"data.{part}_path {getattr(data, f'{part}_path')!r} has {len(text)} {self._unit}, and "
                    f"data.seq_len {seq_len} needs at least {window}; take a longer text or lower it."
                )

    def altered(self) -> Self:
        """The same from a text whose validation and test parts are others, in symbols that training never sees."""
        ends = [0, *itertools.accumulate(self._sizes)]
        known, *later = (self._text[start:stop] for start, stop in itertools.pairwise(ends))
        later = [_other(part, self.vocabulary) for part in later]
        rest = (part for part, separate in zip(later, self._separate, strict=True) if not separate)
        files = (part if separate else None for part, separate in zip(later, self._separate, strict=True))
        return type(self)(_joined([known, *rest]), self._data, self._seed, *files)

    def train_batch(self, step: int) -> Batch:
        """x, y (B, T) int64, a pure function of (seed, step); reset at an epoch's first step alone."""
        epoch, chunk = divmod(step, self.steps_per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = (epoch, *self._streams(epoch))
        span = slice(chunk * self._data.seq_len, (chunk + 1) * self._data.seq_len)
        x, y = (streams[:, span].long() for streams in self._epoch[1:])
        return Batch(x, y, reset=chunk == 0, begin=span.start)

    def _streams(self, epoch: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of an epoch: (B, L) views of the rolled training part one character apart.

        One target in all is wrong, where the training part's beginning follows its end.
        """
        ids, batch_size = self.symbols("train"), self._data.batch_size
        offset = int(torch.randint(len(ids), (), generator=generator("text", self._seed, epoch)))
        rolled, size = ids.roll(-offset), (len(ids) - 1) // batch_size * batch_size
        return rolled[:size].view(batch_size, -1), rolled[1 : size + 1].view(batch_size, -1)

    def evaluation(self, part: Part, stateful: bool, limit: int | None = None) -> Batches:
        """A part's N characters (of train: its end) as N − 1 targets, each scored once.

        Args:
            part: train, val or test.
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
        ids = self.symbols("val")
        seq_len = min(seq_len, len(ids) - 1)
        windows = ids.unfold(0, seq_len + 1, 1)
        windows = windows[evenly(batch_size, len(windows))]
        return Batch(windows[:, :-1].long(), windows[:, 1:].long())

    def context_windows(self, count: int, length: int) -> Tensor:
        """(N, length) int64, up to ``count`` windows spread evenly over the test part; shorter where that is too short.

        The same for every seed and window length of the training: what `context_curve` scores the last symbols of.
        """
        ids = self.symbols("test")
        windows = ids.unfold(0, min(length, len(ids)), 1)
        return windows[evenly(count, len(windows))].long()

    def references(self) -> dict[str, float]:
        """Bits per symbol, as `rnnbench.data.text.references.baselines` says; cached, as they take a minute."""
        cached = cached_json(
            f"text-baselines-{self._cached_as}.json",
            lambda: baselines(self._parts(), self._as_bytes(), len(self.vocabulary)),
        )
        self._ngram = cached["ngram"]
        return dict(cached["references"])

    def naive_references(self) -> dict[str, float]:
        """What `references` has without the n-gram and the compressor, which take longer than all the rest."""
        parts = self._parts()
        return guesses(parts["train"], parts["test"], len(self.vocabulary))

    def references_read(self, steps: int) -> dict[str, float]:
        """``ngram_read_bpc``: the n-gram's bits where it counts the same characters that so many training steps read.

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

    def symbols(self, part: str) -> Tensor:
        """(N,) indices of a part's symbols, in the dtype that they are held in."""
        return self._ids[slice(*self._bounds[part])]

    def symbol_counts(self, part: str) -> Counter[str]:
        """How often each symbol occurs in a part, unknown ones as themselves; a byte is the character of its number."""
        return symbol_counts(self._text[slice(*self._bounds[part])])

    def _parts(self) -> dict[str, Tensor]:
        return {name: self.symbols(name) for name in self._bounds}

    def _as_bytes(self) -> dict[str, bytes]:
        """Train (the end of a very long one) and test as bytes."""
        start, stop = self._bounds["train"]
        spans = {"train": (max(start, stop - LONGEST), stop), "test": self._bounds["test"]}
        pieces = {name: self._text[slice(*span)] for name, span in spans.items()}
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
        if self.notes is not None:
            facts["notes"] = self.notes.plain()
        if isinstance(beginning, bytes):
            return facts | {"sample": beginning.decode("utf-8", "replace")}
        known = "".join(self.vocabulary.symbols[1:])
        unknown = {name: int((ids == 0).sum()) for name, ids in parts.items()}
        return facts | {"symbols": known, "unknown": unknown, "sample": beginning}


def _as_read(text: Text, data: DataConfig) -> Text:
    """Bytes where the text's symbols are these, else its characters."""
    return text.encode() if isinstance(text, str) and data.symbols == "bytes" else text


def _joined(parts: Sequence[Text]) -> Text:
    return parts[0][:0].join(parts)  # type: ignore[arg-type]


def _other(text: Text, known: Vocabulary) -> Text:
    """As many symbols, each another one; of characters one that the vocabulary does not know."""
    if isinstance(text, bytes):
        return text.translate(bytes(range(255, -1, -1)))
    symbols = set(known.symbols)
    unknown = next(chr(point) for point in range(0xE000, 0x110000) if chr(point) not in symbols)
    return unknown * len(text)


def _shares(split: str | None, val_separate: bool, test_separate: bool) -> tuple[float, float, float]:
    """What train, val and test have of the text, where some have a file of their own."""
    train, val, test = shares(split) or SHARES
    val, test = 0.0 if val_separate else val, 0.0 if test_separate else test
    total = train + val + test
    return train / total, val / total, test / total


def _sizes(size: int, shares: tuple[float, float, float]) -> list[int]:
    """Symbols of the text that are train's, val's and test's: each rounded down, and the rest the last one's."""
    train, val, _ = (int(size * share + 1e-6) for share in shares)
    if not shares[2]:
        return [train, size - train, 0] if shares[1] else [size, 0, 0]
    return [train, val, size - train - val]


def _sha256(text: Text, sizes: Sequence[int] | None = None) -> str:
    """Of the bytes, or of the UTF-8; and of the parts' sizes where they are from several files."""
    digest = hashlib.sha256()
    for chunk in [text] if isinstance(text, bytes) else map(str.encode, chunks(text)):
        digest.update(chunk)
    if sizes is not None:
        digest.update(repr(list(sizes)).encode())
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
        x, y = ids[at[:, span]].long(), ids[at[:, span] + 1].long()
        return Batch(x, y, reset=index == 0, mask=None if mask.all() else mask, begin=span.start)

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
