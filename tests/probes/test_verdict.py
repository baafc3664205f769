"""The slope of log G and what is made of it, on curves whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from rnnbench.probes.curve import fit
from rnnbench.probes.verdict import judge


@pytest.mark.parametrize("rate", [-3.0, -0.5, -0.01, 0.0, 0.2])
def test_the_slope_of_an_exact_exponential(rate: float) -> None:
    assert fit(5.0 + rate * np.arange(300.0))[0] == pytest.approx(rate, abs=1e-12)


def test_the_slope_stops_where_rounding_begins() -> None:
    curve = np.maximum(-0.5 * np.arange(300.0), -40.0)  # flat at e⁻⁴⁰ < 1e−12 from lag 80 on
    assert fit(curve)[0] == pytest.approx(-0.5)
    assert math.isfinite(fit(np.array([0.0, -math.inf, -math.inf]))[0])


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(-0.5, "vanishing"), (-0.02, "vanishing"), (-0.005, "preserved"), (0.0, "preserved"), (0.005, "preserved"),
     (0.02, "exploding"), (0.3, "exploding")],
)  # fmt: skip
def test_the_verdict_on_exact_exponentials(rate: float, expected: str) -> None:
    seq_len = 64  # δ = ln 2 / 64 = 0.0108
    curves = [7.0 + (rate + jitter) * np.arange(200.0) for jitter in (-1e-4, 0.0, 1e-4)]
    found = judge(curves, seq_len)
    assert found is not None
    assert found.verdict == expected
    assert found.delta == math.log(2) / seq_len


def test_the_interval_of_the_slope_is_scipys() -> None:
    rates = [-0.02, -0.05, 0.01, -0.03, -0.04]
    found = judge([rate * np.arange(100.0) for rate in rates], 64)
    low, high = scipy.stats.t.interval(0.95, 4, loc=np.mean(rates), scale=scipy.stats.sem(rates))
    assert found is not None
    assert (found.slope, found.low, found.high) == pytest.approx((np.mean(rates), low, high), abs=1e-12)


def test_the_verdict_needs_seeds_that_agree() -> None:
    lags = np.arange(200.0)
    assert judge([-0.5 * lags], 64) is None
    assert judge([-0.5 * lags, np.full(200, np.nan)], 64) is None
    assert judge([-0.5 * lags, np.full(200, -np.inf)], 64) is None
    disagreeing = judge([-0.5 * lags, 0.1 * lags], 64)
    assert disagreeing is not None
    assert disagreeing.verdict == "undecided"  # the interval of two such seeds covers everything
