"""The lines that a text model must beat: what is predicted by guessing, by counting and by compressing."""

from __future__ import annotations

import lzma
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnbench.data.text.ngram import KneserNey, orders

#: The n-gram and xz read at most so many symbols of the training part, its last: half a minute each.
LONGEST = 5_000_000
#: The n-gram's order is chosen on at most so many of the validation part's first symbols, up to this order.
CHOOSING, HIGHEST = 1_000_000, 12


def lines(parts: dict[str, Tensor], texts: dict[str, bytes], symbols: int) -> dict[str, Any]:
    """``references``: bits per symbol; ``ngram``: how that line came about.

    uniform_bpc: every symbol as likely. unigram_bpc: the training part's frequencies plus one. ngram_bpc: modified
    Kneser–Ney of the order that is best on val; it reads the test part from its beginning as the models do, but learns
    nothing from it. xz_bpc: (C(train + test) − C(train)) · 8 / |test|, xz at its best (which adapts on the test). A
    part's first symbol is nobody's target.

    Args:
        parts: Indices of the symbols of train, val and test.
        texts: What train and test say, for xz; of train, its last LONGEST symbols.
        symbols: Size of the vocabulary.
    """
    model, by_order = chosen(parts["train"][-LONGEST:].numpy(), parts["val"][:CHOOSING].numpy(), symbols)
    return {
        "references": {
            **guesses(parts["train"], parts["test"], symbols),
            "ngram_bpc": bits_per_symbol(model, parts["test"].numpy()),
            "xz_bpc": (_xz(texts["train"] + texts["test"]) - _xz(texts["train"])) * 8 / len(parts["test"]),
        },
        "ngram": {
            "order": model.order,
            "bpc_val_by_order": {str(order): bpc for order, bpc in by_order.items()},
            "train_symbols": min(len(parts["train"]), LONGEST),
        },
    }


def guesses(train: Tensor, test: Tensor, symbols: int) -> dict[str, float]:
    """``uniform_bpc`` and ``unigram_bpc`` of `lines`, which take no time."""
    counts = torch.bincount(train, minlength=symbols).double() + 1
    bits = -torch.log2(counts / counts.sum())
    return {"uniform_bpc": math.log2(symbols), "unigram_bpc": float(bits[test[1:].long()].mean())}


def chosen(train: np.ndarray, val: np.ndarray, symbols: int) -> tuple[KneserNey, dict[int, float]]:
    """The n-gram model before the first order, up to HIGHEST, that makes val worse; and val's bits at each tried."""
    best, by_order = None, {}
    for model in orders(train, symbols):
        by_order[model.order] = bits_per_symbol(model, val)
        if best is not None and by_order[model.order] >= by_order[best.order]:
            break
        best = model
        if model.order == HIGHEST:
            break
    assert best is not None, "a training part has symbols"
    return best, by_order


def bits_per_symbol(model: KneserNey, ids: np.ndarray) -> float:
    """Mean −log₂ p of a part's symbols but the first, each given the part up to it."""
    return float(-model.log2_probabilities(ids)[1:].mean())


def _xz(data: bytes) -> int:
    return len(lzma.compress(data, format=lzma.FORMAT_XZ, preset=9 | lzma.PRESET_EXTREME))
