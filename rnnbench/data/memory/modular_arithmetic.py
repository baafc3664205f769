"""Modular arithmetic: can a cell calculate as it reads?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rnnbench.config import DataConfig
from rnnbench.data.memory.drawn import DrawnData, up_to
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError

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
