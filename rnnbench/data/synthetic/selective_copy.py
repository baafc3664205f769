"""Selective copying: can a cell keep what matters and skip what does not?"""

from __future__ import annotations

import torch

from rnnbench.config import DataConfig
from rnnbench.data.synthetic.copy import BLANK, GO, LETTERS
from rnnbench.data.synthetic.drawn import DrawnData, guess
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError


class SelectiveCopyData(DrawnData):
    """Selective copying (Gu & Dao 2023), the denoising task of Jing et al. (2019).

    K = `data.items` symbols out of eight stand at random among T steps that are else blank; then, at K marks, they are
    to be repeated in their order. Counting steps, which solves copying, does not help. With K = 3 and T = 8::

        x  _ c _ _ a f _ _ > > >
        y  . . . . . . . . c a f

    x and y (B, T + K), int64; only the answers count (`Batch.mask`). Guessing is wrong 7 times out of 8 and costs
    ln 8 nats.

    Raises:
        UserError: T steps do not hold K symbols.
    """

    name = "selective_copy"
    definition = "selective copy 1"
    default_items = 4
    symbols = (*LETTERS, "_", ">")
    answers = LETTERS

    def __init__(self, data: DataConfig, seed: int = 0) -> None:
        super().__init__(data, seed)
        if data.seq_len < self.items:
            raise UserError(
                f"data.seq_len {data.seq_len} has no place for data.items {self.items} symbols; raise it to at least "
                f"{self.items} or lower data.items."
            )
        self.task = Task("many_to_many", "tokens", "labels", len(self.symbols), len(LETTERS), causal=True)

    def steps(self, seq_len: int) -> int:
        """T + K."""
        return seq_len + self.items

    def draw(self, count: int, seq_len: int, random: torch.Generator, varied: bool) -> Batch:
        """All of length T."""
        items = torch.randint(len(LETTERS), (count, self.items), generator=random)
        x = torch.full((count, self.steps(seq_len)), BLANK)
        x.scatter_(1, places(count, seq_len, self.items, random), items)
        x[:, seq_len:] = GO
        y, mask = torch.zeros_like(x), x == GO
        y[:, seq_len:] = items
        return Batch(x, y, mask=mask)

    def references(self) -> dict[str, float]:
        """guess_error and guess_nll, in closed form."""
        return guess(len(LETTERS))


def places(count: int, of: int, items: int, random: torch.Generator) -> torch.Tensor:
    """(count, items): for each sequence as many of ``of`` steps, every choice as likely, in rising order."""
    return torch.rand(count, of, generator=random).topk(items, dim=1).indices.sort(dim=1).values
