"""Copying: can a cell hold ten symbols over T steps, and skip what does not matter?"""

from __future__ import annotations

import math

import torch

from rnnbench.config import DataConfig
from rnnbench.data.synthetic.drawn import DrawnData, guess
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError

#: The alphabet to copy from.
LETTERS = tuple("abcdefgh")
#: Indices of what follows it: what is shown and answered where there is nothing, and the mark to begin.
BLANK, GO = len(LETTERS), len(LETTERS) + 1


class CopyData(DrawnData):
    """The copying problem of Hochreiter & Schmidhuber (1997), as Arjovsky, Shah & Bengio (2016) set it.

    K = `data.items` symbols out of eight, T − 1 blanks, a mark to begin, K blanks to answer in: T + 2K steps. The
    targets are blanks but for the last K, the symbols in their order. With K = 3 and T = 4::

        x  c a f _ _ _ > _ _ _
        y  _ _ _ _ _ _ _ c a f

    x and y (B, T + 2K), int64. The loss is over all steps, the error over the last K alone (`Batch.scored`). Knowing
    where the blanks are and nothing else costs K ln 8 / (T + 2K) nats a step, and is wrong 7 times out of 8.
    """

    name = "copy"
    definition = "copy 1"
    default_items = 10
    symbols = (*LETTERS, "_", ">")
    answers = (*LETTERS, "_")

    def __init__(self, data: DataConfig, seed: int = 0) -> None:
        super().__init__(data, seed)
        self.task = Task("many_to_many", "tokens", "labels", len(self.symbols), len(self.answers), causal=True)

    def steps(self, seq_len: int) -> int:
        """T + 2K."""
        return seq_len + 2 * self.items

    def draw(self, count: int, seq_len: int, random: torch.Generator, varied: bool) -> Batch:
        items = torch.randint(len(LETTERS), (count, self.items), generator=random)
        x = torch.full((count, self.steps(seq_len)), BLANK)
        y, scored = x.clone(), torch.zeros(x.shape, dtype=torch.bool)
        x[:, : self.items] = items
        x[:, -self.items - 1] = GO
        y[:, -self.items :] = items
        scored[:, -self.items :] = True
        return Batch(x, y, scored=scored)

    def references(self) -> dict[str, float]:
        """guess_error and guess_nll of the blind guess, in closed form."""
        share = self.items / self.steps(self._data.seq_len)
        return {"guess_error": 1 - 1 / len(LETTERS), "guess_nll": share * math.log(len(LETTERS))}


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
