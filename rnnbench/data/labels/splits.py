"""Fixed splits: the same for every seed and every run."""

from __future__ import annotations

import numpy as np
import torch

from rnnbench.data.source import generator


def stratified(labels: np.ndarray, shares: tuple[float, ...], name: str) -> list[np.ndarray]:
    """Indices of as many groups as there are shares, and of one more that takes the rest; each in rising order.

    Every class gives a group its share of its members, rounded; which of them is drawn by the name and the class alone.

    Args:
        labels: (N,) classes.
        shares: Of each group but the last.
        name: Of the split.
    """
    groups: list[list[np.ndarray]] = [[] for _ in range(len(shares) + 1)]
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = torch.randperm(len(members), generator=generator("split", name, int(label))).numpy()
        stops = np.rint(np.cumsum(shares) * len(members)).astype(int)
        for group, chosen in zip(groups, np.split(members[order], stops), strict=True):
            group.append(chosen)
    return [np.sort(np.concatenate(group)) for group in groups]
