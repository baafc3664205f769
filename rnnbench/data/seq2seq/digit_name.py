"""One picture to many letters: what a captioner does, at its smallest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from rnnbench.config import DataConfig
from rnnbench.data.classification.pictures import digits
from rnnbench.data.seq2seq.pairs import Pair, PairData, Targets
from rnnbench.data.source import Part
from rnnbench.data.task import Task
from rnnbench.errors import UserError

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class DigitNames(PairData):
    """A handwritten digit, 8 × 8 pixels from 0 to 1 as one vector, and its English name::

        source  (0.0, 0.0, 0.31, 0.81, 0.56, …, 0.0)      64 numbers
        target  t h r e e END

    x (B, 1, 64) float32, y (B, U) int64. The split is that of `rnnbench.data.classification.pictures.Digits`. Without
    the picture one knows how often each digit is in training: the name of digit d costs −log₂ p(d), spread over its
    letters and the end.

    ``parts``: by part, (N, 8, 8) pictures of values from 0 to 16 and the digits, (N,), that they show.

    Raises:
        UserError: data.seq_len is not 1.
    """

    def __init__(self, parts: Mapping[Part, tuple[np.ndarray, np.ndarray]], data: DataConfig, seed: int = 0) -> None:
        if data.seq_len != 1:
            raise UserError(f"{data.label!r} reads one vector, so data.seq_len must be 1, got {data.seq_len}.")
        content = hashlib.sha256()
        for pictures, shown in parts.values():
            content.update(pictures.astype("<f8").tobytes() + shown.astype("<i8").tobytes())
        self.fingerprint = content.hexdigest()
        targets = Targets.of("".join(NAMES))
        pairs: dict[Part, list[Pair]] = {
            part: [
                Pair(torch.from_numpy(picture).float().reshape(1, 64) / 16, targets.encode(NAMES[digit]))
                for picture, digit in zip(*values, strict=True)
            ]
            for part, values in parts.items()
        }
        super().__init__(pairs, Task("one_to_many", "values", "symbols", 64, len(targets)), targets, data, seed)

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> DigitNames:
        return cls(digits(), data, seed)

    def references(self) -> dict[str, float]:
        """prior_bpc beside those of `PairData`: names by how often they are in training, each count raised by one."""
        names = {part: [self.targets.decode(pair.y) for pair in pairs] for part, pairs in self._parts.items()}
        counts = np.array([names["train"].count(name) + 1 for name in NAMES])
        bits = dict(zip(NAMES, -np.log2(counts / counts.sum()), strict=True))
        total = sum(float(bits[name]) for name in names["test"])
        return super().references() | {"prior_bpc": total / sum(len(name) + 1 for name in names["test"])}

    def shown(self, pair: Pair) -> dict[str, Any]:
        """The picture row by row."""
        return super().shown(Pair(pair.x.view(8, 8), pair.y))
