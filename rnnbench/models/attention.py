"""A decoder's attention: weights over the encoder's outputs, one row for each step that it writes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Attention(nn.Module, ABC):
    """α = softmax_s(e) over what is not padding, context = Σ_s α_s m_s; a subclass says how e is scored.

    Args:
        query: Width Q of the decoder's outputs.
        memory: Width M of the encoder's outputs.
        size: Width D in which they are compared.
        bias: Of the memory's projection.
    """

    def __init__(self, query: int, memory: int, size: int, bias: bool = False) -> None:
        super().__init__()
        self.query = nn.Linear(query, size, bias=False)
        self.memory = nn.Linear(memory, size, bias=bias)

    def keys(self, m: Tensor) -> Tensor:
        """m (B, S, M) as it is compared, (B, S, D): the same at every step that is written."""
        keys: Tensor = self.memory(m)
        return keys

    @abstractmethod
    def scores(self, q: Tensor, keys: Tensor) -> Tensor:
        """q (B, U, Q), keys (B, S, D) → e (B, U, S)."""

    def forward(self, q: Tensor, keys: Tensor, m: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """q (B, U, Q), `keys` of m, m (B, S, M), hidden (B, S) bool, True where m is padding (and finite there).

        Returns:
            The context (B, U, M) and the weights α (B, U, S).
        """
        e = self.scores(q, keys)
        if hidden is not None:
            e = e.masked_fill(hidden[:, None], -torch.inf)
        weights = e.softmax(dim=-1)
        return weights @ m, weights


class Additive(Attention):
    """e_us = v · tanh(W q_u + U m_s + b): Bahdanau, Cho & Bengio 2015, eq. 6 and appendix A.1.2."""

    def __init__(self, query: int, memory: int, size: int) -> None:
        super().__init__(query, memory, size, bias=True)
        self.score = nn.Linear(size, 1, bias=False)

    def scores(self, q: Tensor, keys: Tensor) -> Tensor:
        e: Tensor = self.score(torch.tanh(self.query(q)[:, :, None] + keys[:, None])).squeeze(-1)
        return e


class ScaledDot(Attention):
    """e_us = (W q_u) · (U m_s) / √D: Vaswani et al. 2017, eq. 1, with one head."""

    def scores(self, q: Tensor, keys: Tensor) -> Tensor:
        e: Tensor = self.query(q) @ keys.mT / math.sqrt(keys.shape[-1])
        return e


#: By the name in `model.attention`.
ATTENTIONS: dict[str, type[Attention]] = {"additive": Additive, "dot": ScaledDot}
