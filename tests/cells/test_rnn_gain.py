"""The random network: rnn with a gain."""

from __future__ import annotations

import pytest
import torch

from rnnbench.backends import run
from rnnbench.cells import make_cell
from rnnbench.errors import UserError


def test_the_gain_is_the_spectral_radius() -> None:
    """Girko's circular law: the eigenvalues of N(0, gain²/H) fill the disc of that radius evenly, mean |λ|² gain²/2."""
    torch.manual_seed(0)
    for gain in (0.5, 2.0):
        moduli = torch.linalg.eigvals(make_cell("rnn", 3, 400, gain=gain).weight_hh.detach()).abs() / gain
        assert abs(moduli.max() - 1) < 0.08
        assert abs(moduli.square().mean() - 0.5) < 0.03


@pytest.mark.parametrize(("gain", "chaotic"), [(0.8, False), (1.5, True)])
def test_chaos_begins_at_a_gain_of_one(gain: float, chaotic: bool) -> None:
    """Sompolinsky, Crisanti & Sommers 1988: below, activity dies out; above, it lasts, and neighbours part."""
    torch.manual_seed(0)
    cell = make_cell("rnn", 1, 400, gain=gain).double()
    torch.nn.init.zeros_(cell.bias_ih)
    torch.nn.init.zeros_(cell.bias_hh)
    start = torch.randn(1, 400, dtype=torch.float64)
    start = torch.cat((start, start + 1e-9 * torch.randn_like(start)))
    with torch.no_grad():
        _, (one, other) = run(cell, torch.zeros(2, 300, 1, dtype=torch.float64), start)
    if chaotic:
        assert one.square().mean() > 0.1
        assert (one - other).norm() > 1e4 * (start[0] - start[1]).norm()
    else:
        assert one.norm() < 1e-9


def test_a_gain_draws_nothing_else_anew() -> None:
    drawn = []
    for options in ({}, {"gain": 1.2}):
        torch.manual_seed(6)
        drawn.append(dict(make_cell("rnn", 5, 8, **options).named_parameters()))
    same = [torch.equal(one, other) for one, other in zip(drawn[0].values(), drawn[1].values(), strict=True)]
    assert same == [name != "weight_hh" for name in drawn[0]]


@pytest.mark.parametrize("gain", [0.0, -1.0, float("nan"), float("inf")])
def test_a_gain_that_is_not_positive_is_refused(gain: float) -> None:
    with pytest.raises(UserError, match=r"cell.gain.* must be (positive and|a) finite.*, got"):
        make_cell("rnn", 5, 8, gain=gain)
