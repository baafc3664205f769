"""What every data set offers, and how its batches are handed out: by index, so that any can be made again."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, Self

import torch

from rnnbench.data.task import Batch, Task

if TYPE_CHECKING:
    from rnnbench.config import DataConfig
    from rnnbench.data.files import ReadingNotes
    from rnnbench.data.text.vocabulary import Vocabulary

Part = Literal["train", "val", "test"]


class Batches:
    """``count`` batches, each made when its turn comes; sized, and can be iterated over again."""

    def __init__(self, make: Callable[[int], Batch], count: int) -> None:
        self._make = make
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Batch]:
        return (self._make(index) for index in range(self._count))


class StepLoader:
    """Training batches 0 … steps − 1, each handed out once, with the position in the checkpoint.

    Lightning finds `state_dict` and `load_state_dict` and keeps the position with the fit loop's. It asks for iterators
    that it throws away, so the position is kept here, moves only when a batch is taken, and a new iterator starts from
    it. The length is that of the whole training, whatever the position. ``make``: the batch of a step.
    """

    def __init__(self, make: Callable[[int], Batch], steps: int) -> None:
        self._make = make
        self._steps = steps
        self._next = 0

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[Batch]:
        while self._next < self._steps:
            batch = self._make(self._next)
            self._next += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        return {"step": self._next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._next = int(state["step"])


class EpochOrder:
    """Which of ``count`` sequences a training step reads: each at most once an epoch, in an order drawn for each epoch.

    A pure function of the key and the step; where a batch holds more than there are, they come again.
    """

    def __init__(self, count: int, batch_size: int, *key: int | str) -> None:
        self._count, self._size, self._key = count, batch_size, key
        self.steps_per_epoch = max(1, count // batch_size)
        self._epoch: tuple[int, torch.Tensor] | None = None

    def rows(self, step: int) -> torch.Tensor:
        """(batch_size,) int64 indices."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = (epoch, torch.randperm(self._count, generator=generator(*self._key, epoch)))
        return self._epoch[1][torch.arange(index * self._size, (index + 1) * self._size) % self._count]


class Source(ABC):
    """A data set, split and ready.

    Attributes:
        task: What it asks of a model.
        fingerprint: SHA-256 of the raw content (of the definition, where it is drawn).
        vocabulary: Characters of the input and their indices; None where the input is numbers.
        targets: Characters of the targets, where they are not the input's.
        notes: How a user's file was read, and what looks wrong in it; None for the catalogue's own data.
        prompt: What a text is continued from; None where there is no text.
    """

    task: Task
    fingerprint: str
    vocabulary: Vocabulary | None = None
    targets: Vocabulary | None = None
    notes: ReadingNotes | None = None
    prompt: str | None = None

    @classmethod
    @abstractmethod
    def load(cls, data: DataConfig, seed: int = 0) -> Self:
        """The data set that the configuration names; `rnnbench.data.load.load` has checked its options."""

    @abstractmethod
    def train_batch(self, step: int) -> Batch:
        """The batch of a training step, a pure function of (seed, step)."""

    @abstractmethod
    def evaluation(self, part: Part, stateful: bool, limit: int | None = None) -> Batches:
        """A part (of train: its end, as much as test has), each target scored once, within about ``limit`` tokens."""

    def longer(self) -> dict[str, Batches]:
        """Test parts of longer sequences than those trained on, by what is added to a metric's name (``_x4``)."""
        return {}

    @abstractmethod
    def probe_batch(self, seq_len: int, batch_size: int) -> Batch:
        """Fixed sequences of one length, evenly spread over the validation part, the same for every seed.

        Their last step is scored, for what is measured is how far back its loss reaches.
        """

    @abstractmethod
    def references(self) -> dict[str, float]:
        """Scores on the test part of what needs no network, as NAME_METRIC: the model's baselines."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What people want to know of the data, as plain values; ``sample`` is one to look at."""


def generator(*key: int | str) -> torch.Generator:
    """A random generator that is a function of the key alone: neighbouring keys give unrelated streams."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def evenly(count: int, of: int) -> torch.Tensor:
    """min(count, of) distinct indices, int64, spread evenly over 0 … of − 1 in rising order."""
    count = min(count, of)
    return (2 * torch.arange(count) + 1) * of // (2 * count)
