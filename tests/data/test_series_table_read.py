"""A user's series on its grid: holes, several series, several files, scales, and columns as they are asked for."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.refusals import refused
from support.tables import BERLIN, DAYS, ENTITIES, HOURLY, ISO, PLAIN, SIZE, STACKED, V, W, dated, notes_of, read, rows

from rnnbench.config import DataConfig
from rnnbench.data.series.windows import SeriesData
from rnnbench.errors import UserError

#: Windows of three steps, and one to forecast.
CONFIG = DataConfig(path="a.csv", seq_len=3, horizon=1)


def test_a_hole_in_the_times_stays_open_or_is_filled_as_asked(tmp_path: Path) -> None:
    kept = [k for k in range(SIZE) if k not in (20, 21, 30, 31, 32, 33, 34)]
    holed = rows([ISO[k] for k in kept], V[kept])
    expected = V.copy()
    expected[[20, 21, *range(30, 35)]] = np.nan
    record = read(tmp_path / "a.csv", holed)
    np.testing.assert_array_equal(record.values[:, 0], expected)  # on the grid of the days
    assert "2 holes in the times, 7 rows missing, the first after 2024-01-20" in notes_of(record)
    assert record.period == 7
    starts = _window_rows(SeriesData(record, CONFIG))
    assert not any(row in (20, 21, *range(30, 35)) for row in starts)
    filled = SeriesData(read(tmp_path / "a.csv", holed, missing="interpolate"), CONFIG)
    assert {20, 21} <= _window_rows(filled)
    assert not {30, 34} & _window_rows(filled)  # five days are no short hole


def _window_rows(source: SeriesData) -> set[int]:
    """Rows that some window covers."""
    length = source._data.seq_len + source._data.horizon
    return {int(row) for starts in source._starts.values() for start in starts for row in range(start, start + length)}


def test_a_long_hole_is_cut_down_but_keeps_the_season(tmp_path: Path) -> None:
    later = dated("%Y-%m-%d", pd.date_range("2030-06-03", periods=SIZE))
    record = read(tmp_path / "a.csv", rows(ISO + later, [*V, *W]))
    assert len(record.values) < 3 * SIZE
    begin = int(np.flatnonzero(record.values[:, 0] == W[0])[0])
    gone = (pd.Timestamp(later[0]) - DAYS[0]).days
    assert begin % 7 == gone % 7


def test_missing_values_are_segments_or_filled(tmp_path: Path) -> None:
    text = PLAIN.replace(f",{V[5]}\n", ",\n").replace(f",{V[6]}\n", ",?\n")
    segmented = read(tmp_path / "a.csv", text, missing="segment")
    assert np.isnan(segmented.values[5:7]).all()
    assert np.isnan(segmented.values).sum() == 2
    assert "2 values missing in 'v': each splits the record" in notes_of(segmented)
    assert not {5, 6} & _window_rows(SeriesData(segmented, CONFIG))
    source = SeriesData(read(tmp_path / "a.csv", text, missing="interpolate"), CONFIG)
    assert {5, 6} <= _window_rows(source)
    step = (V[7] - V[4]) / 3
    np.testing.assert_allclose(source._values[4:8, 0], V[4] + step * np.arange(4))


@pytest.mark.parametrize("order", ["one after the other", "side by side"])
def test_stacked_series_are_cut_at_the_same_days_and_never_crossed(tmp_path: Path, order: str) -> None:
    lines = ENTITIES if order == "one after the other" else sorted(ENTITIES, key=lambda row: row[1])
    record = read(tmp_path / "a.csv", rows(*zip(*lines, strict=True), header="country,date,v"), entity="country")
    assert record.spans is not None
    assert record.clock is not None
    german, french = record.spans["train"]
    np.testing.assert_array_equal(record.values[slice(*german), 0], V[:42])
    np.testing.assert_array_equal(record.values[slice(*french), 0], W[:42])
    for part, spans in record.spans.items():
        days = {tuple(record.clock[[start, stop - 1]].astype("datetime64[D]").astype(str)) for start, stop in spans}
        assert len(days) == 1, part
    source = SeriesData(record, CONFIG)
    for starts in source._starts.values():
        for start in starts:
            series = set(record.first[start : start + 4].tolist())  # type: ignore[index]
            assert len(series) == 1
    known = np.concatenate([V[:42], W[:42]])
    np.testing.assert_allclose(source._mean, known.mean())
    np.testing.assert_allclose(source._naive_mae, np.abs(np.concatenate([np.diff(V[:42]), np.diff(W[:42])])).mean())


def test_a_season_is_never_looked_up_in_another_series(tmp_path: Path) -> None:
    record = read(tmp_path / "a.csv", STACKED, entity="country")
    # 58 days before the test part no day of the same country is known but the first two: persistence all but there
    far, none = (SeriesData(record, CONFIG, period=period).naive_references() for period in (58, 200))
    assert far["seasonal_naive_mse"] != far["persistence_mse"]
    assert none["seasonal_naive_mse"] == none["persistence_mse"]


def test_parts_of_files_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text(rows(dated("%Y-%m-%d", DAYS + pd.Timedelta(days=60)), W))
    record = read(tmp_path / "a.csv", PLAIN, test_path=str(tmp_path / "test.csv"))
    assert record.spans is not None
    (train,), (val,), (test,) = (record.spans[part] for part in ("train", "val", "test"))
    assert (train[1] - train[0], val[1] - val[0]) == (52, 8)  # as 70 : 10
    np.testing.assert_array_equal(record.values[slice(*test), 0], W)
    early = read(
        tmp_path / "b.csv", rows(dated("%Y-%m-%d", DAYS + pd.Timedelta(days=30)), V), test_path=str(tmp_path / "a.csv")
    )
    assert "before the training file's end" in notes_of(early)
    other = read(tmp_path / "a.csv", PLAIN, split="50/25/25")
    assert other.spans == {"train": [(0, 30)], "val": [(30, 45)], "test": [(45, 60)]}
    lacking = tmp_path / "lacking.csv"
    lacking.write_text(rows(ISO, W, header="date,w"))
    with pytest.raises(UserError, match="'v' is not in"):
        read(tmp_path / "a.csv", PLAIN, test_path=str(lacking))


@pytest.mark.parametrize("power", [-300, -160, 160, 300])
def test_a_scale_far_from_one_is_no_matter(tmp_path: Path, power: int) -> None:
    usual = SeriesData(read(tmp_path / "a.csv", PLAIN), CONFIG)
    scaled = SeriesData(read(tmp_path / "b.csv", rows(ISO, [f"{v}e{power}" for v in V])), CONFIG)
    np.testing.assert_allclose(scaled._std / 10.0**power, usual._std, rtol=1e-12)
    np.testing.assert_allclose(scaled.train_batch(0).x, usual.train_batch(0).x, rtol=1e-5, atol=1e-6)
    expected = usual.references()
    for name, value in scaled.references().items():
        assert value == pytest.approx(expected[name], rel=1e-6), name


@pytest.mark.parametrize("digits", [3, 14, 15, 16, 17])
def test_numbers_are_the_nearest_floats(tmp_path: Path, digits: int) -> None:
    generator = np.random.default_rng(digits)
    texts = [
        f"{number * 10.0**power:.{digits}g}"
        for number, power in zip(generator.normal(size=300), [0, 1, -2] * 100, strict=True)
    ]
    assert read(tmp_path / "a.csv", rows(texts, header="v")).values[:, 0].tolist() == [float(text) for text in texts]


def test_what_cannot_be_scored_is_said_or_refused(tmp_path: Path) -> None:
    def source(text: str, **options: Any) -> SeriesData:
        return SeriesData(read(tmp_path / "a.csv", text), DataConfig(path="a.csv", **options))

    few = source(PLAIN, seq_len=3, horizon=2).notes
    assert few is not None
    assert "the val part has 2 windows" in " ".join(few.warnings)
    assert "data.batch_size 50 is more than the 38 training windows" in " ".join(
        source(PLAIN, seq_len=3, horizon=2, batch_size=50).notes.warnings  # type: ignore[union-attr]
    )
    shifted = rows(ISO, [v + (100 if k > 47 else 0) for k, v in enumerate(V)])
    assert "the test part's mean is" in " ".join(source(shifted, seq_len=3, horizon=2).notes.warnings)  # type: ignore[union-attr]
    with pytest.raises(UserError, match="no gap-free window of 27"):
        source(rows(ISO[:30], V[:30]), seq_len=3, horizon=24)
    with pytest.raises(UserError, match="constant at 1"):
        source(rows(ISO, [1.0] * 45 + list(V[45:])), seq_len=3, horizon=2)
    with pytest.raises(UserError, match="standard deviations of the training part"):
        source(rows(ISO, [*V[:-1], 1e300]), seq_len=3, horizon=2)


def test_the_clock_is_read_as_it_is_written(tmp_path: Path) -> None:
    record = read(tmp_path / "a.csv", rows([t.isoformat() for t in BERLIN], HOURLY), time_features=True)
    assert record.clock is not None
    assert str(record.clock[0]) == "2024-10-25T00:00:00.000000"  # local, and not 22:00 in universal time
    clock = read(tmp_path / "a.csv", "Date,v\n2026-01-31 18:30,1\n2026-02-01T00:00:30,2\n").clock
    assert clock is not None
    assert clock.tolist() == [datetime(2026, 1, 31, 18, 30), datetime(2026, 2, 1, 0, 0, 30)]
    with pytest.raises(UserError, match="needs a column with the time, named date, time, datetime"):
        read(tmp_path / "b.csv", rows(V, header="v"), time_features=True)


def test_columns_are_the_only_numeric_one_or_those_named_in_their_order(tmp_path: Path) -> None:
    path, many = tmp_path / "a.csv", "day,a,b,c\nmon,1,2,3\ntue,4,5,6\n"
    one = read(path, '\ufeffday,"price, EUR",note\nmon,1.5,a\ntue,-2e1,b\n\n')
    assert (one.columns, one.values.tolist()) == (("price, EUR",), [[1.5], [-20.0]])
    some, every = read(path, many, column="c, a"), read(path, many, column="all")
    assert (some.columns, some.values.tolist()) == (("c", "a"), [[3, 1], [6, 4]])
    assert (every.columns, every.values.tolist()) == (("a", "b", "c"), [[1, 2, 3], [4, 5, 6]])
    assert every.fingerprint == read(path, many, column="a,b,c").fingerprint != some.fingerprint
    assert read(path, "all,b\n1,2\n", column="all").columns == ("all",)
    for text, column, sentence in (
        (many, None, "3 numeric columns, 'a', 'b', 'c'"),
        (many, "a,d", "'d' is not in"),
        (many, "a,b,a", "names 'a' twice"),
        ("a,b\nx,y\n", None, "no numeric column among 'a', 'b'"),
        ("1,x\n2,y\n", None, "no header line"),
    ):
        assert sentence in refused(lambda text=text, column=column: read(path, text, column=column))  # type: ignore[misc]


@pytest.mark.parametrize("wrong", ["", " ", "nan", "inf", "1_0", "twelve", "1;5", "0x10", "1e400"])
def test_a_value_that_is_no_number_is_named_with_its_line(tmp_path: Path, wrong: str) -> None:
    message = refused(lambda: read(tmp_path / "bad.csv", f"n,v\na,1\nb,4\nc,3\nd,{wrong}\ne,5\n"))
    assert "line 5, column 'v'" in message
    assert ("missing" if wrong.strip() in ("", "nan") else "inf" if wrong == "1e400" else wrong) in message


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("n,v\na,1\nb\nc,3\n", "line 3, column 'v'"),
        ("v\n1\n\n3\n", "line 3, column 'v'"),
        ('n,v\n"two\nlines",1\nb,x\n', "line 4, column 'v'"),
        ("v\n1\n" + "9" * 200_000, "expected a finite number"),
        ("date,v\n2026-01-31,1\n31.1.2026,2\n", "line 3, column 'date': expected a time such as"),
        ("date,v\n2026-01-31,1\n2026-13-01,2\n", "got '2026-13-01'"),
        ("date,v\n2026-01-31,1\n,2\n", "line 3, column 'date': the time is missing"),
    ],
)
def test_a_row_that_is_wrong_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in refused(lambda: read(tmp_path / "bad.csv", text, column="v"))
