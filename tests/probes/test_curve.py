"""The numbers of a gradient-flow curve, the decades lost over a hundred lags, and the verdict, on known curves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from rnnbench.probes.curve import (
    BAND,
    LAGS,
    Judgement,
    effective_horizon,
    falls_to,
    fit,
    judge,
    lost_decades,
    share_beyond,
)
from rnnbench.probes.gradient_flow import FlowCurve

LAG = np.arange(200.0)
#: Nats a lag that come to a decade over the verdict's lags.
DECADE = math.log(10) / LAGS


@pytest.mark.parametrize("half_life", [0.5, 3.0, 100.0, 1e4])
def test_the_numbers_of_an_exponential(half_life: float) -> None:
    """G(k) = e² 2^{−k/τ}: every number in closed form, up to the rounding of what lies on a border."""
    curve, ratio = 2.0 - LAG * math.log(2) / half_life, 2 ** (-1 / half_life)
    line = fit(curve)
    assert line.half_life == pytest.approx(half_life, rel=1e-6)
    assert line.slope == pytest.approx(-math.log(2) / half_life)
    assert line.r2 == pytest.approx(1.0)
    assert (line.first, line.last) == (1, min(199, math.floor(12 * math.log2(10) * half_life)))
    for share in (0.5, 0.01):
        exact = -half_life * math.log2(share)
        assert falls_to(curve, share) == (math.inf if exact > 199 else math.ceil(exact - 1e-9))
    assert effective_horizon(curve) == min(199, math.floor(half_life * math.log2(100)))
    for lag in (0, 10, 100, 198):
        closed = (ratio ** (lag + 1) - ratio**200) / (1 - ratio**200)
        assert share_beyond(curve, lag) == pytest.approx(closed, rel=1e-9)


def test_the_numbers_of_a_flat_curve() -> None:
    flat = np.full(200, -3.0)
    line = fit(flat)
    assert (line.slope, line.r2, line.half_life) == (0.0, 1.0, math.inf)
    assert falls_to(flat, 0.5) == falls_to(flat, 0.01) == math.inf
    assert falls_to(flat, 1.0) == 0
    assert effective_horizon(flat) == 199
    assert [share_beyond(flat, lag) for lag in (0, 99, 198)] == pytest.approx([199 / 200, 0.5, 1 / 200])


def test_a_growing_curve_never_falls() -> None:
    """Its maximum is the last lag, after which none was measured: censored, not 0."""
    for rate in (0.01, 3.0):
        assert fit(rate * LAG).half_life == falls_to(rate * LAG, 0.5) == math.inf
        assert effective_horizon(rate * LAG) == 199
    assert share_beyond(3.0 * LAG, 198) == pytest.approx(1 - math.exp(-3))


def test_growth_then_decay() -> None:
    """Up by 2^{1/5} a lag to lag 40, then down by 2^{−1/8}: counted from the maximum on, in lags from the end."""
    up, down = math.log(2) / 5, math.log(2) / 8
    curve = np.where(LAG <= 40, up * LAG, 40 * up - down * (LAG - 40)) - 7.0
    assert curve[0] - curve.max() < math.log(0.01), "the beginning is no fall: the test shows nothing else"
    assert falls_to(curve, 0.4) == 40 + math.ceil(8 * math.log2(2.5))
    assert falls_to(curve, 0.01) == 40 + math.ceil(8 * math.log2(100))
    assert effective_horizon(curve) == 40 + math.floor(8 * math.log2(100))
    weights = np.exp(curve)
    assert share_beyond(curve, 100) == pytest.approx(float(weights[101:].sum() / weights.sum()))
    assert falls_to(curve[:50], 0.4) == math.inf
    bump = np.where(LAG == 50, 0.0, -LAG)
    assert (effective_horizon(bump), falls_to(bump, 0.01)) == (50, 5)


def test_borders_belong_to_the_share() -> None:
    """Fallen to a share is at most that share of the maximum; the horizon is the last lag with at least it."""
    for share in (0.5, 0.01):
        exactly = np.array([0.0, math.log(share), -50.0])
        above = np.array([0.0, np.nextafter(math.log(share), 0.0), -50.0])
        below = np.array([0.0, np.nextafter(math.log(share), -1e9), -50.0])
        assert [falls_to(curve, share) for curve in (exactly, above, below)] == [1, 2, 1]
        assert [effective_horizon(curve, share) for curve in (exactly, above, below)] == [1, 1, 0]


def test_a_share_of_what_was_not_measured_is_none() -> None:
    assert share_beyond(np.zeros(11), 10) is None
    assert share_beyond(np.zeros(12), 10) == pytest.approx(1 / 12)
    ends = np.array([0.0, 0.0, -math.inf, -math.inf])
    assert (share_beyond(ends, 0), share_beyond(ends, 1)) == (0.5, 0.0)
    assert (falls_to(ends, 0.01), effective_horizon(ends)) == (2, 1)
    assert share_beyond(np.array([-2000.0, -2000.0]), 0) == 0.5, "however small"


def test_the_fit_stops_where_rounding_begins() -> None:
    """Below G(k)/G(0) = 1e−12, which is 27.6 nats, a curve is noise: what is there must not change the fit."""
    line = fit(np.where(LAG < 29, -LAG, -28.0))
    assert line.half_life == pytest.approx(math.log(2))
    assert (line.first, line.last) == (1, 27)


def test_the_fit_is_the_least_squares_line_of_its_range() -> None:
    """Against scipy: with the first lag left out or not, and up to a last one."""
    curve = -0.05 * LAG + np.random.default_rng(0).normal(0, 0.5, len(LAG))
    curve[0] = 3.0
    for start, end in ((1, None), (0, None), (5, None), (1, 60), (10, 12)):
        line, last = fit(curve, start, end), 199 if end is None else end
        theirs = scipy.stats.linregress(LAG[start : last + 1], curve[start : last + 1])
        assert (line.first, line.last) == (start, last)
        assert (line.slope, line.r2) == pytest.approx((theirs.slope, theirs.rvalue**2))


def test_a_curve_that_is_gone_at_once_is_fitted_over_its_first_two_lags() -> None:
    for second, half_life in ((-40.0, math.log(2) / 40), (-math.inf, 0.0)):
        line = fit(np.array([0.0, second, -math.inf, -math.inf]))
        assert (line.first, line.last) == (0, 1)
        assert line.half_life == pytest.approx(half_life, rel=1e-12)
        assert line.r2 == 0.0, "a line goes through any two points: this one is not to be shown as a good fit"


# --- scalars of a flow curve ----------------------------------------------------------------------------------------


def test_scalars() -> None:
    """Of two samples' curve that halves every 3 lags, 150 long, one of them without a gradient at the end."""
    dead = np.where(np.arange(150) > 140, 0.5, 0.0)
    mean = -np.arange(150) * math.log(2) / 3
    part = np.concatenate(([-math.inf], mean[1:]))
    flow = FlowCurve(mean, np.ones(150), dead, {"h": mean, "c": part, "never": np.full(150, -math.inf)})
    scalars = flow.scalars()
    ratio = 2 ** (-1 / 3)
    assert scalars == pytest.approx({
        "lags": 149, "half_lag": 3, "hundredth_lag": 20, "horizon": 19,
        **{f"beyond_{lag}": (ratio ** (lag + 1) - ratio**150) / (1 - ratio**150) for lag in (10, 32, 100)},
        "max_gain": 1.0, "decades": -100 / 3 * math.log10(2), "log10_gain_at_last_lag": -149 / 3 * math.log10(2),
        "dead_share": 0.5, "half_life": 3.0, "half_life_r2": 1.0, "half_life_first": 1, "half_life_last": 119,
        "half_lag_h": 3, "hundredth_lag_h": 20, "half_lag_c": 4, "hundredth_lag_c": 21,
    }, rel=1e-6)  # fmt: skip
    assert all(isinstance(value, int | float) for value in scalars.values())
    short = FlowCurve(mean[:20], np.ones(20), np.zeros(20)).scalars()
    assert {key for key in short if key.startswith("beyond")} == {"beyond_10"}
    assert (short["decades"], short["hundredth_lag"]) == (pytest.approx(-19 / 3 * math.log10(2)), math.inf)
    curves = flow.curves("flow")
    assert set(curves) == {"flow", "flow_sd", "flow_dead", "flow_h", "flow_c", "flow_never"}
    assert {name: curve.dtype for name, curve in curves.items() if curve.dtype != np.float32} == {"flow": np.float64}
    assert set(FlowCurve(mean, np.ones(150), np.zeros(150)).curves("flow")) == {"flow", "flow_sd"}


