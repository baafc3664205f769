"""Kendall's τ of values that are known between bounds, with its bootstrap."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from rnnbench.report.significance import Bounds, kendall


def exact(values: list[float]) -> list[Bounds]:
    return [(value, value) for value in values]


def test_of_known_values_without_ties_it_is_scipys() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((2, 30))
    found = kendall(exact(x.tolist()), exact((x + y).tolist()))
    assert found.tau == pytest.approx(stats.kendalltau(x, x + y).statistic, abs=1e-12)
    assert (found.points, found.pairs) == (30, 30 * 29 // 2)
    assert found.low is not None
    assert found.high is not None
    assert found.tau is not None
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


def test_with_one_quantity_censored_it_is_twice_harrells_c_less_one() -> None:
    rng = np.random.default_rng(1)
    x, time = rng.standard_normal((2, 25))
    end = rng.uniform(-1, 1, 25)
    seen, at = time <= end, np.minimum(time, end)
    good = bad = 0
    for i in range(25):
        for j in range(25):
            if seen[i] and at[i] < at[j]:  # who was seen to end first is known
                good, bad = good + (x[i] < x[j]), bad + (x[i] > x[j])
    found = kendall(exact(x.tolist()), [(t, t if s else math.inf) for t, s in zip(at.tolist(), seen, strict=True)])
    assert found.pairs == good + bad < 25 * 24 // 2
    assert found.tau == pytest.approx(2 * good / (good + bad) - 1)


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
