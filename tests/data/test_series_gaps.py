"""A series with holes that windows go across: what stands in them, what a batch says of them, and what is scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rnnbench.config import DataConfig
from rnnbench.data.check import leaks
from rnnbench.data.load import load
from rnnbench.data.series.record import Record, carry, elapsed
from rnnbench.data.series.windows import SeriesData
from rnnbench.errors import UserError

HOLES = (range(30, 33), range(100, 104), range(400, 430), range(730, 733), range(750, 751), range(900, 905))
GAP, T, HORIZON = 5, 8, 3


def holed(size: int = 1000) -> np.ndarray:
    """Every value is its own place in time."""
    values = np.arange(size, dtype=float)
    for hole in HOLES:
        values[hole.start : hole.stop] = np.nan
    return values


def data(values: np.ndarray, max_gap: int = GAP) -> SeriesData:
    config = DataConfig(name="glucose", seq_len=T, horizon=HORIZON, batch_size=16, max_gap=max_gap)
    return SeriesData(Record(values[:, None], ("value",), "fingerprint"), config)


def test_carry_and_elapsed_are_what_a_loop_says() -> None:
    values = np.array([np.nan, 1, np.nan, np.nan, 4, 5, np.nan, np.nan, np.nan, 9, np.nan])
    np.testing.assert_array_equal(carry(values, 2), [np.nan, 1, 1, 1, 4, 5, np.nan, np.nan, np.nan, 9, np.nan])
    np.testing.assert_array_equal(elapsed(~np.isnan(values), 2), [1, 1, 1, 2, 3, 1, 1, 2, 3, 1, 1])
    np.testing.assert_array_equal(elapsed(~np.isnan(values), 9), [1, 1, 1, 2, 3, 1, 1, 2, 3, 4, 1])
    assert np.isnan(carry(np.full(3, np.nan), 3)).all()


def test_windows_go_across_short_gaps_and_say_where_they_are() -> None:
    raw, source = holed(), data(holed())
    known = np.flatnonzero(~np.isnan(raw))
    crossed = 0
    for part, begin, end in (("train", 0, 700), ("val", 700, 800), ("test", 800, 1000)):
        for batch in source.evaluation(part):  # type: ignore[arg-type]
            assert batch.side is not None
            x = (batch.x[..., 0].double() * source._std + source._mean).round().numpy().astype(int)
            y = (batch.y.double() * source._std + source._mean).round().numpy().astype(int)
            observed, since = (batch.side[name].numpy() for name in ("observed", "elapsed"))
            for row in range(len(x)):
                assert y[row, 0] + HORIZON - 1 == y[row, -1], "a target is its own place in time, so measured"
                places = np.arange(y[row, 0] - T, y[row, 0])
                assert begin <= places[0]
                assert y[row, -1] < end
                np.testing.assert_array_equal(observed[row], ~np.isnan(raw[places]))
                last = known[np.searchsorted(known, places, side="right") - 1]
                np.testing.assert_array_equal(x[row], last)
                before = known[np.searchsorted(known, places) - 1]
                since_known = np.where((places - before > GAP + 1) | (before < begin), 1, places - before)
                np.testing.assert_array_equal(since[row], since_known)
                crossed += int(observed[row].min() == 0)
    assert crossed > 10
    assert source.facts()["segments"] == 2
    assert source.facts()["missing"] == 30


def test_scaler_baselines_and_leaks_are_of_measured_values() -> None:
    source = data(holed())
    measured = holed()[:700]
    assert source._mean[0] == pytest.approx(np.nanmean(measured))
    assert source._std[0] == pytest.approx(np.nanstd(measured))
    assert source.facts()["naive_mae"] == {"value": pytest.approx(1.0)}
    # Of a straight line persistence errs by 1, 2, 3 steps, and by more where the last value is an old one.
    assert 2.0 < source.naive_references()["persistence_mase"] < 2.5
    assert leaks(source) == []


def test_without_the_option_a_batch_has_no_side_inputs_and_windows_are_as_before() -> None:
    source = data(holed(), max_gap=0)
    assert source.train_batch(0).side is None
    assert source.facts()["segments"] == 4


def test_a_table_of_ones_own_with_holes_in_its_times(tmp_path: Path) -> None:
    clock = np.datetime64("2024-01-01T00:00") + np.arange(400) * np.timedelta64(10, "m")
    lines = [f"{time},{np.sin(at / 5):.4f}" for at, time in enumerate(clock) if at % 40 not in (7, 8, 9, 10, 11)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["time,v", *lines]))
    source = load(DataConfig(path=str(path), seq_len=12, horizon=2, batch_size=8, max_gap=6))
    assert source.facts()["filled"] == 50
    batch = source.train_batch(0)
    assert batch.side is not None
    assert 0.5 < float(batch.side["observed"].mean()) < 1
    assert float(batch.side["elapsed"].max()) == 6
    assert torch.isfinite(batch.x).all()
    notes = " ".join(source.notes.warnings) if source.notes else ""
    assert "the last value is carried across holes of up to 6 steps" in notes
    with pytest.raises(UserError, match=r"data.missing interpolate .* data.max_gap 6"):
        DataConfig(path=str(path), missing="interpolate", max_gap=6)
    with pytest.raises(UserError, match="max_gap"):
        load(DataConfig("adding", max_gap=3))
