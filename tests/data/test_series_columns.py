"""Series of several columns: who sits where, and that nothing of val or test reaches what training sees."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from rnnbench.config import DataConfig
from rnnbench.data.series.record import Record, time_features
from rnnbench.data.series.windows import SeriesData
from rnnbench.errors import UserError


def record(size: int = 400) -> Record:
    random = np.random.default_rng(0)
    values = random.normal(size=(size, 3)).cumsum(0) * [1, 10, 100] + [0, 5, -300]
    values[130:150, 1] = np.nan  # one column's gap is everyone's
    clock = np.datetime64("2024-02-28T00", "h") + np.arange(size) * 3
    return Record(values, ("a", "b", "c"), "", clock)


def config(**options: object) -> DataConfig:
    return DataConfig(name="etth1", seq_len=5, batch_size=16, horizon=2, **options)  # type: ignore[arg-type]


def test_the_targets_are_the_next_steps_in_turn_all_columns_of_each() -> None:
    one = record()
    data = SeriesData(one, config())
    known = one.values[:280]
    standard = (one.values - np.nanmean(known, 0)) / np.nanstd(known, 0)
    for number, batch in enumerate(data.evaluation("test")):
        for row, (x, y) in enumerate(zip(batch.x, batch.y, strict=True)):
            at = 320 + number * 256 + row
            np.testing.assert_allclose(x, standard[at : at + 5], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(y, standard[at + 5 : at + 7].ravel(), rtol=1e-5, atol=1e-6)
    weights = np.nanstd(known, 0) / np.nanmean(np.abs(np.diff(known, axis=0)), 0)
    np.testing.assert_allclose(data.task.mase_weights, np.tile(weights, 2))
    assert (data.task.input_size, data.task.output_size) == (3, 6)


def test_a_gap_of_one_column_is_crossed_by_no_window() -> None:
    data = SeriesData(record(), config())
    assert all(bool(batch.x.isfinite().all() and batch.y.isfinite().all()) for batch in data.evaluation("train"))
    facts = data.facts()
    assert (facts["windows"]["train"], facts["segments"], facts["missing"]) == (130 - 6 + 130 - 6, 2, 20)


def test_company_changes_nothing_of_a_column() -> None:
    whole = record()
    alone = dataclasses.replace(whole, values=whole.values[:, 1:2].copy(), columns=("b",))
    one, three = SeriesData(alone, config()), SeriesData(whole, config())
    assert torch.equal(one.train_batch(3).x[..., 0], three.train_batch(3).x[..., 1])
    assert torch.equal(one.train_batch(3).y, three.train_batch(3).y[:, 1::3])


def test_a_model_s_score_and_a_reference_s_are_in_the_same_terms() -> None:
    from rnnbench.training.metrics import metric_for

    data = SeriesData(record(), config())
    metric = metric_for(data.task)
    for batch in data.evaluation("test"):
        metric.update(batch.x[:, -1].repeat(1, 2), batch)
    references = data.references()
    for name, value in metric.compute().items():
        assert float(value) == pytest.approx(references[f"persistence_{name}"], rel=1e-5)


def test_relative_windows_are_differences_from_the_last_value() -> None:
    """So predicting nothing is persistence, and the lines are what they are without; the clock stays as it is."""
    from rnnbench.training.metrics import metric_for

    timed = config(time_features=True)
    plain, data = SeriesData(record(), timed), SeriesData(record(), dataclasses.replace(timed, relative=True))
    for a, b in zip(
        (plain.train_batch(2), *plain.evaluation("val")), (data.train_batch(2), *data.evaluation("val")), strict=True
    ):
        last = a.x[:, -1:, :3]
        torch.testing.assert_close(b.x[..., :3], a.x[..., :3] - last)
        torch.testing.assert_close(b.y, a.y - last[:, 0].repeat(1, 2))
        assert torch.equal(b.x[..., 3:], a.x[..., 3:])
    assert torch.equal(data.train_batch(2).x, data.train_batch(2).x), "a batch must not change what the next reads"
    metric = metric_for(data.task)
    for batch in data.evaluation("test"):
        metric.update(torch.zeros_like(batch.y), batch)
    assert data.references() == plain.references()
    assert float(metric.compute()["mse"]) == pytest.approx(data.references()["persistence_mse"], rel=1e-5)


@pytest.mark.parametrize("timed", [False, True])
def test_values_of_val_and_test_reach_nothing_of_training(timed: bool) -> None:
    one = record()
    values = one.values.copy()
    values[280:] = np.random.default_rng(1).normal(1e6, 1e4, size=(120, 3))
    values[300:310] = np.nan
    two = dataclasses.replace(one, values=values)
    first, second = (SeriesData(each, config(time_features=timed)) for each in (one, two))
    assert first.task == second.task
    keys = ("train_mean", "train_std", "naive_mae", "time_features")
    assert [first.facts()[key] for key in keys] == [second.facts()[key] for key in keys]
    assert first.facts()["windows"]["train"] == second.facts()["windows"]["train"]
    for step in range(2 * first.steps_per_epoch):
        assert torch.equal(first.train_batch(step).x, second.train_batch(step).x)
        assert torch.equal(first.train_batch(step).y, second.train_batch(step).y)


def test_values_of_test_reach_nothing_of_validation_nor_the_fit() -> None:
    one = record()
    values = one.values.copy()
    values[320:, 2] += 3.0
    two = dataclasses.replace(one, values=values)
    first, second = SeriesData(one, config()), SeriesData(two, config())
    for a, b in zip(first.evaluation("val"), second.evaluation("val"), strict=True):
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.y, b.y)


def test_time_features_stand_beside_the_columns_and_are_not_forecast() -> None:
    data, plain = SeriesData(record(), config(time_features=True)), SeriesData(record(), config())
    batch, bare = data.train_batch(0), plain.train_batch(0)
    assert torch.equal(batch.y, bare.y)
    assert torch.equal(batch.x[..., :3], bare.x)
    # 35 days of training: the day and the week are gone through, the year is not
    assert data.facts()["time_features"] == ["time of day", "day of week"]
    assert data.task.input_size == batch.x.shape[2] == 3 + 4
    assert data.references() == plain.references()


def test_phases_by_hand() -> None:
    clock = np.array(["2024-01-01T06:00", "2024-01-02T12:00", "2024-07-01T18:00", "2024-12-31T00:00"], "datetime64[m]")
    names, waves = time_features(clock, np.arange(len(clock)) < 4)
    assert names == ("time of day", "day of week", "day of year")
    np.testing.assert_allclose(waves[:, 0], [1, 0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(waves[:, 1], [0, -1, 0, 1], atol=1e-12)
    weekdays = np.array([0, 1, 0, 1])  # Monday, Tuesday, Monday, Tuesday
    np.testing.assert_allclose(waves[:, 2], np.sin(2 * np.pi * weekdays / 7), atol=1e-12)
    np.testing.assert_allclose(waves[:, 5], np.cos(2 * np.pi * np.array([0, 1, 182, 365]) / 365.2425), atol=1e-12)


def test_only_cycles_that_training_goes_through_are_told() -> None:
    daily = np.datetime64("2020-01-01", "D") + np.arange(1000)
    assert time_features(daily, np.arange(len(daily)) < 700)[0] == ("day of week", "day of year")
    assert time_features(daily, np.arange(len(daily)) < 300)[0] == ("day of week",)
    with pytest.raises(UserError, match="the 2 days of training go through neither"):
        time_features(daily, np.arange(len(daily)) < 3)


def test_the_standard_ends_cut_the_record_and_what_lies_behind_is_not_seen() -> None:
    cut = dataclasses.replace(record(), ends=(100, 160, 200))
    data = SeriesData(cut, config(time_features=True))
    facts = data.facts()
    assert (facts["time_steps"], facts["split"]) == (200, {"train": 100, "val": 60, "test": 40})
    assert facts["max"]["c"] == np.nanmax(cut.values[:200, 2])


def test_a_constant_column_is_named() -> None:
    flat = record()
    flat.values[:280, 1] = 7
    with pytest.raises(UserError, match="is constant at 7 in column 'b'"):
        SeriesData(flat, config())
