"""Modified Kneser–Ney: how well a text is predicted by counting, the strongest baseline without a network.

Interpolated, with three discounts an order (Chen & Goodman 1999, "An empirical study of smoothing techniques for
language modeling", equations 26–27). With u the context h without its oldest symbol and c the counts of an order,

    p(w | h) = max(c(hw) − D(c(hw)), 0) / Σ_v c(hv)  +  γ(h) · p(w | u),
    γ(h) = (D₁ N₁(h) + D₂ N₂(h) + D₃ N₃₊(h)) / Σ_v c(hv),    N_r(h) = how many v have c(hv) = r,
    Y = n₁ / (n₁ + 2 n₂),  D_r = r − (r + 1) Y n_{r+1} / n_r,    n_r = how many n-grams have c = r.

At the highest order c counts occurrences; below it counts the different symbols seen just before (continuations).
Below order 1 every symbol of the vocabulary is as likely, so that no symbol is impossible. An unseen context leaves all
to the shorter one.
"""

from __future__ import annotations

import lzma
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: D₁, D₂, D₃ where the counts of counts give none in (0, r] (a tiny text, or one whose every symbol is frequent): the
#: values that KenLM falls back to.
FALLBACK = (0.5, 1.0, 1.5)


@dataclass(frozen=True)
class _Order:
    """What is kept of the n-grams of one n; an n-gram's index is its place in ``keys``."""

    keys: Ints  # context · symbols + symbol, rising; the context is its first n − 1 symbols' index an order below
    share: Floats  # by n-gram, its discounted count over its context's total
    left: Floats  # by context, γ: what discounting has left for the shorter context

    def find(self, contexts: Ints, following: Ints, symbols: int) -> Ints:
        """Indices of the n-grams context + symbol; −1 for those never seen, and where the context is −1."""
        keys = contexts * symbols + following
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where((contexts >= 0) & (self.keys[at] == keys), at, -1)


class KneserNey:
    """A modified Kneser–Ney model of some order, as `orders` gives it."""

    def __init__(self, orders: tuple[_Order, ...], symbols: int) -> None:
        self._orders, self._symbols = orders, symbols

    @property
    def order(self) -> int:
        """Symbols of its longest n-grams: one more than it looks back."""
        return len(self._orders)

    def log2_probabilities(self, ids: npt.ArrayLike) -> Floats:
        """(N,) log₂ p of each symbol of a text, given those before it (none before the first)."""
        text = np.asarray(ids, dtype=np.int64)
        p = np.full(len(text), 1 / self._symbols)
        context = np.zeros(len(text), dtype=np.int64)  # index of the symbols before each place; −1 where never seen
        for table in self._orders:
            gram = table.find(context, text, self._symbols)
            p *= np.where(context >= 0, table.left[context], 1.0)
            p += np.where(gram >= 0, table.share[gram], 0.0)
            context = np.append(-1, gram[:-1])
        return np.log2(p)


def orders(ids: npt.ArrayLike, symbols: int) -> Iterator[KneserNey]:
    """The models of order 1, 2, 3, …, as far as the text is long; each reuses what the last one counted.

    The text is (N,) symbols, N ≥ 1, in 0 … ``symbols`` − 1, of which some may never occur.

    The n-grams of one order are numbered by sorting, and the next order's are pairs of such a number and a symbol, so
    that a key fits 64 bits whatever the order.
    """
    text = np.asarray(ids, dtype=np.int64)
    ending = np.zeros(len(text) + 1, dtype=np.int64)  # the index of the n-gram that ends at each place, first n = 0
    keys, contexts = np.zeros(1, dtype=np.int64), 1
    lower: tuple[_Order, ...] = ()
    for order in range(1, len(text) + 1):
        longer, first, longer_ending, counts = np.unique(
            ending[:-1] * symbols + text[order - 1 :], return_index=True, return_inverse=True, return_counts=True
        )
        if order > 1:
            # Each different n-gram continues the one without its oldest symbol, which ends where it ends.
            continuations = np.bincount(ending[1:][first], minlength=len(keys))
            lower = (*lower, _discounted(keys, continuations, contexts, symbols))
            contexts = len(keys)
        keys, ending = longer, longer_ending
        yield KneserNey((*lower, _discounted(keys, counts, contexts, symbols)), symbols)


def _discounted(keys: Ints, counts: Ints, contexts: int, symbols: int) -> _Order:
    """An order's probabilities from its counts; a count may be 0 (at the text's very beginning nothing is before)."""
    taken = _discounts(counts)[np.minimum(counts, 3)]
    context = keys // symbols
    totals = np.bincount(context, counts, contexts)
    safe = np.maximum(totals, 1)
    left = np.where(totals > 0, np.bincount(context, taken, contexts) / safe, 1.0)
    return _Order(keys, (counts - taken) / safe[context], left)


def _discounts(counts: Ints) -> Floats:
    """What is taken off a count of 0, 1, 2, and of 3 or more."""
    n = np.bincount(np.minimum(counts, 5), minlength=6).astype(float)
    y = n[1] / (n[1] + 2 * n[2]) if n[1] else 0.0
    out = [0.0]
    for r, fallback in enumerate(FALLBACK, start=1):
        discount = r - (r + 1) * y * n[r + 1] / n[r] if n[r] and y else 0.0
        out.append(discount if 0 < discount <= r else fallback)
    return np.array(out)


#: The n-gram and xz read at most so many symbols of the training part, its last: half a minute each.
LONGEST = 5_000_000
#: The n-gram's order is chosen on at most so many of the validation part's first symbols, up to this order.
CHOOSING, HIGHEST = 1_000_000, 12


def baselines(parts: dict[str, Tensor], texts: dict[str, bytes], symbols: int) -> dict[str, Any]:
    """``references``: bits per symbol; ``ngram``: how that model was chosen.

    uniform_bpc: every symbol as likely. unigram_bpc: the training part's frequencies plus one. ngram_bpc: modified
    Kneser–Ney of the order that is best on val; it reads the test part from its beginning as the models do, but learns
    nothing from it. xz_bpc: (C(train + test) − C(train)) · 8 / |test|, xz at its best (which adapts on the test). A
    part's first symbol is not scored.

    Args:
        parts: Indices of the symbols of train, val and test.
        texts: Train (its last LONGEST symbols) and test as bytes, for xz.
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
    """``uniform_bpc`` and ``unigram_bpc`` of `baselines`, which take no time."""
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
