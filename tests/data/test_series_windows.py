"""A series' windows: inside one segment and one part, standardised by train alone, every one evaluated.

Of several columns each is where it belongs, and nothing of val or test reaches what training sees.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from rnnbench.config import DataConfig
from rnnbench.data.series.record import LONGEST_FILLED, Record, fill, segments, time_features
from rnnbench.data.series.windows import SeriesData
from rnnbench.data.source import Batches, Part
from rnnbench.errors import UserError

HOLES = (range(30, 33), range(100, 104), range(400, 430), range(730, 733), range(900, 905))


def record(size: int = 1000, holes: bool = True) -> Record:
    """Every value is its own place in time, so that a window tells where it is from."""
    values = np.arange(size, dtype=float)
    for hole in HOLES if holes else ():
        values[hole.start : hole.stop] = np.nan
    return one_column(values)


def one_column(values: np.ndarray) -> Record:
    return Record(values[:, None], ("value",), "fingerprint")


def config(seq_len: int = 8, batch_size: int = 16, horizon: int = 3) -> DataConfig:
    return DataConfig(name="glucose", seq_len=seq_len, batch_size=batch_size, horizon=horizon)


def times(data: SeriesData, batches: Batches) -> np.ndarray:
    """(M, T + horizon) places in time that the windows cover."""
    rows = [torch.cat([batch.x[..., 0], batch.y], 1) for batch in batches]
    return (torch.cat(rows).double().numpy() * data._std + data._mean).round(2)


def test_fill_bridges_short_holes_and_only_those() -> None:
    values = fill(record().values[:, 0])
    expected = record(holes=False).values[:, 0]
    for hole in HOLES:
        if len(hole) > LONGEST_FILLED:
            expected[hole.start : hole.stop] = np.nan
    np.testing.assert_allclose(values, expected)
    assert segments(~np.isnan(values)) == 4
    values = record(holes=False).values[:, 0]
    values[699:701] = np.nan  # on a border: not filled from the other side
    assert np.isnan(SeriesData(one_column(values), config())._values[699:701]).all()
    np.testing.assert_array_equal(fill(np.array([np.nan, 1, np.nan, 3, np.nan])), [np.nan, 1, 2, 3, np.nan])
    assert np.isnan(fill(np.full(3, np.nan))).all()
    assert segments(np.array([], dtype=bool)) == 0


@pytest.mark.parametrize(("part", "start", "stop"), [("train", 0, 700), ("val", 700, 800), ("test", 800, 1000)])
def test_every_window_inside_one_segment_of_one_part_is_evaluated_once(part: Part, start: int, stop: int) -> None:
    data = SeriesData(record(), config())
    got = times(data, data.evaluation(part))
    known = fill(record().values[:, 0])
    want = [known[at : at + 11] for at in range(start, stop - 10) if not np.isnan(known[at : at + 11]).any()]
    if part == "train":
        want = want[-len(times(data, data.evaluation("test"))) :]
    np.testing.assert_allclose(got, np.array(want), atol=0.01)
    assert (np.diff(got, axis=1).round(2) == 1).all()


def test_evaluation_keeps_its_last_partial_batch() -> None:
    data = SeriesData(record(3000, holes=False), config())
    sizes = [len(batch.x) for batch in data.evaluation("test")]
    assert sizes == [256, 256, 600 - 10 - 512]
    assert len(data.evaluation("test")) == 3
    assert all(batch.reset and batch.mask is None for batch in data.evaluation("test"))


def test_a_limit_bounds_the_steps_read_and_still_covers_the_part() -> None:
    data = SeriesData(record(3000, holes=False), config())
    got = times(data, data.evaluation("val", limit=80))
    assert got.shape == (10, 11)
    assert got[0, 0] < 2100 + 30
    assert got[-1, -1] > 2400 - 30
    assert len(times(data, data.evaluation("val", limit=1))) == 1
    np.testing.assert_array_equal(times(data, data.evaluation("val", limit=10**9)), times(data, data.evaluation("val")))


def test_training_batches_are_pure_and_an_epoch_takes_a_window_once() -> None:
    data, again = SeriesData(record(), config(), seed=3), SeriesData(record(), config(), seed=3)
    steps = list(range(2 * data.steps_per_epoch))
    first = [data.train_batch(step) for step in steps]
    for step in reversed(steps):
        assert torch.equal(again.train_batch(step).x, first[step].x)
        assert torch.equal(again.train_batch(step).y, first[step].y)
    seen = times(data, first[: data.steps_per_epoch])  # type: ignore[arg-type]
    assert len(np.unique(seen[:, 0])) == len(seen) == data.steps_per_epoch * 16
    assert seen.max() < 700
    assert (np.diff(seen, axis=1).round(2) == 1).all()
    assert first[0].x.shape == (16, 8, 1)
    assert first[0].y.shape == (16, 3)
    assert first[0].x.dtype == first[0].y.dtype == torch.float32
    assert all(batch.reset and batch.mask is None for batch in first)
    windows = data.facts()["windows"]["train"]
    assert windows - 16 < len(seen) <= windows
    other = SeriesData(record(), config(), seed=4)
    assert not torch.equal(other.train_batch(0).x, first[0].x)
    assert not torch.equal(first[0].x, first[data.steps_per_epoch].x)


def test_fewer_windows_than_a_batch_go_round() -> None:
    data = SeriesData(record(120, holes=False), config(batch_size=200))
    seen = times(data, [data.train_batch(0)])[:, 0]  # type: ignore[arg-type]
    counts = np.unique(seen, return_counts=True)[1]
    assert len(counts) == 84 - 10
    assert (counts.min(), counts.max()) == (2, 3)
    assert data.notes is not None
    assert "data.batch_size 200 is more than the 74 training windows" in data.notes.warnings[0]
    assert SeriesData(record(), config()).notes is None


@pytest.mark.parametrize("period", [None, 2, 24])
def test_references_by_a_loop(period: int | None) -> None:
    random = np.random.default_rng(1)
    values = random.normal(5, 3, 500)
    values[380:395] = np.nan
    values[450:460] = np.nan
    data = SeriesData(one_column(values), config(), period=period)
    mean = np.nanmean(values[:350])
    errors: dict[str, list[float]] = {"mean": [], "persistence": [], "seasonal_naive": []}
    for start in range(400, 500 - 10):
        if np.isnan(values[start : start + 11]).any():
            continue
        last = start + 7
        for step in (1, 2, 3):
            errors["mean"].append(mean - values[last + step])
            errors["persistence"].append(values[last] - values[last + step])
            guess = values[last]
            at = last + step - (period or 10**9)
            while at >= 0:
                if at <= last and not np.isnan(values[at]):
                    guess = values[at]
                    break
                at -= period or 1
            errors["seasonal_naive"].append(guess - values[last + step])
    known = data.references()
    names = ["mean", "persistence", *(["seasonal_naive"] if period else [])]
    assert list(known) == [f"{name}_{measure}" for name in (*names, "ridge") for measure in ("mse", "mae", "mase")]
    for name in names:
        error = np.array(errors[name])
        assert known[f"{name}_mse"] == pytest.approx((error**2).mean() / data._std**2)
        assert known[f"{name}_mae"] == pytest.approx(np.abs(error).mean() / data._std)
        assert known[f"{name}_mase"] == pytest.approx(np.abs(error).mean() / data.facts()["naive_mae"]["value"])


def test_probe_windows_are_spread_over_the_validation_part() -> None:
    data = SeriesData(record(holes=False), config())
    got = times(data, [data.probe_batch(256, 6)])  # type: ignore[arg-type]
    assert got.shape == (6, 11)
    assert 700 <= got.min() < 715
    assert 785 < got.max() < 800
    assert data.probe_batch(256, 10_000).x.shape == (90, 8, 1)


@pytest.mark.parametrize(("size", "part"), [(103, "val"), (1, "train"), (0, "train")])
def test_too_short_a_record_names_the_part_and_the_window(size: int, part: str) -> None:
    with pytest.raises(UserError) as caught:
        SeriesData(record(size, holes=False), config())
    message = str(caught.value)
    assert "\n" not in message
    assert f"the {part} part of 'glucose'" in message
    assert "11 = data.seq_len + data.horizon" in message
    assert SeriesData(record(104, holes=False), config()).facts()["windows"]["val"] == 1  # just long enough


def test_a_constant_training_part_is_refused_and_its_column_named() -> None:
    flat = columns()
    flat.values[:280, 1] = 7
    with pytest.raises(UserError, match="is constant at 7 in column 'b'"):
        SeriesData(flat, of_columns())
    values = np.concatenate([np.full(700, 0.1), np.arange(300.0)])
    with pytest.raises(UserError, match=r"training part of 'glucose' is constant at 0\.1"):
        SeriesData(one_column(values), config())


def test_steps_between_constant_segments_give_no_mase() -> None:
    values = np.repeat([1.0, 2.0, np.nan], [400, 600, 0])
    values[395:405] = np.nan
    data = SeriesData(one_column(values), config())
    assert data.task.mase_weights == ()
    assert data.facts()["naive_mae"] is None
    assert not any(name.endswith("_mase") for name in data.references())


def columns(size: int = 400) -> Record:
    random = np.random.default_rng(0)
    values = random.normal(size=(size, 3)).cumsum(0) * [1, 10, 100] + [0, 5, -300]
    values[130:150, 1] = np.nan  # one column's gap is everyone's
    clock = np.datetime64("2024-02-28T00", "h") + np.arange(size) * 3
    return Record(values, ("a", "b", "c"), "", clock)


def of_columns(**options: object) -> DataConfig:
    return DataConfig(name="etth1", seq_len=5, batch_size=16, horizon=2, **options)  # type: ignore[arg-type]


def test_the_targets_are_the_next_steps_in_turn_all_columns_of_each() -> None:
    one = columns()
    data = SeriesData(one, of_columns())
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
    data = SeriesData(columns(), of_columns())
    assert all(bool(batch.x.isfinite().all() and batch.y.isfinite().all()) for batch in data.evaluation("train"))
    facts = data.facts()
    assert (facts["windows"]["train"], facts["segments"], facts["missing"]) == (130 - 6 + 130 - 6, 2, 20)


def test_company_changes_nothing_of_a_column() -> None:
    whole = columns()
    alone = dataclasses.replace(whole, values=whole.values[:, 1:2].copy(), columns=("b",))
    one, three = SeriesData(alone, of_columns()), SeriesData(whole, of_columns())
    assert torch.equal(one.train_batch(3).x[..., 0], three.train_batch(3).x[..., 1])
    assert torch.equal(one.train_batch(3).y, three.train_batch(3).y[:, 1::3])


def test_relative_windows_are_differences_from_the_last_value_and_scores_are_in_the_same_terms() -> None:
    """So predicting nothing is persistence, and the baselines are what they are without; the clock stays as it is."""
    from rnnbench.training.metrics import metric_for

    timed = of_columns(time_features=True)
    plain, data = SeriesData(columns(), timed), SeriesData(columns(), dataclasses.replace(timed, relative=True))
    for a, b in zip(
        (plain.train_batch(2), *plain.evaluation("val")), (data.train_batch(2), *data.evaluation("val")), strict=True
    ):
        last = a.x[:, -1:, :3]
        torch.testing.assert_close(b.x[..., :3], a.x[..., :3] - last)
        torch.testing.assert_close(b.y, a.y - last[:, 0].repeat(1, 2))
        assert torch.equal(b.x[..., 3:], a.x[..., 3:])
    assert torch.equal(data.train_batch(2).x, data.train_batch(2).x), "a batch must not change what the next reads"
    references = data.references()
    assert references == plain.references()
    for source in (plain, data):
        metric = metric_for(source.task)
        for batch in source.evaluation("test"):
            persistence = batch.x[:, -1, :3].repeat(1, 2) if source is plain else torch.zeros_like(batch.y)
            metric.update(persistence, batch)
        for name, value in metric.compute().items():
            assert float(value) == pytest.approx(references[f"persistence_{name}"], rel=1e-5)


@pytest.mark.parametrize("timed", [False, True])
def test_values_of_val_and_test_reach_nothing_of_training(timed: bool) -> None:
    one = columns()
    values = one.values.copy()
    values[280:] = np.random.default_rng(1).normal(1e6, 1e4, size=(120, 3))
    values[300:310] = np.nan
    two = dataclasses.replace(one, values=values)
    first, second = (SeriesData(each, of_columns(time_features=timed)) for each in (one, two))
    assert first.task == second.task
    keys = ("train_mean", "train_std", "naive_mae", "time_features")
    assert [first.facts()[key] for key in keys] == [second.facts()[key] for key in keys]
    assert first.facts()["windows"]["train"] == second.facts()["windows"]["train"]
    for step in range(2 * first.steps_per_epoch):
        assert torch.equal(first.train_batch(step).x, second.train_batch(step).x)
        assert torch.equal(first.train_batch(step).y, second.train_batch(step).y)


def test_time_features_stand_beside_the_columns_and_are_not_forecast() -> None:
    data, plain = SeriesData(columns(), of_columns(time_features=True)), SeriesData(columns(), of_columns())
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
    cut = dataclasses.replace(columns(), ends=(100, 160, 200))
    data = SeriesData(cut, of_columns(time_features=True))
    facts = data.facts()
    assert (facts["time_steps"], facts["split"]) == (200, {"train": 100, "val": 60, "test": 40})
    assert facts["max"]["c"] == np.nanmax(cut.values[:200, 2])
