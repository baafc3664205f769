"""How many weights a cell has, and how large its state is, as formulas in I and H."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache

import torch

from rnnbench.cells.cell import Cell
from rnnbench.cells.registry import make_cell
from rnnbench.config import CellConfig
from rnnbench.conformance.cell_under_test import CellUnderTest
from rnnbench.errors import UserError

#: The monomials, by what is written for them.
_TERMS: dict[str, Callable[[int, int], int]] = {
    "H²": lambda i, h: h * h,
    "IH": lambda i, h: i * h,
    "H": lambda i, h: h,
    "I": lambda i, h: i,
    "": lambda i, h: 1,
}

#: (I, H) to fit at, and to hold the formula against. Multiples of 16, so that heads and ranks divide them, and I ≠ H,
#: as a cell may do without a projection where they are equal.
_FIT = ((16, 32), (32, 16), (48, 16), (16, 48), (64, 32))
_TEST = ((80, 48), (32, 96), (112, 160))

#: The same where I = H, in which there are only three monomials.
_FIT_EQUAL, _TEST_EQUAL = ((16, 16), (32, 32), (48, 48)), ((80, 80), (96, 96), (160, 160))
_TERMS_EQUAL = ("H²", "H", "")

Count = Callable[[int, int], int]


def parameters(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """The number of its weights as a formula; it is no fault to have none."""
    return None, formulas(subject.config)[0]


def formulas(cell: str | CellConfig) -> tuple[str, str]:
    """Weights and numbers in one sample's state: ``4H² + 4IH + 8H`` and ``2H``.

    Where it is another at I = H, that too; ``no polynomial`` where there is none.
    """

    @cache
    def counts(input_size: int, hidden_size: int) -> tuple[int, int]:
        made = _built(cell, input_size, hidden_size)
        return sum(weight.numel() for weight in made.parameters()), math.prod(made.state_shape)

    return _formula(lambda i, h: counts(i, h)[0]), _formula(lambda i, h: counts(i, h)[1])


def _built(cell: str | CellConfig, input_size: int, hidden_size: int) -> Cell:
    # Not on the meta device: at these sizes the first use of its Python kernels would take longer than all cells.
    with torch.random.fork_rng(devices=[]):
        return make_cell(cell, input_size, hidden_size)


def _formula(count: Count) -> str:
    apart, equal = _fitted(count, list(_TERMS), _FIT, _TEST), _fitted(count, _TERMS_EQUAL, _FIT_EQUAL, _TEST_EQUAL)
    if apart is None:
        return "no polynomial" if equal is None else f"{_written(equal)} where I = H"
    if equal is None:
        return f"{_written(apart)} where I ≠ H"
    text = _written(apart)
    folded = {"H²": apart["H²"] + apart["IH"], "H": apart["H"] + apart["I"], "": apart[""]}
    return text if folded == equal else f"{text}; {_written(equal)} where I = H"


def _fitted(
    count: Count, terms: Sequence[str], fit: Sequence[tuple[int, int]], test: Sequence[tuple[int, int]]
) -> dict[str, Fraction] | None:
    """Exact coefficients, or None where they do not predict the counts at the other sizes, or there is none there."""
    try:
        counts = {size: count(*size) for size in (*fit, *test)}
    except UserError:  # an option that does not go with these sizes
        return None
    rows = [[Fraction(_TERMS[term](*size)) for term in terms] + [Fraction(counts[size])] for size in fit]
    solution = dict(zip(terms, _solve(rows), strict=True))
    right = all(sum(c * _TERMS[term](*size) for term, c in solution.items()) == counts[size] for size in test)
    return solution if right else None


def _solve(rows: list[list[Fraction]]) -> list[Fraction]:
    """Gauss and Jordan, in fractions: [A | b] → A⁻¹ b."""
    for i in range(len(rows)):
        pivot = next(k for k in range(i, len(rows)) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(len(rows)):
            if k != i:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[-1] for row in rows]


def _written(coefficients: dict[str, Fraction]) -> str:
    """``H²/4 + 2IH − 3``."""
    text = ""
    for term, value in coefficients.items():
        if not value:
            continue
        size = abs(value)
        number = "" if size.numerator == 1 and term else str(size.numerator)
        below = f"/{size.denominator}" if size.denominator > 1 else ""
        sign = ("−" if value < 0 else "") if not text else (" − " if value < 0 else " + ")
        text += f"{sign}{number}{term}{below}"
    return text or "0"
