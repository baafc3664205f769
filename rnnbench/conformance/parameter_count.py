"""How many weights a cell has, and how large its state is, as formulas in I and H."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache

import numpy as np
import torch

from rnnbench.cells.cell import memory_indices
from rnnbench.cells.registry import make_cell
from rnnbench.cells.weights import count_weights
from rnnbench.config import CellConfig
from rnnbench.conformance.cell_under_test import CellUnderTest
from rnnbench.errors import UserError

Count = Callable[[int, int], int]

#: The monomials, by what is written for them.
_TERMS: dict[str, Count] = {
    "H²": lambda i, h: h * h,
    "IH": lambda i, h: i * h,
    "H": lambda i, h: h,
    "I": lambda i, h: i,
    "": lambda i, h: 1,
}

#: (I, H) to fit at, and to test the formula at. Multiples of 16, so that heads and ranks divide them, and I ≠ H,
#: as a cell may do without a projection where they are equal.
_FIT = ((16, 32), (32, 16), (48, 16), (16, 48), (64, 32))
_TEST = ((80, 48), (32, 96), (112, 160))

#: The same where I = H, in which there are only three monomials.
_FIT_EQUAL, _TEST_EQUAL = ((16, 16), (32, 32), (48, 48)), ((80, 80), (96, 96), (160, 160))
_TERMS_EQUAL = ("H²", "H", "")


def parameters(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """The number of its weights as a formula, see `formulas`; a cell without one does not fail."""
    return None, formulas(subject.config)[0]


def formulas(cell: str | CellConfig) -> tuple[str, str]:
    """Weights and numbers in one sample's memory: ``4H² + 4IH + 8H`` and ``2H``.

    Where it is another at I = H, that too; ``no polynomial`` where there is none. Weights that are not trained are told
    apart: ``0 + frozen H² + IH``.
    """

    @cache
    def counts(input_size: int, hidden_size: int) -> tuple[int, int, int]:
        # Not on the meta device: at these sizes the first use of its Python kernels would take longer than all cells.
        with torch.random.fork_rng(devices=[]):
            built = make_cell(cell, input_size, hidden_size)
        return *count_weights(built), len(memory_indices(built))

    def formula(which: int) -> str:
        return _formula(lambda i, h: counts(i, h)[which])

    weights, frozen, state = map(formula, range(3))
    # Where the first has no formula because some size cannot be built, nor has the second.
    return weights if frozen == "0" or weights == frozen else f"{weights} + frozen {frozen}", state


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
    """Exact coefficients, or None where they do not predict all counts, or the cell cannot be built at some size."""
    try:
        counts = {size: count(*size) for size in (*fit, *test)}
    except UserError:  # an option that does not go with these sizes
        return None
    rows = [[_TERMS[term](*size) for term in terms] for size in fit]
    solution = np.linalg.solve(np.array(rows, float), np.array([counts[size] for size in fit], float))
    coefficients = {term: Fraction(c).limit_denominator(64) for term, c in zip(terms, solution.tolist(), strict=True)}
    exact = all(sum(c * _TERMS[t](*size) for t, c in coefficients.items()) == n for size, n in counts.items())
    return coefficients if exact else None


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
