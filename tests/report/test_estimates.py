"""Means with Student-t intervals, against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from rnnbench.report.significance import estimate, mean_band


@pytest.mark.parametrize("n", [5, 7, 10, 30])
def test_the_interval_is_scipys(n: int) -> None:
    values = np.random.default_rng(n).normal(2.0, 0.3, n)
    found = estimate(values.tolist())
    assert found is not None
    assert found.mean == pytest.approx(values.mean())
    known = scipy.stats.t.interval(0.95, n - 1, loc=values.mean(), scale=scipy.stats.sem(values))
    assert found.interval == pytest.approx(known)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_below_five_there_is_no_interval(n: int) -> None:
    found = estimate([1.0 + i for i in range(n)])
    assert found is not None
    assert found.interval is found.low is found.high is None
    assert found.values == tuple(1.0 + i for i in range(n))
    assert found.mean == pytest.approx(np.mean(found.values))


def test_no_values_no_estimate_and_infinity_has_no_interval() -> None:
    assert estimate([]) is None
    found = estimate([1.0, 2.0, 3.0, 4.0, math.inf])
    assert found is not None
    assert (found.mean, found.interval) == (math.inf, None)
    lost = estimate([1.0, -math.inf])
    assert lost is not None
    assert (lost.mean, lost.interval) == (-math.inf, None)


def test_the_interval_of_five_seeds_covers_as_often_as_it_says() -> None:
    """benchmarks/coverage.py counts more of them, and that a bootstrap of five holds the truth 90 % of the time."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        found = estimate(rng.normal(1.0, 0.2, 5).tolist())
        assert found is not None
        assert found.interval is not None
        held += found.interval[0] < 1.0 < found.interval[1]
    assert 0.93 < held / 1000 < 0.97


def test_a_band_is_the_interval_at_every_point() -> None:
    curves = np.random.default_rng(0).normal(size=(6, 20)).cumsum(1)
    low, high = mean_band(curves)
    for point in range(20):
        found = estimate(curves[:, point].tolist())
        assert found is not None
        assert found.interval == pytest.approx((low[point], high[point]))
