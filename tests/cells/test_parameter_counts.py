"""How many parameters each cell has, in closed form."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

import pytest

from rnnbench.cells import make_cell


def gate(i: int, h: int) -> int:
    """A product with the input, one with the state, and a bias."""
    return h * i + h * h + h


def skew(h: int) -> int:
    return h * (h - 1) // 2


Count = Callable[[int, int], int]
COUNTS: list[tuple[str, dict[str, Any], Count]] = [
    ("irnn", {}, lambda i, h: gate(i, h) + h),  # torch's second bias
    ("gru_v1", {}, lambda i, h: 3 * gate(i, h)),
    ("lstm_peephole", {}, lambda i, h: 4 * gate(i, h) + 3 * h),
    ("lstm_layernorm", {}, lambda i, h: 4 * gate(i, h) + 8 * h + 2 * h),  # gains of both products; gain and bias of c
    ("lstm_cifg", {}, lambda i, h: 3 * gate(i, h)),
    ("janet", {}, lambda i, h: 2 * gate(i, h)),
    ("mgu", {}, lambda i, h: 2 * gate(i, h)),
    ("ugrnn", {}, lambda i, h: 2 * gate(i, h)),
    ("minimal_rnn", {}, lambda i, h: gate(i, h) + h * h + h),
    ("indrnn", {}, lambda i, h: h * i + 2 * h),
    ("antisymmetric", {}, lambda i, h: h * i + h + skew(h)),
    ("antisymmetric", {"gated": True}, lambda i, h: 2 * (h * i + h) + skew(h)),
    ("cornn", {}, lambda i, h: h * i + 2 * h * h + h),
    ("lem", {}, lambda i, h: 4 * gate(i, h)),
    ("exprnn", {}, lambda i, h: h * i + skew(h) + h),
    ("slstm", {}, lambda i, h: 4 * gate(i, h)),
    ("slstm", {"heads": 2}, lambda i, h: 4 * (h * i + h * h // 2 + h)),
    ("mingru", {}, lambda i, h: 2 * h * i + 2 * h),
    ("minlstm", {}, lambda i, h: 3 * h * i + 3 * h),
    ("lru", {}, lambda i, h: 3 * h + 2 * h * i + 2 * h * h + (h if i == h else h * i)),
    ("rglru", {}, lambda i, h: h * i + 2 * h * h + 3 * h),
    ("sru", {}, lambda i, h: (3 if i == h else 4) * h * i + 2 * h),
    ("qrnn", {}, lambda i, h: 6 * h * i + 3 * h),
    ("hgrn", {}, lambda i, h: 5 * h * i + 5 * h + h + 2 * h * h + h),
    ("s4d", {}, lambda i, h: h * i + h * (1 + 8 + 8 + 16) + h + h * h + h),
    ("mamba", {}, lambda i, h: 2 * h * i + (ceil(h / 16) + 32) * h + h * ceil(h / 16) + h + 16 * h + h),
    ("mlstm", {"heads": 2}, lambda i, h: (4 * h + 4) * (i + 1)),
    ("gla", {"heads": 2}, lambda i, h: (4 * ceil(h / 4) + 2 * h + 16) * i + 34 * ceil(h / 4) + h),
    ("deltanet", {"heads": 2}, lambda i, h: (3 * h + 2) * i),
]


@pytest.mark.parametrize(("name", "options", "count"), COUNTS)
def test_parameter_count(name: str, options: dict[str, Any], count: Count) -> None:
    for i, h in ((5, 8), (8, 8), (1, 2), (4, 34)):
        assert sum(parameter.numel() for parameter in make_cell(name, i, h, **options).parameters()) == count(i, h)
