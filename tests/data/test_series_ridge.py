"""Ridge regression against scikit-learn's, and on series whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from rnnbench.data.series import references as ridge
from rnnbench.data.series.references import PENALTIES, fit, ridge_forecasts


def test_the_fit_is_scikit_learn_s() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    random = np.random.default_rng(0)
    x, x_val = random.normal(2, 3, (80, 7)), random.normal(2, 3, (40, 7))
    truth = random.normal(size=(7, 3))
    y, y_val = (some @ truth + 5 + random.normal(0, 8, (len(some), 3)) for some in (x, x_val))
    found = fit(x, y, x_val, y_val)
    errors = {}
    for penalty in PENALTIES:
        model = linear_model.Ridge(alpha=penalty * len(x)).fit(x, y)
        errors[penalty] = ((model.predict(x_val) - y_val) ** 2).mean()
        if penalty == found.penalty:
            np.testing.assert_allclose(found(x_val), model.predict(x_val))
    assert found.penalty == min(errors, key=lambda penalty: errors[penalty])
    assert found.errors.mean() == pytest.approx(errors[found.penalty])


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
    said = ridge_forecasts(values, where, seq_len, horizon)
    truth = values[where["test"][:, None] + seq_len + np.arange(horizon)]
    return ((said - truth) ** 2).mean((0, 1))


def test_a_sum_of_waves_is_linear_and_forecast_exactly() -> None:
    time = np.arange(500.0)
    values = (np.sin(time / 3) + np.cos(time / 7))[:, None]
    assert error(values, 8, 5) < 1e-5


def test_other_columns_are_read_where_they_help_and_only_there() -> None:
    random = np.random.default_rng(0)
    leader = random.normal(size=1001)
    follower = np.concatenate([[0], leader[:-1]])
    values = np.stack([leader, follower], axis=1)[1:]
    unpredictable, known = error(values, 3, 1)
    assert known < 1e-4
    assert 0.7 < unpredictable < 1.3


def test_examples_are_limited_and_chunks_do_not_change_a_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(300, 2)).cumsum(0)
    where = starts(300, 6)
    whole = ridge_forecasts(values, where, 4, 2)
    few = {**where, "test": where["test"][:1]}
    np.testing.assert_allclose(ridge_forecasts(values, few, 4, 2), whole[:1])
    monkeypatch.setattr(ridge, "EXAMPLES", 20)
    thinned = ridge_forecasts(values, where, 4, 2)
    assert thinned.shape == whole.shape
    assert 0 < np.abs(thinned - whole).max() < 5
    monkeypatch.setattr(ridge, "INPUTS", 4)
    alone = ridge_forecasts(values[:, :1], where, 4, 2)
    np.testing.assert_array_equal(ridge_forecasts(values, where, 4, 2)[..., :1], alone)


def test_test_values_do_not_move_the_fit() -> None:
    values = np.random.default_rng(0).normal(size=(300, 2)).cumsum(0)
    where = starts(300, 6)
    changed = values.copy()
    changed[250:] = 1e6
    early = {**where, "test": np.arange(240, 244)}
    np.testing.assert_array_equal(ridge_forecasts(values, early, 4, 2), ridge_forecasts(changed, early, 4, 2))
