"""The form that is run chunk by chunk: the state is a matrix, decayed and written to by outer products."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.cells.cell import Cell
from rnnbench.errors import UserError


@dataclass(frozen=True)
class Factors:
    """One time step of S' = A S + k wᵀ, as factors: A S is diag(exp(log_decay)) S, never a matrix of its own.

    With ``beta`` the write is a delta rule, w = β (v − (A S)ᵀ k): what the key recalled is replaced by v. Without it
    w = v.

    Args:
        key: k, (…, heads, K).
        value: v, (…, heads, V).
        log_decay: (…, heads, K), or (…, heads, 1) for one decay a head; ≤ 0; None keeps everything.
        beta: (…, heads, 1), or None.
    """

    key: Tensor
    value: Tensor
    log_decay: Tensor | None = None
    beta: Tensor | None = None


class MatrixCell(Cell):
    """A cell with a state of (heads, K, V); `step` and `read` follow from `factors`, `query` and `emit`.

    Raises:
        UserError: heads do not divide hidden_size.
    """

    def __init__(self, input_size: int, hidden_size: int, heads: int) -> None:
        super().__init__(input_size, hidden_size)
        if heads < 1 or hidden_size % heads:
            raise UserError(
                f"hidden_size {hidden_size} cannot be shared by {heads} heads; change one so that it divides."
            )
        self.heads, self.head_dim = heads, hidden_size // heads

    @abstractmethod
    def factors(self, u: Tensor) -> Factors:
        """(…, G) → what is written at that time step."""

    @abstractmethod
    def query(self, u: Tensor) -> Tensor:
        """(…, G) → q, (…, heads, K): what is asked of the new state."""

    @abstractmethod
    def emit(self, o: Tensor, u: Tensor) -> Tensor:
        """The answers o = Sᵀ q, (…, heads, V), and u (…, G) → (…, H)."""

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        f = self.factors(u)
        if f.log_decay is not None:
            s = f.log_decay.exp().unsqueeze(-1) * s
        write = f.value if f.beta is None else f.beta * (f.value - recall(f.key, s))
        return s + f.key.unsqueeze(-1) * write.unsqueeze(-2)

    def gate_values(self, u: Tensor, s: Tensor) -> dict[str, Tensor]:
        """``decay``: what a key channel, or a whole head, keeps; ``beta``: how far a delta rule replaces what it finds.

        (B, heads, K), or (B, heads, 1) of a whole head.
        """
        f = self.factors(u)
        values = {"decay": None if f.log_decay is None else f.log_decay.exp(), "beta": f.beta}
        return {name: value for name, value in values.items() if value is not None}

    def read(self, s: Tensor, u: Tensor) -> Tensor:
        return self.emit(recall(self.query(u), s), u)

    def apart(self, x: Tensor) -> Tensor:
        """(…, heads × D) → (…, heads, D)."""
        return x.unflatten(-1, (self.heads, -1))


def recall(key: Tensor, s: Tensor) -> Tensor:
    """Sᵀ k: (…, K), (…, K, V) → (…, V)."""
    return torch.einsum("...k,...kv->...v", key.to(s.dtype), s)
