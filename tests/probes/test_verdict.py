"""The slope of log G, the decades lost over a hundred lags, and the verdict, on curves whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from rnnbench.probes.curve import BAND, LAGS, Judgement, fit, judge, lost_decades

#: Nats a lag that come to a decade over the verdict's lags.
DECADE = math.log(10) / LAGS


@pytest.mark.parametrize("rate", [-3.0, -0.5, -0.01, 0.0, 0.2])
def test_the_slope_of_an_exact_exponential(rate: float) -> None:
    assert fit(5.0 + rate * np.arange(300.0)).slope == pytest.approx(rate, abs=1e-12)


def test_the_slope_stops_where_rounding_begins() -> None:
    line = fit(np.maximum(-0.5 * np.arange(300.0), -40.0))  # flat at e⁻⁴⁰ < 1e−12 from lag 80 on
    assert line.slope == pytest.approx(-0.5)
    assert (line.first, line.last) == (1, 55)  # 1e−12 is 27.6 nats, 55.3 lags


def test_a_hundred_lags_and_a_factor_of_ten() -> None:
    """What README and reports say."""
    assert (LAGS, BAND) == (100, 1.0)


@pytest.mark.parametrize(
    ("decades", "expected"),
    [(-20.0, "vanishing"), (-1.03, "vanishing"), (-0.97, "preserved"), (0.0, "preserved"), (0.97, "preserved"),
     (1.03, "exploding"), (13.0, "exploding"), (-1.0, "undecided"), (1.0, "undecided")],
)  # fmt: skip
def test_the_verdict_on_exact_exponentials(decades: float, expected: str) -> None:
    """Of three seeds that differ by a hundredth of a decade; the interval of those at a border lies on both sides."""
    curves = [7.0 + DECADE * (decades + jitter) * np.arange(200.0) for jitter in (-0.01, 0.0, 0.01)]
    found = judge(curves)
    assert found is not None
    assert found.verdict == expected
    assert (found.decades, found.lags) == (pytest.approx(decades, abs=1e-9), 100)
    assert found.half_width == pytest.approx(scipy.stats.t.ppf(0.975, 2) * 0.01 / math.sqrt(3))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-9, -1, "undecided"), (-9, -1.001, "vanishing"), (-1, 1, "preserved"), (-1.001, 1, "undecided"),
     (-1, 1.001, "undecided"), (1, 9, "undecided"), (1.001, 9, "exploding")],
)  # fmt: skip
def test_a_decade_exactly_is_preserved(low: float, high: float, expected: str) -> None:
    assert Judgement((low + high) / 2, low, high, 100).verdict == expected


def test_the_interval_of_the_decades_is_scipys() -> None:
    rates = [-0.02, -0.05, 0.01, -0.03, -0.04]
    found = judge([3.0 + rate * np.arange(101.0) for rate in rates])
    decades = np.array(rates) * 100 / math.log(10)
    low, high = scipy.stats.t.interval(0.95, 4, loc=decades.mean(), scale=scipy.stats.sem(decades))
    assert found is not None
    assert (found.decades, found.low, found.high) == pytest.approx((decades.mean(), low, high), abs=1e-12)


def test_only_what_is_lost_by_the_hundredth_lag_counts() -> None:
    """A curve is read at one lag: how it came there, and what follows, is the fit's business."""
    curve = np.zeros(200)
    curve[50:100], curve[100], curve[101:] = 30.0, -5.0, -300.0
    assert lost_decades(curve) == (pytest.approx(-5 / math.log(10)), 100)
    assert lost_decades(curve[:100]) == (pytest.approx(30 / math.log(10)), 99)


def test_of_shorter_curves_all_lags_count_and_all_curves_as_many() -> None:
    """−0.03 nats a lag are 1.3 decades over a hundred lags, and 0.77 over 59, as far as the shortest curve reaches."""
    long = [(-0.03 + jitter) * np.arange(200.0) for jitter in (-1e-4, 1e-4)]
    alone, mixed = judge(long), judge([*long, -0.03 * np.arange(60.0)])
    assert alone is not None
    assert mixed is not None
    assert (alone.verdict, alone.lags) == ("vanishing", 100)
    assert (mixed.verdict, mixed.lags) == ("preserved", 59)
    assert mixed.decades == pytest.approx(-0.03 * 59 / math.log(10))


def test_the_verdict_needs_seeds_that_agree() -> None:
    lags = np.arange(200.0)
    assert judge([-0.5 * lags]) is None
    assert judge([-0.5 * lags, np.full(200, np.nan)]) is None
    assert judge([-0.5 * lags, np.full(200, -np.inf)]) is None
    assert judge([-0.5 * lags, np.where(lags == 50, np.inf, 0.0)]) is None
    assert judge([-0.5 * lags, np.zeros(1)]) is None, "one lag has lost nothing yet"
    disagreeing = judge([-0.5 * lags, 0.1 * lags])
    assert disagreeing is not None
    assert disagreeing.verdict == "undecided"  # the interval of two such seeds covers everything


def test_a_curve_that_starts_without_a_gradient_is_left_out() -> None:
    lags = np.arange(200.0)
    dead = np.where(lags < 3, -np.inf, 0.0)
    two = [-0.5 * lags, -0.51 * lags]
    assert judge([*two, dead]) == judge(two) is not None


def test_no_gradient_at_the_hundredth_lag_is_lost_without_end() -> None:
    """There is no mean and no Student-t: the least and the largest of the seeds bound what is lost."""
    lags = np.arange(200.0)
    gone = np.where(lags < 60, -0.1 * lags, -np.inf)
    for others, high, verdict in (
        ([-0.1 * lags, -0.2 * lags], -10 / math.log(10), "vanishing"),
        ([-0.01 * lags, -0.2 * lags], -1 / math.log(10), "undecided"),
        ([gone], -math.inf, "vanishing"),
    ):
        found = judge([gone, *others])
        assert found is not None
        assert (found.decades, found.low, found.high) == (-math.inf, -math.inf, pytest.approx(high))
        assert found.verdict == verdict
    back = judge([np.where(lags == 60, -np.inf, 0.001 * lags), 0.002 * lags])
    assert back is not None
    assert math.isfinite(back.decades), "a lag at which nothing is counted"
