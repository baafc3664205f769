"""Interquartile means and bootstrap intervals, against scipy and against rliable 1.2, the paper's authors' library."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from rnnbench.report.estimates import estimate, iqm, iqm_band, iqm_curve, stratified_bootstrap

#: Seven seeds of three tasks, and what rliable makes of them (aggregate_iqm, and get_interval_estimates with 20,000
#: draws of its stratified bootstrap).
SCORES = np.array(
    [[2.0, 2.03, 1.973], [1.911, 1.955, 1.901], [2.006, 2.134, 1.951], [1.938, 2.049, 2.036], [2.011, 1.907, 1.997],
     [2.07, 1.866, 1.954], [1.81, 1.871, 1.816]]
)  # fmt: skip
RLIABLE_IQM, RLIABLE_INTERVAL = 1.9639090909090908, (1.92336136, 2.00072727)


def test_it_is_what_rliable_says() -> None:
    assert iqm(SCORES.ravel().tolist()) == pytest.approx(RLIABLE_IQM, rel=1e-12)
    assert stratified_bootstrap(SCORES.T.tolist()) == pytest.approx(RLIABLE_INTERVAL, abs=0.003)


@pytest.mark.parametrize("n", [4, 5, 7, 10, 30])
def test_the_interquartile_mean_is_scipys(n: int) -> None:
    values = np.random.default_rng(n).normal(2.0, 0.3, n).tolist()
    found = estimate(values)
    assert found is not None
    assert found.iqm == pytest.approx(scipy.stats.trim_mean(values, 0.25))


def test_a_run_that_went_astray_does_not_move_it() -> None:
    near, far = estimate([2.0, 2.1, 2.2, 2.3, 2.4]), estimate([2.0, 2.1, 2.2, 2.3, 99.0])
    assert near is not None
    assert far is not None
    assert near.iqm == far.iqm == pytest.approx(2.2)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_below_five_there_is_no_interval(n: int) -> None:
    found = estimate([1.0 + i for i in range(n)])
    assert found is not None
    assert found.interval is found.low is found.high is None
    assert found.values == tuple(1.0 + i for i in range(n))
    assert found.iqm == pytest.approx(np.mean(found.values))


def test_no_values_no_estimate_and_infinity_has_no_interval() -> None:
    assert estimate([]) is None
    one, three = estimate([1.0, 2.0, 3.0, 4.0, math.inf]), estimate([1.0, 2.0, math.inf, math.inf, math.inf])
    assert one is not None
    assert three is not None
    assert (one.iqm, one.interval, three.iqm) == (3.0, None, math.inf)


def test_the_interval_covers_as_often_as_it_should() -> None:
    """Of ten normal scores; benchmarks/coverage.py counts more of them, and of five."""
    rng = np.random.default_rng(0)
    found = [stratified_bootstrap([rng.normal(1.0, 0.2, 10)]) for _ in range(200)]
    assert 0.88 < np.mean([low < 1.0 < high for low, high in found]) < 0.98


def test_the_same_scores_give_the_same_interval_in_any_order() -> None:
    values = [2.0, 2.3, 2.1, 2.6, 2.2]
    first, second = estimate(values), estimate(sorted(values))
    assert first is not None
    assert second is not None
    assert first.interval == estimate(list(values)).interval  # type: ignore[union-attr]
    assert first.iqm == pytest.approx(second.iqm, rel=1e-12)


def test_strata_are_drawn_apart() -> None:
    """Two strata far apart, each without spread: drawn together the interval would be wide."""
    assert stratified_bootstrap([[1.0] * 5, [3.0] * 5]) == pytest.approx((2.0, 2.0))


def test_a_band_is_the_interval_at_every_point() -> None:
    curves = np.random.default_rng(3).normal(size=(6, 130))
    low, high = iqm_band(curves)
    assert low.shape == high.shape == (130,)
    middle = iqm_curve(curves)
    assert (low <= middle).all()
    assert (middle <= high).all()
    found = estimate(curves[:, 100].tolist())
    assert found is not None
    assert found.interval == pytest.approx((low[100], high[100]), abs=0.12)
