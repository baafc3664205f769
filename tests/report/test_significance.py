"""Means with intervals, tests between samples and rank correlations, against scipy and closed forms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from rnnbench.report.significance import (
    Bounds,
    estimate,
    holm,
    kendall,
    mean_band,
    paired,
    probability_of_improvement,
    welch,
)

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


def test_samples_without_spread_are_certain() -> None:
    same, apart = welch([1.0] * 5, [1.0] * 5, 0.01), paired([1.0, 2.0, 3.0], [1.5, 2.5, 3.5], 0.01)
    assert (same.p, same.p_equivalent) == (1.0, 0.0)
    assert (apart.p, apart.p_equivalent, apart.low, apart.high) == (0.0, 1.0, 0.5, 0.5)
    for margin, p in ((0.5, 1.0), (0.50001, 0.0)):
        assert welch([1.0] * 5, [1.5] * 5, margin).p_equivalent == p, "exactly the margin is not less"


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
    assert found.mean == pytest.approx(values.mean())
    known = scipy.stats.t.interval(0.95, n - 1, loc=values.mean(), scale=scipy.stats.sem(values))
    assert found.interval == pytest.approx(known)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_below_five_there_is_no_interval(n: int) -> None:
    found = estimate([1.0 + i for i in range(n)])
    assert found.interval is found.low is found.high is None
    assert found.values == tuple(1.0 + i for i in range(n))
    assert found.mean == pytest.approx(np.mean(found.values))


def test_no_values_no_estimate_and_infinity_has_no_interval() -> None:
    assert estimate([]) is None
    found = estimate([1.0, 2.0, 3.0, 4.0, math.inf])
    assert (found.mean, found.interval) == (math.inf, None)
    lost = estimate([1.0, -math.inf])
    assert (lost.mean, lost.interval) == (-math.inf, None)


def test_a_band_is_the_interval_at_every_point() -> None:
    curves = np.random.default_rng(0).normal(size=(6, 20)).cumsum(1)
    low, high = mean_band(curves)
    for point in range(20):
        found = estimate(curves[:, point].tolist())
        assert found.interval == pytest.approx((low[point], high[point]))


def exact(values: list[float]) -> list[Bounds]:
    return [(value, value) for value in values]


def test_of_known_values_without_ties_it_is_scipys() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((2, 30))
    found = kendall(exact(x.tolist()), exact((x + y).tolist()))
    assert found.tau == pytest.approx(scipy.stats.kendalltau(x, x + y).statistic, abs=1e-12)
    assert (found.points, found.pairs) == (30, 30 * 29 // 2)
    assert found.low < found.tau < found.high
    assert found == kendall(exact(x.tolist()), exact((x + y).tolist())), "seeded"
    assert found.text().endswith("over all pairs of 30 cells")


def test_a_tie_is_no_pair() -> None:
    """Four points: (1, 2) and (1, 3) tie in x, (1, 3) and (2, 3) in y; of the four pairs left one is concordant."""
    found = kendall(exact([1, 1, 2, 4]), exact([2, 3, 3, 1]))
    assert (found.tau, found.pairs) == (pytest.approx((1 - 3) / 4), 4)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, (2, 40)).tolist()
    signs = [(a > b) - (a < b) for a in x for b in x], [(a > b) - (a < b) for a in y for b in y]
    products = [one * two for one, two in zip(*signs, strict=True)]
    known = sum(map(abs, products))
    assert kendall(exact(x), exact(y)).tau == pytest.approx(sum(products) / known), "Goodman and Kruskal's gamma"


def test_bounds_that_overlap_are_not_told_apart() -> None:
    """By hand. x: 1, 2, beyond 2. y: between 10 and 20, between 15 and 30, beyond 30.

    y's first two overlap. The others are known, a bound that two share included, and all rise together.
    """
    x: list[Bounds] = [(1, 1), (2, 2), (2, math.inf)]
    y: list[Bounds] = [(10, 20), (15, 30), (30, math.inf)]
    found = kendall(x, y)
    assert (found.tau, found.pairs) == (1.0, 2)
    falling = kendall(x, y[::-1])
    assert (falling.tau, falling.pairs) == (-1.0, 2)
    assert "over the 2 pairs of 3 cells whose order is known" in found.text()


def test_the_order_of_the_points_is_all_one() -> None:
    rng = np.random.default_rng(3)
    points = [((float(a), float(a) + 1), (float(b), math.inf)) for a, b in rng.integers(0, 30, (15, 2))]
    found = {kendall(*zip(*[points[i] for i in rng.permutation(15)], strict=True)) for _ in range(5)}
    assert len(found) == 1


@pytest.mark.parametrize("order", [(3, 1, 0, 4, 2), (3, 0, 4, 1, 2)])
def test_the_interval_is_the_bootstraps(order: tuple[int, ...]) -> None:
    """Of five points all 3125 resamples, and the quantiles of their τ; a tenth of them beyond would be other ones."""

    def tau(points: list[tuple[int, int]]) -> float:
        signs = [(a > c) - (a < c) if (b > d) == (a > c) else (a < c) - (a > c)
                 for (a, b), (c, d) in itertools.combinations(points, 2) if a != c and b != d]  # fmt: skip
        agree = sum((a - c) * (b - d) > 0 for (a, b), (c, d) in itertools.combinations(points, 2))
        return (2 * agree - len(signs)) / len(signs) if signs else math.nan

    points = list(enumerate(order))
    every = np.array([tau([points[i] for i in drawn]) for drawn in itertools.product(range(5), repeat=5)])
    defined = every[~np.isnan(every)]
    ends = np.quantile(defined, (0.025, 0.975))
    assert tuple(ends) != tuple(np.quantile(defined, (0.05, 0.95)))
    found = kendall(exact(list(range(5))), exact(list(order)))
    assert (found.low, found.high) == pytest.approx(tuple(ends))
    assert found.undefined == pytest.approx(1 - len(defined) / len(every), abs=0.002)


def test_what_has_no_correlation_says_so() -> None:
    constant = kendall(exact([1, 2, 3, 4, 5]), exact([7, 7, 7, 7, 7]))
    assert (constant.tau, constant.low, constant.pairs, constant.undefined) == (None, None, 0, 1.0)
    assert constant.text() == "τ undefined, 5 cells"
    every = [(0.0, math.inf)] * 5
    assert kendall(every, exact([1, 2, 3, 4, 5])).tau is None, "nothing is known of any"
    lone = kendall(exact([1, 2, 3, 4, 5, 6]), exact([7, 7, 7, 7, 7, 9]))
    assert (lone.tau, lone.pairs) == (1.0, 5)
    assert lone.low is None, "a third of the resamples lack the one point that differs"
    assert lone.undefined == pytest.approx((5 / 6) ** 6, abs=0.03)
    assert kendall(exact([1, 2, 3]), exact([1, 2, 3])).low is None
    assert kendall(exact([1, 2, 3, 4]), exact([1, 2, 3, 4])).low == 1.0
    assert kendall(exact([1.0]), exact([1.0])).tau is None
    assert kendall([], []).tau is None


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


def test_with_one_quantity_censored_it_is_twice_harrells_c_less_one() -> None:
    rng = np.random.default_rng(1)
    x, time = rng.standard_normal((2, 25))
    end = rng.uniform(-1, 1, 25)
    seen, at = time <= end, np.minimum(time, end)
    good = bad = 0
    for i in range(25):
        for j in range(25):
            if seen[i] and at[i] < at[j]:  # which of the two ended first was seen
                good, bad = good + (x[i] < x[j]), bad + (x[i] > x[j])
    found = kendall(exact(x.tolist()), [(t, t if s else math.inf) for t, s in zip(at.tolist(), seen, strict=True)])
    assert found.pairs == good + bad < 25 * 24 // 2
    assert found.tau == pytest.approx(2 * good / (good + bad) - 1)


def test_the_interval_covers() -> None:
    """Of normal pairs with τ = 2/π asin r it holds the true one about 19 times in 20."""
    rng, r = np.random.default_rng(0), 0.6
    true, held = 2 / math.pi * math.asin(r), 0
    for _ in range(40):
        x, noise = rng.standard_normal((2, 30))
        found = kendall(exact(x.tolist()), exact((r * x + math.sqrt(1 - r * r) * noise).tolist()))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= true <= found.high
    assert held >= 34
