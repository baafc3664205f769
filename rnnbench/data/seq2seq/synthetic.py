"""Two quick checks of a decoder, drawn on the spot: strings backwards, and sums."""

from __future__ import annotations

import hashlib
import math
import string
from abc import abstractmethod
from typing import ClassVar, Self

import torch

from rnnbench.config import DataConfig
from rnnbench.data.seq2seq.pairs import Pair, PairData, Targets, collate
from rnnbench.data.source import Part, generator
from rnnbench.data.task import Batch, Task
from rnnbench.data.text.vocabulary import Vocabulary
from rnnbench.errors import UserError

#: Pairs in val, in test, and in what stands for train where it is scored.
PART = 1000


class DrawnPairs(PairData):
    """Pairs of short strings, drawn anew at every training step, and therefore not sorted by length.

    The parts are drawn alike and independently: a pair of the test part may come up in training, with the chance that
    its length gives it. The pairs of val and test are the same for every seed.
    """

    #: What sources and targets are made of.
    reads: ClassVar[str]
    writes: ClassVar[str]

    def __init__(self, data: DataConfig, seed: int = 0) -> None:
        self._data = data
        vocabulary, targets = Vocabulary.of(self.reads), Targets.of(self.writes)
        self.vocabulary, self.targets = vocabulary, targets
        self.fingerprint = hashlib.sha256(f"{self.definition()} 1".encode()).hexdigest()
        kinds: tuple[Part, ...] = ("train", "val", "test")
        parts = {part: self._pairs(PART, part) for part in kinds}
        task = Task("seq2seq", "tokens", "symbols", len(vocabulary), len(targets))
        super().__init__(parts, task, targets, data, seed)

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> Self:
        return cls(data, seed)

    @abstractmethod
    def definition(self) -> str:
        """What is drawn, in words that change with it."""

    @abstractmethod
    def draw(self, count: int, random: torch.Generator) -> list[tuple[str, str]]:
        """Sources and targets."""

    @abstractmethod
    def prior(self, target: str) -> float:
        """The probability that a source has this target, in bits (−log₂)."""

    def _pairs(self, count: int, *key: int | str) -> list[Pair]:
        drawn = self.draw(count, generator(self.definition(), *key))
        vocabulary, targets = self.vocabulary, self.targets
        assert vocabulary is not None
        return [Pair(vocabulary.encode(source), targets.encode(target)) for source, target in drawn]

    def train_batch(self, step: int) -> Batch:
        """Fresh pairs, a pure function of (seed, step)."""
        return collate(self._pairs(self._data.batch_size, self._seed, step))

    def references(self) -> dict[str, float]:
        """prior_bpc beside those of `PairData`: the exact probability of each target without a look at its source."""
        tests = self._parts["test"]
        bits = sum(self.prior(self.targets.decode(pair.y)) for pair in tests)
        return super().references() | {"prior_bpc": bits / sum(len(pair.y) for pair in tests)}


class ReversalData(DrawnPairs):
    """A random string of letters, to be written backwards; its length is uniform in 1 … T. With T = 5::

        source  q m a x
        target  x a m q END

    x (B, S), y (B, U) int64. Who cannot see the source knows the length's distribution and nothing of the letters: a
    target of n letters has the probability 26⁻ⁿ/T, (T + 1)/2 · log₂ 26 + log₂ T bits in the mean over the lengths.
    """

    reads = writes = string.ascii_lowercase

    def definition(self) -> str:
        return f"reversal, T = {self._data.seq_len}"

    def draw(self, count: int, random: torch.Generator) -> list[tuple[str, str]]:
        lengths = torch.randint(1, self._data.seq_len + 1, (count,), generator=random)
        letters = torch.randint(len(self.reads), (count, self._data.seq_len), generator=random)
        rows = zip(letters.tolist(), lengths.tolist(), strict=True)
        sources = ["".join(self.reads[index] for index in row[:length]) for row, length in rows]
        return [(source, source[::-1]) for source in sources]

    def prior(self, target: str) -> float:
        return math.log2(self._data.seq_len) + len(target) * math.log2(len(self.reads))


class AdditionData(DrawnPairs):
    """The sum of two whole numbers in decimal digits, most significant first (Zaremba & Sutskever 2014)::

        source  1 2 3 + 4 5
        target  1 6 8 END

    x (B, S), y (B, U) int64. Both numbers are uniform in 0 … N − 1, N = 10^digits, so that a sum s has the probability
    (min(s, 2N − 2 − s) + 1)/N²: the best guess without a look at the source.

    Raises:
        UserError: data.seq_len cannot hold two numbers of data.items digits.
    """

    reads, writes = string.digits + "+", string.digits

    def __init__(self, data: DataConfig, seed: int = 0) -> None:
        self.digits = data.items or max(1, (data.seq_len - 1) // 2)
        if 2 * self.digits + 1 > data.seq_len:
            raise UserError(
                f"two numbers of {self.digits} digits and a plus are {2 * self.digits + 1} symbols, more than "
                f"data.seq_len {data.seq_len}; raise it, or lower data.items."
            )
        if self.digits > 15:
            raise UserError(f"addition is of numbers of up to 15 digits, got {self.digits}; give data.items.")
        super().__init__(data, seed)

    def definition(self) -> str:
        return f"addition, {self.digits} digits"

    def draw(self, count: int, random: torch.Generator) -> list[tuple[str, str]]:
        numbers = torch.randint(10**self.digits, (count, 2), generator=random).tolist()
        return [(f"{a}+{b}", str(a + b)) for a, b in numbers]

    def prior(self, target: str) -> float:
        largest, total = 10**self.digits - 1, int(target)
        return 2 * self.digits * math.log2(10) - math.log2(min(total, 2 * largest - total) + 1)
