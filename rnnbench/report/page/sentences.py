"""Small parts of sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rnnbench.report.tables.table import number


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
