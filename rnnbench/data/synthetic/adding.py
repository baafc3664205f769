"""The adding problem: can a cell carry two numbers over T steps?"""

from __future__ import annotations

from typing import Any

import torch

from rnnbench.config import DataConfig
from rnnbench.data.synthetic.drawn import DrawnData
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError


class AddingData(DrawnData):
    """The adding problem of Hochreiter & Schmidhuber (1997), in the variant of Le, Jaitly & Hinton (2015).

    Each step shows a number, uniform in [0, 1), and a marker, 1 at one random step of the first half and at one of the
    second, else 0. The target is the sum of the two marked numbers. With T = 6::

        number  0.31  0.74  0.08  0.55  0.92  0.17
        marker  0     1     0     0     0     1        → target 0.74 + 0.17 = 0.91

    x (B, T, 2), y (B, 1), float32. Always answering 1 has a mean squared error of 1/6, the variance of the sum of two
    uniform numbers.

    Raises:
        UserError: The sequences are too short for two halves.
    """

    name = "adding"
    definition = "adding problem 1"

    def __init__(self, data: DataConfig, seed: int = 0) -> None:
        if data.seq_len < 2:
            raise UserError(f"the adding problem needs data.seq_len of at least 2, got {data.seq_len}.")
        super().__init__(data, seed)
        self.task = Task("many_to_one", "values", "values", input_size=2, output_size=1)

    def draw(self, count: int, seq_len: int, random: torch.Generator, varied: bool) -> Batch:
        half = seq_len // 2
        rows = torch.arange(count)
        x = torch.zeros(count, seq_len, 2)
        x[:, :, 0] = torch.rand(count, seq_len, generator=random)
        first = torch.randint(half, (count,), generator=random)
        second = torch.randint(half, seq_len, (count,), generator=random)
        x[rows, first, 1] = 1
        x[rows, second, 1] = 1
        return Batch(x, (x[rows, first, 0] + x[rows, second, 0])[:, None])

    def references(self) -> dict[str, float]:
        """guess_mse: of always answering 1, 1/6 in closed form."""
        return {"guess_mse": 1 / 6}

    def sample(self) -> dict[str, Any]:
        """The first steps of a sequence, and its answer."""
        one = self.probe_batch(self._data.seq_len, 1)
        return {"x": one.x[0, :8].tolist(), "y": one.y[0].tolist()}
