"""How sure means and speed-ups are: intervals against exact distributions, medians of what was not reached."""

from __future__ import annotations

import math
from math import comb

import numpy as np
import pytest
import scipy.stats

from rnnbench.intervals import known_median, speed_up, student_interval


def at_most(rank: int, rounds: int) -> float:
    """The chance that the median of so many rounds drawn with replacement is among the ``rank`` smallest."""
    p = rank / rounds
    return sum(comb(rounds, k) * p**k * (1 - p) ** (rounds - k) for k in range(rounds // 2 + 1, rounds + 1))


@pytest.mark.parametrize("rounds", [9, 25])
def test_a_speed_up_has_the_quantiles_of_its_bootstrap(rounds: int) -> None:
    """Against a constant the ratio is the median of the rounds drawn, and that has a binomial distribution."""
    base = np.random.default_rng(rounds).permutation(np.arange(1.0, rounds + 1)) ** 2
    base = np.append(base[base < base.max()], base.max())  # the last round is an extreme one: it is drawn as well
    low, high = (
        next(rank for rank in range(1, rounds + 1) if at_most(rank, rounds) >= share) for share in (0.025, 0.975)
    )
    assert min(abs(at_most(rank, rounds) - 0.025) for rank in (low - 1, low)) > 0.004, "sure, with so many resamples"
    expected = (((rounds + 1) / 2) ** 2, low**2, high**2)
    assert speed_up(base, np.ones(rounds), resamples=20_000) == expected
    middle, *ends = speed_up(np.ones(rounds), base, resamples=20_000)
    assert (middle, sorted(1 / end for end in ends)) == (pytest.approx(1 / expected[0]), pytest.approx(expected[1:]))


def test_what_shakes_both_alike_shakes_no_speed_up() -> None:
    """Rounds are drawn in pairs: of times that are all proportional each resample has the same ratio."""
    base = np.random.default_rng(0).lognormal(size=12)
    assert speed_up(3 * base, base) == pytest.approx((3.0, 3.0, 3.0))
    assert speed_up(base, base[::-1].copy())[1] < 0.9


def test_the_interval_of_a_mean_is_students() -> None:
    values = [1.0, 1.2, 0.7, 1.4]
    expected = scipy.stats.t.interval(0.95, 3, np.mean(values), scipy.stats.sem(values))
    assert student_interval(values) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "median"),
    [([3.0], 3), ([1.0, 4.0], 2.5), ([5.0, 1.0, 2.0], 2), ([1.0, math.inf], 1), ([1.0, 2.0, math.inf, math.inf], 2),
     ([1.0, math.inf, math.inf], math.inf), ([-math.inf, 1.0], -math.inf)],
)  # fmt: skip
def test_half_way_to_what_was_not_reached_nothing_is_known(values: list[float], median: float) -> None:
    assert known_median(values) == median
