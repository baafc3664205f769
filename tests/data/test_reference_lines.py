"""The lines that need no network, against loops over every forecast and every symbol."""

from __future__ import annotations

import numpy as np
import pytest

from rnnbench.data.series import references as ridge
from rnnbench.data.series.references import forecast_references, naive_forecasts, ridge_forecasts
from rnnbench.data.text.references import KneserNey, bits_per_symbol, chosen


def test_of_several_columns_each_is_scored_in_its_own_units() -> None:
    """Three columns of other means, spreads and steps: every figure is the mean over columns of what a loop finds."""
    rng, size, seq_len, horizon = np.random.default_rng(0), 200, 6, 3
    values = rng.normal(size=(size, 3)).cumsum(0) * [1.0, 10.0, 0.1] + [5.0, -40.0, 300.0]
    starts = {"train": np.arange(0, 130), "val": np.arange(140, 152), "test": np.arange(160, size - seq_len - horizon)}
    mean, std = values[:140].mean(0), values[:140].std(0)
    steps = np.abs(np.diff(values[:140], axis=0)).mean(0)
    found = forecast_references(values, starts, seq_len, horizon, 4, mean, std, list(steps))
    linear = ridge_forecasts((values - mean) / std, starts, seq_len, horizon)
    sums: dict[str, list[float]] = {}
    for window, begin in enumerate(starts["test"]):
        last = begin + seq_len - 1
        for column in range(3):
            seasonal = naive_forecasts(values[:, column], np.array([last]), horizon, 4)["seasonal_naive"][0]
            for ahead in range(1, horizon + 1):
                truth = values[last + ahead, column]
                for name, said in (
                    ("mean", mean[column]), ("persistence", values[last, column]),
                    ("seasonal_naive", seasonal[ahead - 1]),
                    ("ridge", linear[window, ahead - 1, column] * std[column] + mean[column]),
                ):  # fmt: skip
                    error = said - truth
                    for measure, value in (
                        ("mse", (error / std[column]) ** 2), ("mae", abs(error) / std[column]),
                        ("mase", abs(error) / steps[column]),
                    ):  # fmt: skip
                        sums.setdefault(f"{name}_{measure}", []).append(value)
    assert found == pytest.approx({name: float(np.mean(each)) for name, each in sums.items()}, rel=1e-9)


@pytest.mark.parametrize(("most", "together"), [(6, True), (5, False)])
def test_all_columns_are_read_together_up_to_a_number_of_inputs(
    most: int, together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two columns of three values each are six inputs; the second column is the first a step before."""
    monkeypatch.setattr(ridge, "INPUTS", most)
    leader = np.random.default_rng(0).normal(size=801)
    values = np.stack([leader[1:], leader[:-1]], axis=1)
    starts = {"train": np.arange(0, 500), "val": np.arange(510, 600), "test": np.arange(610, 790)}
    said = ridge_forecasts(values, starts, 3, 1)[:, 0, 1]
    error = float(((said - values[starts["test"] + 3, 1]) ** 2).mean())
    assert error < 1e-3 if together else error > 0.5


def test_a_parts_first_symbol_is_nobodys_target() -> None:
    text = np.random.default_rng(0).integers(1, 5, 400)
    model = KneserNey.fit(text[:300], 6, 3)
    part = np.append(0, text[300:])  # the first one is unknown to the model, and would cost a lot
    by_hand = [-np.log2(model.distribution(part[:at])[part[at]]) for at in range(1, len(part))]
    assert bits_per_symbol(model, part) == pytest.approx(float(np.mean(by_hand)))


def test_of_orders_that_are_as_good_the_shorter_is_taken() -> None:
    """After symbols that were never seen a longer context says nothing: from order 2 on, which counts continuations,
    every order gives them the same.
    """
    model, by_order = chosen(np.array([1, 1, 1, 1, 1]), np.array([2, 2, 2, 2]), 4)
    assert model.order == 2
    assert list(by_order) == [1, 2, 3]
    assert by_order[1] > by_order[2] == by_order[3]
