"""One vector from the outputs of a whole window, for tasks with one target a window."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rnnbench.models.stack import padding


class Last(nn.Module):
    """The last output; of a bidirectional model each direction's own last, which is the window's first backwards.

    Args:
        directions: 1, or 2 where the second half of the features was read backwards.
    """

    def __init__(self, directions: int) -> None:
        super().__init__()
        self.directions = directions

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T, W), of which ``lengths`` (B,) steps are data → (B, W)."""
        end = y[:, -1] if lengths is None else y[torch.arange(len(y), device=y.device), lengths - 1]
        if self.directions == 1:
            return end
        half = y.shape[-1] // 2
        return torch.cat((end[:, :half], y[:, 0, half:]), dim=-1)


class Mean(nn.Module):
    """The mean over time."""

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T, W), of which ``lengths`` (B,) steps are data → (B, W)."""
        if lengths is None:
            return y.mean(dim=1)
        kept = y.masked_fill(padding(lengths, y.shape[1])[:, :, None], 0.0)
        return kept.sum(dim=1) / lengths[:, None]


class AttentionPooling(nn.Module):
    """Σ_t α_t y_t with α = softmax_t(v · tanh(W y_t + b)): additive attention with a learned query.

    Bahdanau, Cho & Bengio 2015; in this form Yang et al. 2016, eqs. 5–7.

    Args:
        size: Width W of the outputs, and of what they are scored in.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(size, size)
        self.score = nn.Linear(size, 1, bias=False)

    def weights(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T, W) → α, (B, T); 0 where a sequence is padded."""
        scores: Tensor = self.score(torch.tanh(self.hidden(y))).squeeze(-1)
        if lengths is not None:
            scores = scores.masked_fill(padding(lengths, y.shape[1]), -torch.inf)
        return scores.softmax(dim=1)

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T, W), of which ``lengths`` (B,) steps are data → (B, W)."""
        if lengths is not None:  # 0 · NaN is NaN: padding must not enter the sum
            y = y.masked_fill(padding(lengths, y.shape[1])[:, :, None], 0.0)
        return (self.weights(y, lengths).unsqueeze(1) @ y).squeeze(1)
