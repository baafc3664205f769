"""One vector from the outputs of a whole window, for tasks with one target a window."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Last(nn.Module):
    """The last output; of a bidirectional model each direction's own last, which is the window's first backwards.

    Args:
        directions: 1, or 2 where the second half of the features was read backwards.
    """

    def __init__(self, directions: int) -> None:
        super().__init__()
        self.directions = directions

    def forward(self, y: Tensor) -> Tensor:
        """(B, T, W) → (B, W)."""
        if self.directions == 1:
            return y[:, -1]
        forwards, backwards = y.chunk(2, dim=-1)
        return torch.cat((forwards[:, -1], backwards[:, 0]), dim=-1)


class Mean(nn.Module):
    """The mean over time."""

    def forward(self, y: Tensor) -> Tensor:
        """(B, T, W) → (B, W)."""
        return y.mean(dim=1)


class Attention(nn.Module):
    """Σ_t α_t y_t with α = softmax_t(v · tanh(W y_t + b)): additive attention with a learned query.

    Bahdanau, Cho & Bengio 2015; in this form Yang et al. 2016, eqs. 5–7.

    Args:
        size: Width W of the outputs, and of what they are scored in.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(size, size)
        self.score = nn.Linear(size, 1, bias=False)

    def weights(self, y: Tensor) -> Tensor:
        """(B, T, W) → α, (B, T)."""
        scores: Tensor = self.score(torch.tanh(self.hidden(y)))
        return scores.squeeze(-1).softmax(dim=1)

    def forward(self, y: Tensor) -> Tensor:
        """(B, T, W) → (B, W)."""
        return (self.weights(y).unsqueeze(1) @ y).squeeze(1)
