"""Numbers small enough to be carried in a page: few digits, few points, and no infinity, which JSON lacks."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnbench.report.tables.table import number

#: Points of a curve in a figure of the study.
CURVE_POINTS = 128
#: The first points of a curve over lags are all kept: most of what happens, happens there.
DENSE = 16


def short(value: float | None, digits: int = 5) -> float | None:
    """A number to a few significant digits; None for what cannot be drawn: NaN and the infinities."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")


def shorts(values: Iterable[float], digits: int = 4) -> list[float | None]:
    """Each of some numbers to a few significant digits."""
    return [short(float(value), digits) for value in values]


def kept(count: int, most: int = CURVE_POINTS) -> NDArray[np.int64]:
    """The indices, both ends among them, of at most so many (twice `DENSE` or more) of a curve's points."""
    if count <= most:
        return np.arange(count)
    spread = np.linspace(DENSE, count - 1, most - DENSE).round().astype(np.int64)
    return np.concatenate([np.arange(DENSE), spread])


def script(values: Any) -> str:
    """JSON that may stand inside a ``<script>`` element: it holds no ``<``, and so no ``</script>``.

    Raises:
        ValueError: A NaN or an infinity is among the values.
    """
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def listed(parts: Sequence[str], most: int = 6) -> str:
    """``a, b and c``; of many the first ones, and how many there are more."""
    if len(parts) > most:
        return f"{', '.join(parts[: most - 1])} and {len(parts) - most + 1} more"
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def spanned(values: Iterable[float], digits: int = 3) -> str:
    """``1.4 to 4.2``, or the one number that they all come to."""
    ordered = sorted(values)
    low, high = number(ordered[0], digits), number(ordered[-1], digits)
    return low if low == high else f"{low} to {high}"


def counted(count: int, one: str) -> str:
    """``one run``, ``3 runs``."""
    return f"one {one}" if count == 1 else f"{count} {one}s"


def distinct(values: Iterable[Any]) -> list[str]:
    """In the order in which they come, without those that are empty."""
    return list(dict.fromkeys(str(value) for value in values if value not in (None, "")))
