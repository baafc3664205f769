"""Batches compared."""

from __future__ import annotations

import torch
from torch import Tensor

from rnnbench.data.task import Batch


def same(one: Batch, other: Batch) -> bool:
    """Every field is equal, bit for bit."""
    return all(
        torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a == b
        for a, b in zip(one, other, strict=True)
    )
