"""Means with intervals and tests between samples, against scipy and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from rnnbench.report.significance import estimate, holm, mean_band, paired, probability_of_improvement, welch

RNG = np.random.default_rng(0)
SAMPLES = [
    (RNG.normal(2.0, 0.01, 5).tolist(), RNG.normal(2.02, 0.03, 5).tolist()),
    (RNG.normal(2.0, 0.1, 7).tolist(), RNG.normal(2.0, 0.01, 10).tolist()),
    ([1.0, 1.1], [5.0, 4.0]),
]


@pytest.mark.parametrize(("x", "y"), SAMPLES)
def test_welch_is_scipys(x: list[float], y: list[float]) -> None:
    found, known = welch(x, y), scipy.stats.ttest_ind(y, x, equal_var=False)
    interval = known.confidence_interval()
    assert (found.p, found.low, found.high) == pytest.approx((known.pvalue, interval.low, interval.high), rel=1e-9)
    assert found.mean == pytest.approx(np.mean(y) - np.mean(x))
    assert found.p_equivalent is None
    assert not found.paired


@pytest.mark.parametrize(("x", "y"), [(x[: len(y)], y[: len(x)]) for x, y in SAMPLES])
def test_the_paired_test_is_scipys(x: list[float], y: list[float]) -> None:
    found, known = paired(x, y), scipy.stats.ttest_rel(y, x)
    interval = known.confidence_interval()
    assert (found.p, found.low, found.high) == pytest.approx((known.pvalue, interval.low, interval.high), rel=1e-9)
    assert found.paired


@pytest.mark.parametrize("margin", [0.005, 0.03, 0.2])
@pytest.mark.parametrize(("x", "y"), SAMPLES[:2])
def test_equivalence_is_the_larger_of_two_one_sided_tests(x: list[float], y: list[float], margin: float) -> None:
    low = scipy.stats.ttest_ind(np.array(y) + margin, x, equal_var=False, alternative="greater").pvalue
    high = scipy.stats.ttest_ind(np.array(y) - margin, x, equal_var=False, alternative="less").pvalue
    assert welch(x, y, margin).p_equivalent == pytest.approx(max(low, high), rel=1e-9)
    n = min(len(x), len(y))
    low = scipy.stats.ttest_1samp(np.array(y[:n]) - x[:n], -margin, alternative="greater").pvalue
    high = scipy.stats.ttest_1samp(np.array(y[:n]) - x[:n], margin, alternative="less").pvalue
    assert paired(x[:n], y[:n], margin).p_equivalent == pytest.approx(max(low, high), rel=1e-9)


def test_a_large_p_is_no_equality_and_a_small_one_no_difference_worth_the_name() -> None:
    few = welch([1.0, 3.0], [1.1, 3.1], 0.01)
    assert few.p > 0.9
    assert few.p_equivalent is not None
    assert few.p_equivalent > 0.4
    many = welch(np.linspace(1.0, 1.001, 200).tolist(), np.linspace(1.0005, 1.0015, 200).tolist(), 0.01)
    assert many.p < 1e-6
    assert many.p_equivalent is not None
    assert many.p_equivalent < 1e-6


def test_samples_without_spread_are_certain() -> None:
    same, apart = welch([1.0] * 5, [1.0] * 5, 0.01), paired([1.0, 2.0, 3.0], [1.5, 2.5, 3.5], 0.01)
    assert (same.p, same.p_equivalent) == (1.0, 0.0)
    assert (apart.p, apart.p_equivalent, apart.low, apart.high) == (0.0, 1.0, 0.5, 0.5)


@pytest.mark.parametrize("p", [[0.01, 0.04, 0.03, 0.005], [0.5], [0.02, 0.02, 0.02], [], [1.0, 0.9, 0.001]])
def test_holm_against_its_definition(p: list[float]) -> None:
    """The k-th smallest of m times m − k + 1, and never less than one before it, as statsmodels gives them."""
    order = np.argsort(p, kind="stable")
    want = np.empty(len(p))
    for k, at in enumerate(order):
        want[at] = min(1.0, max((len(p) - j) * p[order[j]] for j in range(k + 1)))
    assert holm(p) == pytest.approx(want.tolist())


def test_the_probability_is_mann_whitneys_u_and_its_interval_newcombes() -> None:
    for x, y in SAMPLES[:2]:
        u = scipy.stats.mannwhitneyu(y, x).statistic / (len(x) * len(y))
        found, low, high = probability_of_improvement(x, y)
        assert found == pytest.approx(u)
        assert 0 <= low < found < high <= 1
    # Newcombe 2006, part 2: at its ends the score lies 1.96 standard errors away, by Hanley & McNeil's variance.
    x, y = list(range(10)), [v + 2.5 for v in range(10)]
    found, low, high = probability_of_improvement(x, y)
    for theta in (low, high):
        q1, q2 = theta / (2 - theta), 2 * theta**2 / (1 + theta)
        variance = (theta * (1 - theta) + 9 * (q1 - theta**2) + 9 * (q2 - theta**2)) / 100
        assert abs(found - theta) == pytest.approx(1.96 * variance**0.5, rel=1e-3)


def test_a_tie_is_half_a_win() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 4, 8).tolist(), rng.integers(1, 5, 6).tolist()
    u = scipy.stats.mannwhitneyu(y, x).statistic / (len(x) * len(y))
    assert probability_of_improvement(x, y)[0] == pytest.approx(u)
    assert probability_of_improvement([1.0, 1.0], [1.0, 1.0])[0] == 0.5


def test_a_difference_of_exactly_the_margin_is_not_less() -> None:
    assert welch([1.0] * 5, [1.5] * 5, 0.5).p_equivalent == 1.0
    assert welch([1.0] * 5, [1.5] * 5, 0.50001).p_equivalent == 0.0


def test_separated_samples_are_not_sure_and_lost_runs_lose() -> None:
    found, low, high = probability_of_improvement([1, 2, 3, 4, 5], [6, 7, 8, 9, 10])
    assert (found, high) == (1.0, 1.0)
    assert 0.5 < low < 0.75
    assert probability_of_improvement([6, 7], [1, 2])[0] == 0.0
    assert probability_of_improvement([6, 7], [1, 2])[1] == 0.0
    assert probability_of_improvement([1.0, np.inf], [2.0, 2.0])[0] == 0.5


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


def test_a_band_is_the_interval_at_every_point() -> None:
    curves = np.random.default_rng(0).normal(size=(6, 20)).cumsum(1)
    low, high = mean_band(curves)
    for point in range(20):
        found = estimate(curves[:, point].tolist())
        assert found is not None
        assert found.interval == pytest.approx((low[point], high[point]))
