"""The rows of a `certify`: one tensor of one check at one size each, the worst of them, and what is wrong in words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rnnbench.conformance.implementation import Size


@dataclass(frozen=True)
class Row:
    """One tensor of one check.

    Args:
        implementation: Its name.
        size: At which it ran.
        dtype: The number format.
        check: Of `rnnbench.conformance.certify.CHECKS`.
        quantity: y, a state, or the gradient of the input, of a first state or of a weight; "" where it raised.
        ok: Whether the figure is at most 1.
        figure: The largest error as a multiple of what is allowed.
        error: The largest error as a share of the largest entry; of finite differences, of what they see of the slope.
        where: Where it goes wrong, or what was raised.
    """

    implementation: str
    size: Size
    dtype: str
    check: str
    quantity: str
    ok: bool
    figure: float
    error: float
    where: str = ""

    @property
    def kind(self) -> str:
        """The quantity without the layer and the direction: ``grad weight_hh`` of ``grad weight_hh_l1_reverse``."""
        return re.sub(r"_l\d+(_reverse)?$", "", self.quantity)

    def plain(self) -> dict[str, Any]:
        """For JSON; the size in words and in numbers."""
        return {**asdict(self), **asdict(self.size), "kind": self.kind, "size": str(self.size)}


def worst(rows: Iterable[Row]) -> list[Row]:
    """Of each implementation and kind of quantity the row that is furthest from right, or nearest to being wrong."""
    first: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = row.implementation, row.kind
        if key not in first or (not row.ok, row.figure) > (not first[key].ok, first[key].figure):
            first[key] = row
    return list(first.values())


def failures(rows: Sequence[Row]) -> list[str]:
    """A line for each implementation and kind of quantity that is wrong: in what, and where at its worst."""
    lines = []
    wrong = [row for row in rows if not row.ok]
    for row in worst(wrong):
        alike = [one for one in wrong if (one.implementation, one.kind) == (row.implementation, row.kind)]
        dtypes, checks = (", ".join(dict.fromkeys(getattr(one, key) for one in alike)) for key in ("dtype", "check"))
        if not row.quantity:
            lines.append(f"{row.implementation} fails ({dtypes}; {checks}) at {row.size}: {row.where}.")
            continue
        figures = f"{row.error:.2g} of the largest entry"
        if math.isfinite(row.figure):
            figures = f"{row.figure:.3g} times what is allowed, {figures}"
        if row.check == "repeat":
            figures = f"it is another one at the next call, by {row.error:.2g} of the largest entry"
        else:
            figures = f"the error is {figures}"
        where = f", {row.where}" if row.where else ""
        lines.append(
            f"{row.implementation}: {row.quantity} is wrong ({dtypes}; {checks}), at its worst in {row.dtype} at "
            f"{row.size}{where}: {figures}."
        )
    return lines
