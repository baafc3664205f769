"""Associative recall: can a cell look up what it has read?"""

from __future__ import annotations

import torch

from rnnbench.config import DataConfig
from rnnbench.data.synthetic.copy import places
from rnnbench.data.synthetic.drawn import DrawnData, guess
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError

#: How many different keys there are, and how many values.
KEYS = VALUES = 16
#: The index that stands for nothing.
BLANK = KEYS + VALUES


class AssociativeRecallData(DrawnData):
    """Multi-query associative recall (Arora et al. 2023, zoology), with evenly spread gaps.

    P = `data.items` pairs of a key and a value, the keys all different; then every key once more, in random order and
    at random places among blanks, the last one at the last step. At each the value that followed it before is to be
    said. Keys and values have alphabets of their own, 16 each. With P = 2 and T = 9::

        x  k3 v8 k5 v1 _  k5 _  _  k3
        y  .  .  .  .  .  v1 .  .  v8

    x and y (B, T), int64; only the queries count (`Batch.mask`). Guessing is wrong 15 times out of 16 and costs ln 16
    nats; guessing among the P values that were shown is wrong with probability (1 − 1/P)(1 − 1/16).

    Raises:
        UserError: More pairs than keys, or a sequence that does not hold the pairs and their queries.
    """

    name = "associative_recall"
    definition = "associative recall 1"
    default_items = 4
    symbols = (*(f"k{key}" for key in range(KEYS)), *(f"v{value}" for value in range(VALUES)), "_")
    answers = tuple(f"v{value}" for value in range(VALUES))

    def __init__(self, data: DataConfig, seed: int = 0) -> None:
        super().__init__(data, seed)
        if self.items > KEYS:
            raise UserError(
                f"associative recall has {KEYS} keys, so data.items can be {KEYS} at most, got {self.items}."
            )
        if data.seq_len < 3 * self.items:
            raise UserError(
                f"data.seq_len {data.seq_len} does not hold data.items {self.items} pairs and as many queries; raise "
                f"it to at least {3 * self.items} or lower data.items."
            )
        self.task = Task("many_to_many", "tokens", "labels", len(self.symbols), VALUES, causal=True)

    def draw(self, count: int, seq_len: int, random: torch.Generator, varied: bool) -> Batch:
        pairs = self.items
        keys = torch.rand(count, KEYS, generator=random).topk(pairs, dim=1).indices
        values = torch.randint(VALUES, (count, pairs), generator=random)
        order = torch.rand(count, pairs, generator=random).argsort(dim=1)
        last = torch.full((count, 1), seq_len - 1)
        asked = torch.cat([2 * pairs + places(count, seq_len - 2 * pairs - 1, pairs - 1, random), last], dim=1)
        x, y = torch.full((count, seq_len), BLANK), torch.zeros(count, seq_len, dtype=torch.int64)
        x[:, : 2 * pairs : 2], x[:, 1 : 2 * pairs : 2] = keys, KEYS + values
        x.scatter_(1, asked, keys.gather(1, order))
        y.scatter_(1, asked, values.gather(1, order))
        return Batch(x, y, mask=torch.zeros(x.shape, dtype=torch.bool).scatter(1, asked, True))

    def references(self) -> dict[str, float]:
        """guess_error and guess_nll; shown_error: of guessing among the values that were shown; all in closed form."""
        return guess(VALUES) | {"shown_error": (1 - 1 / self.items) * (1 - 1 / VALUES)}
