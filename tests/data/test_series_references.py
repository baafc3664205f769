"""Baselines of a series: ridge against its closed form, the naive ones against loops, and series with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.data.series import references
from rnnbench.data.series.references import PENALTIES, fit, forecast_references, naive_forecasts, ridge_forecasts


def test_the_fit_is_the_closed_form_of_the_best_penalty() -> None:
    random = np.random.default_rng(0)
    x, x_val = random.normal(2, 3, (80, 7)), random.normal(2, 3, (40, 7))
    truth = random.normal(size=(7, 3))
    y, y_val = (some @ truth + 5 + random.normal(0, 8, (len(some), 3)) for some in (x, x_val))
    centred, predicted = x - x.mean(0), {}
    for penalty in PENALTIES:  # minimises mean |y − x W − b|² + penalty |W|²
        gram = centred.T @ centred / len(x) + penalty * np.eye(7)
        weights = np.linalg.solve(gram, centred.T @ (y - y.mean(0)) / len(x))
        predicted[penalty] = (x_val - x.mean(0)) @ weights + y.mean(0)
    errors = {penalty: ((outputs - y_val) ** 2).mean(0) for penalty, outputs in predicted.items()}
    best = min(errors, key=lambda penalty: float(errors[penalty].mean()))
    model, val_errors = fit(x, y, x_val, y_val)
    np.testing.assert_allclose(model.predict(x_val), predicted[best], rtol=1e-9)
    np.testing.assert_allclose(val_errors, errors[best], rtol=1e-9)
    assert PENALTIES[0] < best < PENALTIES[-1]


def starts(size: int, span: int) -> dict[str, np.ndarray]:
    train, val = size * 7 // 10, size * 8 // 10
    return {
        "train": np.arange(0, train - span + 1),
        "val": np.arange(train, val - span + 1),
        "test": np.arange(val, size - span + 1),
    }


def error(values: np.ndarray, seq_len: int, horizon: int) -> np.ndarray:
    """(C,) mean squared errors on the test windows."""
    where = starts(len(values), seq_len + horizon)
    forecasts = ridge_forecasts(values, where, seq_len, horizon)
    truth = values[where["test"][:, None] + seq_len + np.arange(horizon)]
    return ((forecasts - truth) ** 2).mean((0, 1))


def test_a_sum_of_waves_is_linear_and_forecast_exactly() -> None:
    time = np.arange(500.0)
    assert error((np.sin(time / 3) + np.cos(time / 7))[:, None], 8, 5) < 1e-5


@pytest.mark.parametrize(("most", "together"), [(6, True), (5, False)])
def test_other_columns_are_read_where_they_help_up_to_a_number_of_inputs(
    most: int, together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two columns of three values each are six inputs; the second column is the first a step before."""
    monkeypatch.setattr(references, "INPUTS", most)
    leader = np.random.default_rng(0).normal(size=1001)
    unpredictable, follower = error(np.stack([leader[1:], leader[:-1]], axis=1), 3, 1)
    assert follower < 1e-4 if together else follower > 0.5
    assert 0.7 < unpredictable < 1.3


def test_examples_are_limited_and_chunks_do_not_change_a_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(300, 2)).cumsum(0)
    where = starts(300, 6)
    whole = ridge_forecasts(values, where, 4, 2)
    np.testing.assert_allclose(ridge_forecasts(values, {**where, "test": where["test"][:1]}, 4, 2), whole[:1])
    monkeypatch.setattr(references, "EXAMPLES", 20)
    thinned = ridge_forecasts(values, where, 4, 2)
    assert thinned.shape == whole.shape
    assert 0 < np.abs(thinned - whole).max() < 5
    monkeypatch.setattr(references, "INPUTS", 4)
    alone = ridge_forecasts(values[:, :1], where, 4, 2)
    np.testing.assert_array_equal(ridge_forecasts(values, where, 4, 2)[..., :1], alone)


def test_test_values_do_not_move_the_fit() -> None:
    values = np.random.default_rng(0).normal(size=(300, 2)).cumsum(0)
    changed = values.copy()
    changed[250:] = 1e6
    early = {**starts(300, 6), "test": np.arange(240, 244)}
    np.testing.assert_array_equal(ridge_forecasts(values, early, 4, 2), ridge_forecasts(changed, early, 4, 2))


def test_of_several_columns_each_is_scored_in_its_own_units() -> None:
    """Three columns of other means, spreads and steps: every figure is the mean over columns of what a loop finds."""
    rng, size, seq_len, horizon = np.random.default_rng(0), 200, 6, 3
    values = rng.normal(size=(size, 3)).cumsum(0) * [1.0, 10.0, 0.1] + [5.0, -40.0, 300.0]
    where = {"train": np.arange(0, 130), "val": np.arange(140, 152), "test": np.arange(160, size - seq_len - horizon)}
    mean, std = values[:140].mean(0), values[:140].std(0)
    steps = np.abs(np.diff(values[:140], axis=0)).mean(0)
    figures = forecast_references(values, where, seq_len, horizon, 4, mean, std, list(steps))
    linear = ridge_forecasts((values - mean) / std, where, seq_len, horizon)
    sums: dict[str, list[float]] = {}
    for window, begin in enumerate(where["test"]):
        last = begin + seq_len - 1
        for column in range(3):
            seasonal = naive_forecasts(values[:, column], np.array([last]), horizon, 4)["seasonal_naive"][0]
            for ahead in range(1, horizon + 1):
                truth = values[last + ahead, column]
                for name, forecast in (
                    ("mean", mean[column]), ("persistence", values[last, column]),
                    ("seasonal_naive", seasonal[ahead - 1]),
                    ("ridge", linear[window, ahead - 1, column] * std[column] + mean[column]),
                ):  # fmt: skip
                    miss = forecast - truth
                    for measure, value in (
                        ("mse", (miss / std[column]) ** 2), ("mae", abs(miss) / std[column]),
                        ("mase", abs(miss) / steps[column]),
                    ):  # fmt: skip
                        sums.setdefault(f"{name}_{measure}", []).append(value)
    assert figures == pytest.approx({name: float(np.mean(each)) for name, each in sums.items()}, rel=1e-9)


@given(st.integers(1, 9), st.integers(1, 12), st.integers(8, 39))
def test_seasonal_naive_is_exact_on_a_periodic_series(period: int, horizon: int, last: int) -> None:
    values = np.arange(60.0) % period
    if last + 1 >= period:
        got = naive_forecasts(values, np.array([last]), horizon, period)["seasonal_naive"]
        np.testing.assert_array_equal(got[0], values[last + 1 : last + 1 + horizon])


def test_seasonal_naive_never_looks_ahead() -> None:
    values = np.random.default_rng(0).normal(size=100)
    early = naive_forecasts(values, np.array([40]), 9, 4)
    values[41:] = np.nan
    late = naive_forecasts(values, np.array([40]), 9, 4)
    assert all(np.array_equal(early[name], late[name]) for name in early)
