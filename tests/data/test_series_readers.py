"""A series of the catalogue is what its file says; the computed ones obey their equations."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from support.refusals import refused

from rnnbench.config import DataConfig
from rnnbench.data.load import load
from rnnbench.data.series import readers
from rnnbench.data.series.readers import (
    TICKERS,
    lorenz,
    mackey_glass,
    read_glucose,
    read_lorenz,
    read_mackey_glass,
    read_sea_temperature,
    read_stocks,
)
from rnnbench.data.series.record import fill, segments


def test_glucose_has_the_known_gaps() -> None:
    values = read_glucose().values[:, 0]
    assert len(values) == 57_770  # 200.6 days of 288
    assert segments(~np.isnan(fill(values))) == 152
    assert (np.nanmin(values), np.nanmax(values)) == (40, 400)


def test_sea_temperature_has_its_half_day_gap() -> None:
    values = read_sea_temperature().values[:, 0]
    # 19,226 rows, one stamp twice; 1 value missing once, 23 missing once
    assert len(values) == 19_225 + 1 + 23
    assert segments(~np.isnan(fill(values))) == 2


@pytest.mark.parametrize("read", [read_glucose, read_sea_temperature, read_stocks])
def test_a_missing_or_damaged_package_says_what_to_install(
    read: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: None)
        assert "pip install bokeh-sampledata" in refused(read)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda self: gzip.compress(b"time")[:-4])
        assert "--force-reinstall bokeh-sampledata" in refused(read)


def test_stamps_go_to_their_slot_and_the_first_of_a_slot_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "_data").mkdir()
    rows = ["2020-01-01 00:16:00,4", "2020-01-01 00:01:00,1", "2020-01-01 00:04:00,2"]
    rows += ["2020-01-01 00:01:00,9", "2020-01-01 00:16:00,9"] * 200  # so many that an unstable sort mixes them
    content = "\n".join(["datetime,glucose", *rows]).encode()
    (tmp_path / "_data" / "CGM.csv.gz").write_bytes(gzip.compress(content))

    class Spec:
        submodule_search_locations = [str(tmp_path)]  # noqa: RUF012

    monkeypatch.setattr("importlib.util.find_spec", lambda name: Spec)
    record = read_glucose()
    np.testing.assert_array_equal(record.values, [[1], [2], [np.nan], [4]])
    assert record.clock is not None
    assert record.clock.tolist() == [datetime(2020, 1, 1, 0, minute) for minute in (0, 5, 10, 15)]


def test_stocks_are_log_returns_of_adjusted_prices_on_common_days() -> None:
    record = read_stocks()
    assert record.columns == TICKERS
    assert record.values.shape == (2147, 4)
    assert np.isfinite(record.values).all()
    assert record.clock is not None
    assert (str(record.clock[0]), str(record.clock[-1])) == ("2004-08-20", "2013-03-01")
    assert (np.diff(record.clock).astype(int) > 0).all()
    # Apple from 5.765 on 2005-02-28 after a split by two: a return of -0.69 before the adjustment
    assert np.abs(record.values).max() < 0.2
    np.testing.assert_array_equal(read_stocks("IBM").values[:, 0], record.values[:, 2])
    assert "'FB' is not in 'stocks'" in refused(lambda: read_stocks("FB"))


def test_ett_has_its_standard_split_and_the_rest_is_unused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(14_500, 2)).round(3)
    hours = np.datetime64("2016-07-01T00", "s") + np.arange(len(values)) * np.timedelta64(3600, "s")
    rows = [f"{str(hour).replace('T', ' ')},{a},{b}" for hour, (a, b) in zip(hours, values.tolist(), strict=True)]
    (tmp_path / "ETTh2.csv").write_text("\n".join(["date,HUFL,OT", *rows]) + "\n")
    monkeypatch.setattr(readers, "fetch", lambda name: tmp_path / name)
    record = readers.read_ett("ETTh2.csv")
    assert record.columns == ("HUFL", "OT")
    np.testing.assert_array_equal(record.values, values)
    data = load(DataConfig(name="etth2", seq_len=24, horizon=24, time_features=True))
    facts = data.facts()
    assert facts["split"] == {"train": 8640, "val": 2880, "test": 2880}
    assert facts["windows"]["test"] == 2880 - 48 + 1
    assert facts["train_mean"]["OT"] == pytest.approx(values[:8640, 1].mean())
    assert facts["time_features"] == ["time of day", "day of week", "day of year"]
    assert (data.task.input_size, data.task.output_size) == (2 + 6, 48)
    alone = load(DataConfig(name="etth2", seq_len=24, horizon=24, column="OT"))
    assert (alone.task.input_size, alone.task.output_size) == (1, 24)
    assert "'LULL' is not in ETTh2.csv; its columns: 'HUFL', 'OT'" in refused(
        lambda: load(DataConfig(name="etth2", column="LULL"))
    )


def test_exchange_is_read_by_country(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).uniform(0.1, 2, size=(300, 8)).round(6)
    text = "\n".join(",".join(f"{value:.6f}" for value in row) for row in values.tolist())
    (tmp_path / "exchange_rate.txt.gz").write_bytes(gzip.compress(text.encode()))
    monkeypatch.setattr(readers, "fetch", lambda name: tmp_path / name)
    record = readers.read_exchange()
    np.testing.assert_array_equal(record.values, values)
    assert record.columns == readers.COUNTRIES
    np.testing.assert_array_equal(readers.read_exchange("Japan, Canada").values, values[:, [5, 2]])
    data = load(DataConfig(name="exchange", seq_len=16, horizon=2))
    assert data.facts()["split"] == {"train": 210, "val": 30, "test": 60}
    assert (data.task.input_size, data.task.output_size) == (8, 16)


def test_lorenz_against_scipy() -> None:
    integrate = pytest.importorskip("scipy.integrate")

    def change(_: float, s: np.ndarray) -> list[float]:
        return [10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]]

    times = np.arange(1, 81) * 0.05
    exact = integrate.solve_ivp(change, (0, 4.1), [1.0, 1.0, 1.0], t_eval=times, rtol=1e-11, atol=1e-11).y.T
    np.testing.assert_allclose(lorenz(80), exact, atol=1e-3)


def test_mackey_glass_is_of_fourth_order_and_obeys_its_equation() -> None:
    rough, fine, finest = (mackey_glass(60, substeps=steps) for steps in (4, 8, 32))
    gain = np.abs(rough - finest).max() / np.abs(fine - finest).max()
    assert 12 < gain < 20  # 2⁴
    x = mackey_glass(3000, substeps=50)
    # Before t = 17 the delayed value is the constant 1.2: x' = c − x/10 has a closed form.
    drive = 0.2 * 1.2 / (1 + 1.2**10)
    time = np.arange(1, 18)
    np.testing.assert_allclose(x[:17], 10 * drive + (1.2 - 10 * drive) * np.exp(-time / 10), rtol=1e-9)
    # Over the attractor, five-point differences agree with the right-hand side.
    slope = (x[:-4] - 8 * x[1:-3] + 8 * x[3:-1] - x[4:]) / 12
    then = x[2 + 1000 - 17 : -2 - 17]
    np.testing.assert_allclose(slope[1000:], 0.2 * then / (1 + then**10) - 0.1 * x[1002:-2], atol=5e-3)


def test_chaotic_series_are_bounded_and_always_the_same() -> None:
    glass, weather = read_mackey_glass(), read_lorenz()
    assert glass.values.shape == (10_000, 1)
    assert 0.2 < glass.values.min() < 0.5 < 1.2 < glass.values.max() < 1.5
    assert weather.values.shape == (10_000, 3)
    assert np.abs(weather.values[:, 0]).max() < 21
    # Only sums, products and quotients: not a bit depends on the machine.
    assert glass.fingerprint.startswith("728545b0bf93ebe0")
    assert weather.fingerprint.startswith("b440500f307aa817")
    np.testing.assert_array_equal(read_lorenz("z").values[:, 0], weather.values[:, 2])
