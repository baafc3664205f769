"""Parity: can a cell keep one bit that every step may flip?"""

from __future__ import annotations

import torch

from rnnbench.config import DataConfig
from rnnbench.data.memory.drawn import DrawnData, guess, up_to
from rnnbench.data.task import Batch, Task


class ParityData(DrawnData):
    """Parity check (Delétang et al. 2022): is the number of ones odd? With T = 6::

        x  0 1 1 0 1 0   → odd

    Bits are fair coins. In training the lengths are drawn uniformly from 1 … T, as there; val and test have T. x (B, T)
    and y (B,), int64. Whatever has been read, the next bit decides, so without the last of them the guess is wrong half
    the time and costs ln 2 nats.
    """

    name = "parity"
    definition = "parity 1"
    symbols = ("0", "1")
    answers = ("even", "odd")

    def __init__(self, data: DataConfig, seed: int = 0) -> None:
        super().__init__(data, seed)
        self.task = Task("many_to_one", "tokens", "labels", 2, 2)

    def draw(self, count: int, seq_len: int, random: torch.Generator, varied: bool) -> Batch:
        """Lengths of 1 … T where varied."""
        x = torch.randint(2, (count, seq_len), generator=random)
        lengths = torch.randint(1, seq_len + 1, (count,), generator=random) if varied else None
        return up_to(x, x.cumsum(1) % 2, lengths)

    def references(self) -> dict[str, float]:
        """guess_error and guess_nll, in closed form."""
        return guess(2)