@pytest.mark.parametrize(("peak", "gain"), [(math.log(130.0), 130.0), (-5.0, 1.0), (1000.0, math.inf)])
def test_the_largest_gain_is_where_the_curve_is_highest(peak: float, gain: float) -> None:
    """Wherever it is, and infinite where no float64 holds it."""
    flow = FlowCurve(np.array([3.0, 3.0 + peak, -2.0, -9.0]), np.zeros(4), np.zeros(4))
    assert flow.scalars()["max_gain"] == pytest.approx(gain)


def test_a_share_of_dead_samples_is_that_of_the_last_lag() -> None:
    """Also where no sample has a gradient at lag 0, as a pooled loss sees earlier states: all else needs that lag."""
    dead = np.array([0.5, 0.25, 0.125])
    assert FlowCurve(np.array([0.0, -1.0, -2.0]), np.zeros(3), dead).scalars()["dead_share"] == 0.125
    later = FlowCurve(np.array([-math.inf, 0.0, -1.0]), np.zeros(3), np.array([1.0, 0.25, 0.25]))
    assert later.scalars() == {"dead_share": 0.25}


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_curve_that_is_not_finite_has_no_scalars(wrong: float) -> None:
    mean = np.array([0.0, -1.0, wrong])
    assert FlowCurve(mean, np.zeros(3), np.zeros(3)).scalars() == {}
    assert judge([mean, np.zeros(3), np.zeros(3)]) == judge([np.zeros(3), np.zeros(3)])


