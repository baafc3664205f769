"""The width at which a model has so many weights: what makes a comparison of cells fair."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from rnnbench.errors import UserError

#: How far from the target a count may be, as a share of it.
TOLERANCE = 0.02
#: Widths in a row that may be impossible, because heads do not divide them.
GAP = 256


def solve_width(count: Callable[[int], int], target: int) -> int:
    """The width whose count is nearest to the target.

    Args:
        count: Weights at a width: the wider the more. It raises `UserError` at a width that cannot be built.
        target: Weights to have.

    Raises:
        UserError: none comes within 2 %, with the nearest; or what ``count`` raised at every width.
    """

    @cache
    def at_least(width: int) -> tuple[int, int]:
        """The first width from here on that can be built, and its count."""
        for candidate in range(width, width + GAP):
            try:
                return candidate, count(candidate)
            except UserError as error:
                refusal = error
        raise refusal

    low, high = 0, 1
    while at_least(high)[1] < target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if at_least(middle)[1] < target else (low, middle)
    around = [at_least(width) for width in (low, high) if width]
    width, found = min(around, key=lambda pair: abs(pair[1] - target))
    if abs(found - target) > TOLERANCE * target:
        raise UserError(
            f"model.parameters {target} cannot be met within {100 * TOLERANCE:g} %: the nearest is {found}, at "
            f"hidden_size {width}; ask for that."
        )
    return width
