"""What a series' reader gives is what its file says; what is wrong with one is said in a sentence."""

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
from rnnbench.data.series import readers as downloaded
from rnnbench.data.series.readers import TICKERS, read_glucose, read_sea_temperature, read_stocks
from rnnbench.data.series.record import Record, fill, segments
from rnnbench.data.series.table.read import read_user_table


def read_csv(path: str, column: str | None, clock: bool = False) -> Record:
    return read_user_table(DataConfig(path=path, name="csv", column=column, time_features=clock))


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


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


def test_csv_column_is_the_only_numeric_one_or_the_one_named(tmp_path: Path) -> None:
    one = write(tmp_path / "one.csv", '\ufeffday,"price, EUR",note\nmon,1.5,a\ntue,-2e1,b\n\n')
    record = read_csv(one, None)
    assert (record.columns, record.values.tolist()) == (("price, EUR",), [[1.5], [-20.0]])
    two = write(tmp_path / "two.csv", "a,b\n1,2\n3,4\n")
    assert read_csv(two, "b").values.tolist() == [[2], [4]]
    assert read_csv(two, "a").fingerprint != read_csv(two, "b").fingerprint
    assert "2 numeric columns, 'a', 'b'" in refused(lambda: read_csv(two, None))
    assert "'c' is not in" in refused(lambda: read_csv(two, "c"))
    words = write(tmp_path / "words.csv", "a,b\nx,y\n")
    assert "no numeric column among 'a', 'b'" in refused(lambda: read_csv(words, None))
    bare = write(tmp_path / "bare.csv", "1,x\n2,y\n")
    assert "no header line" in refused(lambda: read_csv(bare, None))


@pytest.mark.parametrize("wrong", ["", " ", "nan", "inf", "1_0", "twelve", "1;5", "0x10", "1e400"])
def test_csv_value_that_is_no_number_is_named_with_its_line(tmp_path: Path, wrong: str) -> None:
    path = write(tmp_path / "bad.csv", f"n,v\na,1\nb,4\nc,3\nd,{wrong}\ne,5\n")
    message = refused(lambda: read_csv(path, None))
    assert "line 5, column 'v'" in message
    said = "missing" if wrong.strip() in ("", "nan") else "inf" if wrong == "1e400" else wrong
    assert said in message


def test_csv_row_that_is_too_short_or_blank_is_named(tmp_path: Path) -> None:
    short = write(tmp_path / "short.csv", "n,v\na,1\nb\nc,3\n")
    assert "line 3, column 'v'" in refused(lambda: read_csv(short, "v"))
    blank = write(tmp_path / "blank.csv", "v\n1\n\n3\n")
    assert "line 3, column 'v'" in refused(lambda: read_csv(blank, None))
    quoted = write(tmp_path / "quoted.csv", 'n,v\n"two\nlines",1\nb,x\n')
    assert "line 4, column 'v'" in refused(lambda: read_csv(quoted, "v"))
    huge = write(tmp_path / "huge.csv", "v\n1\n" + "9" * 200_000)
    assert "expected a finite number" in refused(lambda: read_csv(huge, None))


def test_csv_columns_by_name_in_the_order_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "many.csv", "day,a,b,c\nmon,1,2,3\ntue,4,5,6\n")
    record = read_csv(path, "c, a")
    assert (record.columns, record.values.tolist()) == (("c", "a"), [[3, 1], [6, 4]])
    every = read_csv(path, "all")
    assert (every.columns, every.values.tolist()) == (("a", "b", "c"), [[1, 2, 3], [4, 5, 6]])
    assert every.fingerprint == read_csv(path, "a,b,c").fingerprint != record.fingerprint
    assert "'d' is not in" in refused(lambda: read_csv(path, "a,d"))
    assert "names 'a' twice" in refused(lambda: read_csv(path, "a,b,a"))
    named_all = write(tmp_path / "all.csv", "all,b\n1,2\n")
    assert read_csv(named_all, "all").columns == ("all",)


def test_csv_clock_is_always_read(tmp_path: Path) -> None:
    path = write(tmp_path / "dated.csv", "Date,v\n2026-01-31 18:30,1\n2026-02-01T00:00:30,2\n")
    clock = read_csv(path, None).clock
    assert clock is not None
    assert clock.tolist() == [datetime(2026, 1, 31, 18, 30), datetime(2026, 2, 1, 0, 0, 30)]
    for wrong in ("31.1.2026", "2026-13-01"):
        bad = write(tmp_path / "bad.csv", f"date,v\n2026-01-31,1\n{wrong},2\n")
        message = refused(lambda bad=bad: read_csv(bad, None, clock=True))  # type: ignore[misc]
        assert "line 3, column 'date'" in message
        assert repr(wrong) in message
    blank = write(tmp_path / "blank.csv", "date,v\n2026-01-31,1\n,2\n")
    assert "line 3, column 'date': the time is missing" in refused(lambda: read_csv(blank, None))
    none = write(tmp_path / "none.csv", "day,v\nmon,1\ntue,3\n")
    assert "needs a column with the time, named date, time, datetime" in refused(
        lambda: read_csv(none, None, clock=True)
    )


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


def a_transformer() -> tuple[str, np.ndarray]:
    """The text of a file like ETTh1.csv of 14,500 hours, and its values."""
    values = np.random.default_rng(0).normal(size=(14_500, 2)).round(3)
    hours = np.datetime64("2016-07-01T00", "s") + np.arange(len(values)) * np.timedelta64(3600, "s")
    rows = [f"{str(hour).replace('T', ' ')},{a},{b}" for hour, (a, b) in zip(hours, values.tolist(), strict=True)]
    return "\n".join(["date,HUFL,OT", *rows]) + "\n", values


def test_ett_has_its_standard_split_and_the_rest_is_unused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, values = a_transformer()
    write(tmp_path / "ETTh2.csv", text)
    monkeypatch.setattr(downloaded, "fetch", lambda name: tmp_path / name)
    record = downloaded.read_ett("ETTh2.csv")
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
    monkeypatch.setattr(downloaded, "fetch", lambda name: tmp_path / name)
    record = downloaded.read_exchange()
    np.testing.assert_array_equal(record.values, values)
    assert record.columns == downloaded.COUNTRIES
    np.testing.assert_array_equal(downloaded.read_exchange("Japan, Canada").values, values[:, [5, 2]])
    data = load(DataConfig(name="exchange", seq_len=16, horizon=2))
    assert data.facts()["split"] == {"train": 210, "val": 30, "test": 60}
    assert (data.task.input_size, data.task.output_size) == (8, 16)