# --- verdicts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decades", "expected"),
    [(-20.0, "vanishing"), (-1.03, "vanishing"), (-0.97, "preserved"), (0.0, "preserved"), (0.97, "preserved"),
     (1.03, "exploding"), (13.0, "exploding"), (-1.0, "undecided"), (1.0, "undecided")],
)  # fmt: skip
def test_the_verdict_on_exact_exponentials(decades: float, expected: str) -> None:
    """Of three seeds that differ by a hundredth of a decade; the interval of those at a border lies on both sides."""
    assert (LAGS, BAND) == (100, 1.0), "as README and reports say"
    found = judge([7.0 + DECADE * (decades + jitter) * LAG for jitter in (-0.01, 0.0, 0.01)])
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
    """A curve is read at one lag; how it came there, and what follows, does not matter."""
    curve = np.zeros(200)
    curve[50:100], curve[100], curve[101:] = 30.0, -5.0, -300.0
    assert lost_decades(curve) == (pytest.approx(-5 / math.log(10)), 100)
    assert lost_decades(curve[:100]) == (pytest.approx(30 / math.log(10)), 99)


def test_of_shorter_curves_all_lags_count_and_all_curves_as_many() -> None:
    """−0.03 nats a lag are 1.3 decades over a hundred lags, and 0.77 over 59, as far as the shortest curve reaches."""
    long = [(-0.03 + jitter) * LAG for jitter in (-1e-4, 1e-4)]
    alone, mixed = judge(long), judge([*long, -0.03 * LAG[:60]])
    assert alone is not None
    assert mixed is not None
    assert (alone.verdict, alone.lags) == ("vanishing", 100)
    assert (mixed.verdict, mixed.lags) == ("preserved", 59)
    assert mixed.decades == pytest.approx(-0.03 * 59 / math.log(10))


def test_the_verdict_needs_two_usable_seeds_that_agree() -> None:
    falls = -0.5 * LAG
    assert judge([falls]) is None
    for unusable in (np.full(200, np.nan), np.full(200, -np.inf), np.where(LAG == 50, np.inf, 0.0), np.zeros(1)):
        assert judge([falls, unusable]) is None
    disagreeing = judge([falls, 0.1 * LAG])
    assert disagreeing is not None
    assert disagreeing.verdict == "undecided"  # the interval of two such seeds covers everything
    without_a_start = np.where(LAG < 3, -np.inf, 0.0)
    assert judge([falls, -0.51 * LAG, without_a_start]) == judge([falls, -0.51 * LAG]) is not None


def test_no_gradient_at_the_hundredth_lag_is_an_infinite_loss() -> None:
    """There is no mean and no Student-t: the least and the largest of the seeds bound what is lost."""
    gone = np.where(LAG < 60, -0.1 * LAG, -np.inf)
    for others, high, verdict in (
        ([-0.1 * LAG, -0.2 * LAG], -10 / math.log(10), "vanishing"),
        ([-0.01 * LAG, -0.2 * LAG], -1 / math.log(10), "undecided"),
        ([gone], -math.inf, "vanishing"),
    ):
        found = judge([gone, *others])
        assert found is not None
        assert (found.decades, found.low, found.high) == (-math.inf, -math.inf, pytest.approx(high))
        assert found.verdict == verdict
    back = judge([np.where(LAG == 60, -np.inf, 0.001 * LAG), 0.002 * LAG])
    assert back is not None
    assert math.isfinite(back.decades), "a lag that does not count"
