"""What every data set offers, and how its batches are handed out: by index, so that any of them can be had again."""

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
    """``count`` batches, each made when its turn comes; sized, and can be gone through again and again."""

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
    that it throws away, so the position lives here, moves only when a batch is taken, and a new iterator goes on
    from it. The length is that of the whole training, whatever the position.

    Args:
        make: The batch of a step, a pure function of it.
        steps: Batches in the whole training.
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
        """``{"step": n}``: the next batch to hand out."""
        return {"step": self._next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self._next = int(state["step"])


class Source(ABC):
    """A data set, split and ready.

    Attributes:
        task: What it asks of a model.
        fingerprint: SHA-256 of the raw content (of the definition, where it is drawn).
        vocabulary: Characters of the input and their indices; None where the input is numbers.
        targets: Characters of the targets, where they are not the input's.
        notes: How a user's file was read, and what looks wrong in it; None for the catalogue's own data.
        prompt: What a model that goes on with a text begins with; None where there is none to go on with.
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
        """Scores on the test part of what needs no network, as NAME_METRIC: the lines a model must beat."""

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
