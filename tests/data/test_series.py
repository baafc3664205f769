"""The laws of a series' windows: inside one stretch and one part, standardised by train alone, every one evaluated."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.config import DataConfig
from rnnbench.data.load import load
from rnnbench.data.series.record import LONGEST_FILLED, Record, fill, segments
from rnnbench.data.series.references import naive_forecasts
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
    np.testing.assert_array_equal(fill(np.array([np.nan, 1, np.nan, 3, np.nan])), [np.nan, 1, 2, 3, np.nan])
    assert np.isnan(fill(np.full(3, np.nan))).all()
    assert segments(np.array([], dtype=bool)) == 0


@pytest.mark.parametrize(("part", "start", "stop"), [("train", 0, 700), ("val", 700, 800), ("test", 800, 1000)])
def test_every_window_inside_one_stretch_of_one_part_is_evaluated_once(part: Part, start: int, stop: int) -> None:
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
    windows = data.facts()["windows"]["train"]
    assert windows - 16 < len(seen) <= windows
    other = SeriesData(record(), config(), seed=4)
    assert not torch.equal(other.train_batch(0).x, first[0].x)
    assert not torch.equal(first[0].x, first[data.steps_per_epoch].x)


def test_shapes_and_types() -> None:
    batch = SeriesData(record(), config()).train_batch(0)
    assert batch.x.shape == (16, 8, 1)
    assert batch.y.shape == (16, 3)
    assert batch.x.dtype == batch.y.dtype == torch.float32
    assert batch.reset
    assert batch.mask is None


def test_fewer_windows_than_a_batch_go_round() -> None:
    data = SeriesData(record(120, holes=False), config(batch_size=200))
    seen = times(data, [data.train_batch(0)])[:, 0]  # type: ignore[arg-type]
    counts = np.unique(seen, return_counts=True)[1]
    assert len(counts) == 84 - 10
    assert (counts.min(), counts.max()) == (2, 3)


def test_the_training_part_alone_decides_training() -> None:
    changed = record()
    changed.values[700:, 0] = np.linspace(5e6, -5e6, 300)
    one, two = SeriesData(record(), config()), SeriesData(changed, config())
    assert one.task == two.task
    assert all(torch.equal(one.train_batch(step).y, two.train_batch(step).y) for step in range(100))


def test_a_hole_on_the_border_is_not_filled_from_the_other_side() -> None:
    values = record(holes=False).values[:, 0]
    values[699:701] = np.nan
    data = SeriesData(one_column(values), config())
    assert np.isnan(data._values[699:701]).all()


def test_scaler_and_naive_error_by_hand() -> None:
    random = np.random.default_rng(0)
    values = random.normal(5, 3, 200)
    values[50:60] = np.nan
    data = SeriesData(one_column(values), config())
    train = values[:140]
    known = train[~np.isnan(train)]
    assert data.facts()["train_std"] == {"value": pytest.approx(known.std())}
    steps = [abs(b - a) for a, b in itertools.pairwise(train) if not np.isnan(a + b)]
    assert data.task.mase_weights == pytest.approx([known.std() * len(steps) / sum(steps)] * 3)
    np.testing.assert_allclose(
        data.probe_batch(99, 4).x[0, :, 0], (values[141:149] - known.mean()) / known.std(), rtol=1e-5
    )


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


def test_just_long_enough_a_record() -> None:
    assert SeriesData(record(104, holes=False), config()).facts()["windows"]["val"] == 1


def test_a_constant_training_part_is_refused() -> None:
    values = np.concatenate([np.full(700, 0.1), np.arange(300.0)])
    with pytest.raises(UserError, match=r"training part of 'glucose' is constant at 0\.1"):
        SeriesData(one_column(values), config())


def test_steps_between_constant_stretches_give_no_mase() -> None:
    values = np.repeat([1.0, 2.0, np.nan], [400, 600, 0])
    values[395:405] = np.nan
    data = SeriesData(one_column(values), config())
    assert data.task.mase_weights == ()
    assert data.facts()["naive_mae"] is None
    assert not any(name.endswith("_mase") for name in data.references())


def test_a_batch_with_windows_twice_is_said_of_every_record() -> None:
    notes = load(DataConfig(name="mackey_glass", batch_size=9000)).notes
    assert notes is not None
    assert "data.batch_size 9000 is more than the 6,931 training windows" in notes.warnings[0]
    assert load(DataConfig(name="mackey_glass")).notes is None
