"""Parity: can a cell keep one bit that every step may flip?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rnnbench.config import DataConfig
from rnnbench.data.synthetic.drawn import DrawnData, guess, up_to
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError


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


#: Kinds of brackets.
OPEN, CLOSE = "([{<", ")]}>"
TASK_FAMILIES = len(OPEN)


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
        self.task = Task("many_to_many", "tokens", "labels", len(self.symbols), TASK_FAMILIES, causal=True)

    def draw(self, count: int, seq_len: int, random: torch.Generator, varied: bool) -> Batch:
        """All of length T."""
        # A free walk of ±1 folded at 0 and m is the walk that turns there.
        walk = (2 * torch.randint(2, (count, seq_len), generator=random) - 1).cumsum(1) % (2 * self.items)
        depth = torch.minimum(walk, 2 * self.items - walk)
        opens = depth > torch.nn.functional.pad(depth[:, :-1], (1, 0))
        kinds = torch.randint(TASK_FAMILIES, (count, seq_len), generator=random)
        level = torch.where(opens, depth, depth + 1)  # of the bracket that is opened or closed
        time = torch.arange(seq_len).expand(count, -1)
        # (m + 1, B, T): by depth, when the bracket at that depth was last opened
        opened = torch.stack(
            [torch.where(opens & (depth == at), time, 0).cummax(1).values for at in range(self.items + 1)]
        )
        mine = opened.gather(0, level[None])[0]
        top = opened.gather(0, depth[None])[0]
        x = kinds.gather(1, mine) + torch.where(opens, 0, TASK_FAMILIES)
        mask = depth > 0
        return Batch(x, kinds.gather(1, top).masked_fill(~mask, 0), mask=mask)

    def probe_batch(self, seq_len: int, batch_size: int) -> Batch:
        """As `DrawnData` says, of an odd length: then a bracket is open at the last step, and that step is scored."""
        return super().probe_batch(max(seq_len, self._data.seq_len) | 1, batch_size)

    def references(self) -> dict[str, float]:
        """guess_error and guess_nll; last_opened_error: of closing what was opened last; all in closed form."""
        return guess(TASK_FAMILIES) | {"last_opened_error": (1 - 1 / TASK_FAMILIES) * self.closings()}

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


_PLUS, _MINUS, _TIMES = range(3)


class ModularArithmeticData(DrawnData):
    """Modular arithmetic without brackets (Delétang et al. 2022): the value of an expression modulo m = `data.items`.

    Numbers 0 … m − 1 with +, − or · between them, all uniformly drawn; · binds stronger, as in school. With m = 5 and
    T = 7::

        x  3 - 2 · 4 + 1   → 3 − 8 + 1 = −4 = 1 (mod 5)

    An expression has an odd length, so an even T stands for T − 1. In training the lengths are drawn uniformly from the
    odd ones up to T, as there; val and test have the longest. x (B, T) and y (B,), int64.

    The value is not quite uniform, as products run into 0. For a prime m with probability 1 − (1 − 1/m)(1 − φ_n) it
    is 0, and the other values are as likely as each other, where n counts the numbers, φ_n = Σ_j P(the first product
    has j factors) · (1 − (1 − 1/m)^(j−1)) · φ_(n−j) and φ_0 = 1. For any m `distribution` goes through all cases.

    Raises:
        UserError: A modulus below 2.
    """

    name = "modular_arithmetic"
    definition = "modular arithmetic 1"
    default_items = 5

    def __init__(self, data: DataConfig, seed: int = 0) -> None:
        super().__init__(data, seed)
        if self.items < 2:
            raise UserError(f"modular arithmetic needs data.items, the modulus, of at least 2, got {self.items}.")
        self.answers = tuple(str(number) for number in range(self.items))
        self.symbols = (*self.answers, "+", "-", "·")
        self.task = Task("many_to_one", "tokens", "labels", len(self.symbols), self.items)

    def steps(self, seq_len: int) -> int:
        """T, or T − 1 where that is even."""
        return seq_len - (seq_len + 1) % 2

    def draw(self, count: int, seq_len: int, random: torch.Generator, varied: bool) -> Batch:
        """Odd lengths of 1 … T where varied."""
        size = (seq_len + 1) // 2
        numbers = torch.randint(self.items, (count, size), generator=random)
        signs = torch.randint(3, (count, size - 1), generator=random)
        x = torch.empty(count, self.steps(seq_len), dtype=torch.int64)
        x[:, ::2], x[:, 1::2] = numbers, self.items + signs
        lengths = 2 * torch.randint(size, (count,), generator=random) + 1 if varied else None
        values = prefix_values(numbers, signs, self.items)
        return up_to(x, values.repeat_interleave(2, dim=1)[:, :-1], lengths)

    def references(self) -> dict[str, float]:
        """guess_error and guess_nll of always giving the distribution of the values, in closed form."""
        chance = distribution((self._data.seq_len + 1) // 2, self.items).tolist()
        return {"guess_error": 1 - max(chance), "guess_nll": -sum(p * math.log(p) for p in chance)}


def prefix_values(numbers: Tensor, signs: Tensor, modulus: int) -> Tensor:
    """(B, n): the values of the expressions' first 1 … n numbers, from numbers (B, n) and signs (B, n − 1)."""
    first = torch.full_like(numbers[:, :1], _PLUS)
    signs = torch.cat([first, signs], dim=1)
    begins = signs != _TIMES  # a product, whose factors are then gathered from 1, 2, 4, … numbers back to its beginning
    product, whole = torch.where(signs == _MINUS, -numbers, numbers) % modulus, begins.clone()
    span = 1
    while span < numbers.shape[1]:
        earlier = torch.where(whole[:, span:], 1, product[:, :-span])
        product = torch.cat([product[:, :span], product[:, span:] * earlier % modulus], dim=1)
        whole = torch.cat([whole[:, :span], whole[:, span:] | whole[:, :-span]], dim=1)
        span *= 2
    closed = torch.where(begins[:, 1:], product[:, :-1], 0).cumsum(1)
    return torch.cat([product[:, :1], product[:, 1:] + closed], dim=1) % modulus


def distribution(numbers: int, modulus: int) -> Tensor:
    """(modulus,) float64: the probability of each value of an expression of so many numbers.

    The sum of the closed products and the open product are a Markov chain, and P their joint distribution: after + or −
    the open product is closed and a new, uniform one begins; after · it is multiplied by a uniform number.
    """
    every = torch.arange(modulus)
    times = torch.zeros(modulus, modulus, dtype=torch.float64)  # from one open product to the next
    times.index_put_(
        (every[:, None], every[:, None] * every % modulus), torch.tensor(1 / modulus, dtype=torch.float64), True
    )
    total = (every[:, None] + every) % modulus
    joint = torch.zeros(modulus, modulus, dtype=torch.float64)
    joint[0] = 1 / modulus

    def values(joint: Tensor) -> Tensor:
        return torch.zeros(modulus, dtype=torch.float64).index_add(0, total.flatten(), joint.flatten())

    for _ in range(numbers - 1):
        closed = values(joint)[:, None].expand(-1, modulus) / modulus
        joint = (2 * closed + joint @ times) / 3
    return values(joint)
