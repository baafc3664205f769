"""The number of weights as a formula."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from rnnbench.cells import Cell, cell_names, make_cell, registry
from rnnbench.conformance import check, formulas
from rnnbench.conformance.parameter_count import _formula
from rnnbench.errors import UserError


@pytest.mark.parametrize(
    ("cell", "weights", "state"),
    [("rnn", "H² + IH + 2H", "H"), ("lstm", "4H² + 4IH + 8H", "2H"), ("gru", "3H² + 3IH + 6H", "H")],
)
def test_known_cells(cell: str, weights: str, state: str) -> None:
    assert formulas(cell) == (weights, state)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (lambda i, h: 4 * h * h + 4 * i * h + 8 * h, "4H² + 4IH + 8H"),
        (lambda i, h: h * (h - 1) // 2, "H²/2 − H/2"),
        (lambda i, h: 3 * h * h // 8 + 7, "3H²/8 + 7"),
        (lambda i, h: i, "I"),
        (lambda i, h: 0, "0"),
        (lambda i, h: h * h + (i * h if i != h else 0), "H² + IH; H² where I = H"),
        (lambda i, h: h * h * h, "no polynomial"),
        (lambda i, h: h * math.isqrt(i), "no polynomial"),
        (lambda i, h: i * i, "H² where I = H"),
        (lambda i, h: h if i != h else h * h * h, "H where I ≠ H"),
    ],
)
def test_written(count: Callable[[int, int], int], text: str) -> None:
    assert _formula(count) == text


@pytest.mark.parametrize("name", cell_names())
def test_the_formula_is_the_count(name: str) -> None:
    """At a size that it was not fitted to."""
    sizes = {"H²": 112 * 112, "IH": 144 * 112, "H": 112, "I": 144}
    text = formulas(name)[0].split(";")[0].replace("−", "-")
    numbers = re.sub("([0-9]*)(H²|IH|H|I)", lambda found: f"{found[1] or 1} * {sizes[found[2]]}", text)
    assert eval(numbers) == sum(weight.numel() for weight in make_cell(name, 144, 112).parameters())


def test_an_option_that_goes_with_few_sizes() -> None:
    """A cell that can be built at no size of the fit has no formula, and that is no fault."""

    class Thirds(Cell):
        def __init__(self, input_size: int, hidden_size: int) -> None:
            super().__init__(input_size, hidden_size)
            if hidden_size != 8:
                raise UserError(f"hidden_size must be 8, got {hidden_size}.")
            self.weight = nn.Parameter(torch.ones(hidden_size, input_size))

        def drive(self, x: Tensor) -> Tensor:
            return x @ self.weight.t()

        def step(self, u: Tensor, s: Tensor) -> Tensor:
            return u + s / 2

    registry.register_cell("thirds")(Thirds)
    try:
        findings = check("thirds")
    finally:
        del registry._CELLS["thirds"]
    assert [finding for finding in findings if finding.ok is False] == []
    assert findings[-1].where == "no polynomial"
