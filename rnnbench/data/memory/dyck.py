"""Dyck: can a cell keep a stack?"""

from __future__ import annotations

import torch

from rnnbench.config import DataConfig
from rnnbench.data.memory.drawn import DrawnData, guess
from rnnbench.data.task import Batch, Task

#: Kinds of brackets.
OPEN, CLOSE = "([{<", ")]}>"
KINDS = len(OPEN)


class DyckData(DrawnData):
    """Nested brackets of k = 4 kinds, at most m = `data.items` deep: Dyck-(k, m) of Hewitt et al. (2020).

    A bracket opens or closes with equal probability, but opens where none is open and closes at depth m; what opens is
    of a random kind. At every step at which a bracket is open, which one would have to close next? With m = 3 and
    T = 10::

        x  ( [ ] { < > } ) < [
        y  ) ] ) } > } ) . > ]

    x and y (B, T), int64; where nothing is open nothing counts (`Batch.mask`). As all kinds are as likely, guessing is
    wrong with probability 1 − 1/k and costs ln k nats. Without a stack one can still close what was opened last: that
    is right after every opening and, what was opened last being closed already, a guess after every closing.
    """

    name = "dyck"
    definition = "dyck 1"
    default_items = 4
    symbols = tuple(OPEN + CLOSE)
    answers = tuple(CLOSE)

    def __init__(self, data: DataConfig, seed: int = 0) -> None:
        super().__init__(data, seed)
        self.task = Task("many_to_many", "tokens", "labels", len(self.symbols), KINDS, causal=True)

    def draw(self, count: int, seq_len: int, random: torch.Generator, varied: bool) -> Batch:
        """All of length T."""
        # A free walk of ±1 folded at 0 and m is the walk that turns there.
        walk = (2 * torch.randint(2, (count, seq_len), generator=random) - 1).cumsum(1) % (2 * self.items)
        depth = torch.minimum(walk, 2 * self.items - walk)
        opens = depth > torch.nn.functional.pad(depth[:, :-1], (1, 0))
        kinds = torch.randint(KINDS, (count, seq_len), generator=random)
        level = torch.where(opens, depth, depth + 1)  # of the bracket that is opened or closed
        time = torch.arange(seq_len).expand(count, -1)
        # (m + 1, B, T): by depth, when the bracket at that depth was last opened
        opened = torch.stack(
            [torch.where(opens & (depth == at), time, 0).cummax(1).values for at in range(self.items + 1)]
        )
        mine = opened.gather(0, level[None])[0]
        top = opened.gather(0, depth[None])[0]
        x = kinds.gather(1, mine) + torch.where(opens, 0, KINDS)
        mask = depth > 0
        return Batch(x, kinds.gather(1, top).masked_fill(~mask, 0), mask=mask)

    def probe_batch(self, seq_len: int, batch_size: int) -> Batch:
        """As `DrawnData` says, of an odd length: then a bracket is open at the last step, and that step is scored."""
        return super().probe_batch(max(seq_len, self._data.seq_len) | 1, batch_size)

    def references(self) -> dict[str, float]:
        """guess_error and guess_nll; last_opened_error: of closing what was opened last; all in closed form."""
        return guess(KINDS) | {"last_opened_error": (1 - 1 / KINDS) * self.closings()}

    def closings(self) -> float:
        """Of the steps at which a bracket is open, the expected share of those that close one."""
        depth = torch.zeros(self.items + 1, dtype=torch.float64)
        depth[0] = 1
        up = torch.full((self.items + 1,), 0.5, dtype=torch.float64)
        up[0], up[-1] = 1, 0
        opened = closed = 0.0
        for _ in range(self._data.seq_len):
            rising, falling = (depth * up).roll(1), (depth * (1 - up)).roll(-1)
            opened, closed = opened + float(rising.sum()), closed + float(falling[1:].sum())
            depth = rising + falling
        return closed / (opened + closed)
