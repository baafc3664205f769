"""What a decoder looks at: weights over the encoder's outputs, one row a step that it writes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Additive(nn.Module):
    """e_us = v · tanh(W q_u + U m_s + b), α = softmax_s(e): Bahdanau, Cho & Bengio 2015, eq. 6 and appendix A.1.2.

    Args:
        query: Width Q of what asks.
        memory: Width M of what is looked at.
        size: Width in which they are compared.
    """

    def __init__(self, query: int, memory: int, size: int) -> None:
        super().__init__()
        self.query = nn.Linear(query, size, bias=False)
        self.memory = nn.Linear(memory, size)
        self.score = nn.Linear(size, 1, bias=False)

    def forward(self, q: Tensor, m: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """q (B, U, Q), m (B, S, M), hidden (B, S) bool, True where m is padding → context (B, U, M), α (B, U, S)."""
        scores = self.score(torch.tanh(self.query(q)[:, :, None] + self.memory(m)[:, None])).squeeze(-1)
        return _read(scores, m, hidden)


class ScaledDot(nn.Module):
    """e_us = (W q_u) · (U m_s) / √d, α = softmax_s(e): Vaswani et al. 2017, eq. 1, with one head.

    Args:
        query: Width Q of what asks.
        memory: Width M of what is looked at.
        size: Width d in which they are compared.
    """

    def __init__(self, query: int, memory: int, size: int) -> None:
        super().__init__()
        self.query = nn.Linear(query, size, bias=False)
        self.memory = nn.Linear(memory, size, bias=False)

    def forward(self, q: Tensor, m: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """q (B, U, Q), m (B, S, M), hidden (B, S) bool, True where m is padding → context (B, U, M), α (B, U, S)."""
        keys = self.memory(m)
        return _read(self.query(q) @ keys.mT / math.sqrt(keys.shape[-1]), m, hidden)


def _read(scores: Tensor, m: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
    if hidden is not None:
        scores = scores.masked_fill(hidden[:, None], -torch.inf)
        m = m.masked_fill(hidden[:, :, None], 0.0)  # 0 · NaN is NaN
    weights = scores.softmax(dim=-1)
    return weights @ m, weights


#: By what `model.attention` says.
ATTENTIONS = {"additive": Additive, "dot": ScaledDot}
