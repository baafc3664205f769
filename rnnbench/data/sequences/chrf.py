"""How near a translation comes, by a well-kept library."""

from __future__ import annotations

from collections.abc import Sequence


def chrf(written: Sequence[str], wanted: Sequence[str]) -> float:
    """chrF of Popović 2015 over a corpus, 0 to 1, more is better: F₂ of character n-grams up to 6."""
    from torchmetrics.text import CHRFScore

    return float(CHRFScore(n_word_order=0)(list(written), [[one] for one in wanted]))
