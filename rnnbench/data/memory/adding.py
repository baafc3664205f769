"""The adding problem: can a cell carry two numbers over T steps?"""

from __future__ import annotations

import hashlib
from typing import Any

import torch

from rnnbench.config import DataConfig
from rnnbench.data.source import Batches, Part, Source, generator
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError

#: Sequences in a part, and in an evaluation batch.
PART, EVALUATION_BATCH = 1000, 250


class AddingData(Source):
    """The adding problem of Hochreiter & Schmidhuber (1997), in the variant of Le, Jaitly & Hinton (2015).

    Each step shows a number, uniform in [0, 1), and a marker, 1 at one random step of the first half and at one of the
    second, else 0. The target is the sum of the two marked numbers. With T = 6::

        number  0.31  0.74  0.08  0.55  0.92  0.17
        marker  0     1     0     0     0     1        → target 0.74 + 0.17 = 0.91

    x (B, T, 2), y (B, 1), float32. Always answering 1 has a mean squared error of 1/6, the variance of the sum of two
    uniform numbers.

    Args:
        data: Sequence length and batch size.
        seed: Decides the training sequences; those of val and test are the same for every seed.

    Raises:
        UserError: The sequences are too short for two halves.
    """

    def __init__(self, data: DataConfig, seed: int = 0) -> None:
        if data.seq_len < 2:
            raise UserError(f"the adding problem needs data.seq_len of at least 2, got {data.seq_len}.")
        self._data, self._seed = data, seed
        self.task = Task("many_to_one", "values", "values", input_size=2, output_size=1)
        self.fingerprint = hashlib.sha256(f"adding problem 1, T = {data.seq_len}".encode()).hexdigest()

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> AddingData:
        """Of the configured length."""
        return cls(data, seed)

    def _draw(self, count: int, *key: int | str) -> Batch:
        random = generator("adding", *key)
        seq_len = self._data.seq_len
        half = seq_len // 2
        rows = torch.arange(count)
        x = torch.zeros(count, seq_len, 2)
        x[:, :, 0] = torch.rand(count, seq_len, generator=random)
        first = torch.randint(half, (count,), generator=random)
        second = torch.randint(half, seq_len, (count,), generator=random)
        x[rows, first, 1] = 1
        x[rows, second, 1] = 1
        return Batch(x, (x[rows, first, 0] + x[rows, second, 0])[:, None])

    def train_batch(self, step: int) -> Batch:
        """Fresh sequences, a pure function of (seed, step)."""
        return self._draw(self._data.batch_size, self._seed, step)

    def evaluation(self, part: Part, stateful: bool = False, limit: int | None = None) -> Batches:
        """1000 fixed sequences.

        Args:
            part: train stands for sequences like the training's.
            stateful: Sequences are unrelated: no difference.
            limit: At most so many time steps: limit / seq_len sequences, at least one.
        """
        count = PART if limit is None else min(PART, max(1, limit // self._data.seq_len))

        def batch(index: int) -> Batch:
            size = min(EVALUATION_BATCH, count - index * EVALUATION_BATCH)
            drawn = self._draw(EVALUATION_BATCH, part, index)
            return Batch(drawn.x[:size], drawn.y[:size])

        return Batches(batch, -(-count // EVALUATION_BATCH))

    def probe_batch(self, seq_len: int, batch_size: int) -> Batch:
        """Up to ``batch_size`` fixed sequences like the validation's; T is data.seq_len, whatever ``seq_len`` says."""
        return self._draw(batch_size, "probe")

    def references(self) -> dict[str, float]:
        """guess_mse: of always answering 1, 1/6 in closed form."""
        return {"guess_mse": 1 / 6}

    def facts(self) -> dict[str, Any]:
        """Sizes, and one sequence."""
        one = self._draw(1, "probe")
        return {
            "sequences": {"train": "drawn at every step", "val": PART, "test": PART},
            "seq_len": self._data.seq_len,
            "sample": {"x": one.x[0, :8].tolist(), "y": one.y[0].tolist()},
        }
