"""What varies among runs, and which of it varies together.

A set of runs is a grid where every value of one key meets every value of another. Keys that do not meet so, like a
batch that shrinks as the length grows, make one factor; the finest such partition is unique.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

#: Factors up to which all subsets are tried.
MOST_FACTORS = 12


def varying(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys that are not the same in all rows, or not in all, in order of appearance."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return [key for key in keys if len(_projection(rows, (key,))) > 1]


def factors(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[tuple[str, ...]]:
    """The finest groups of keys such that the set of rows is the product of what it is on each group.

    Args:
        rows: Hashable values by key; all that differ, differ in one of ``keys``.
        keys: Those that vary.
    """
    groups: list[tuple[str, ...]] = [(key,) for key in keys]
    for one, other in combinations(keys, 2):  # dependent pairs lie in one group: what is left is searched below
        if len(_projection(rows, (one, other))) < len(_projection(rows, (one,))) * len(_projection(rows, (other,))):
            groups = _joined(groups, one, other)
    if len(groups) > MOST_FACTORS:
        return groups if _is_product(rows, groups) else [tuple(keys)]
    found: list[tuple[str, ...]] = []
    while groups:
        factor = _smallest(rows, groups)
        found.append(tuple(key for key in keys if any(key in group for group in factor)))
        groups = [group for group in groups if group not in factor]
    return sorted(found, key=lambda group: keys.index(group[0]))


def _smallest(rows: Sequence[Mapping[str, Any]], groups: list[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """The fewest of the groups, the first among them, that all others are independent of."""
    first, *rest = groups
    for size in range(len(rest)):
        for chosen in combinations(rest, size):
            inside = (first, *chosen)
            if _is_product(rows, [sum(inside, ()), sum((group for group in groups if group not in inside), ())]):
                return inside
    return tuple(groups)


def _is_product(rows: Sequence[Mapping[str, Any]], groups: Sequence[tuple[str, ...]]) -> bool:
    together = len(_projection(rows, sum(groups, ())))
    return together == math.prod(len(_projection(rows, group)) for group in groups)


def _joined(groups: list[tuple[str, ...]], one: str, other: str) -> list[tuple[str, ...]]:
    """The groups with those of two keys made one."""
    those = [group for group in groups if one in group or other in group]
    return [group for group in groups if group not in those] + [sum(those, ())]


def _projection(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> set[tuple[Any, ...]]:
    """The distinct values of some keys; a key that a row lacks is a value of its own."""
    return {tuple(row.get(key, ...) for key in keys) for row in rows}
