"""A user's table, in the many forms that people have: read right, or refused with a sentence that says what to do."""

from __future__ import annotations

import gzip
import io
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from support.refusals import refused

from rnnbench.config import DataConfig
from rnnbench.data.series.record import Record
from rnnbench.data.series.table.read import read_user_table
from rnnbench.data.series.windows import SeriesData
from rnnbench.errors import UserError

SIZE = 60
V = np.random.default_rng(0).normal(size=SIZE).round(3)
W = (V[::-1] * 7).round(2)
DAYS = pd.date_range("2024-01-01", periods=SIZE)


class Case(NamedTuple):
    """A file, how it is asked for, and what is right: its values and what is said of it, or why it is refused."""

    content: str | bytes
    values: Any = None
    says: str = ""
    refused: str = ""
    options: Mapping[str, Any] = MappingProxyType({})
    name: str = "own.csv"


def rows(*columns: Sequence[Any], header: str | None = "date,v", sep: str = ",", end: str = "\n") -> str:
    """Lines of a table."""
    head = [] if header is None else [header]
    return "".join(f"{line}{end}" for line in [*head, *(sep.join(map(str, row)) for row in zip(*columns, strict=True))])


def dated(form: str, days: pd.DatetimeIndex = DAYS) -> list[str]:
    return [f"{day:{form}}" for day in days]


ISO = dated("%Y-%m-%d")
PLAIN = rows(ISO, V)
FRAME = pd.DataFrame({"date": DAYS, "v": V, "w": W})
COMMA = [str(v).replace(".", ",") for v in V]
ENTITIES = [("DE", day, v) for day, v in zip(ISO, V, strict=True)] + [
    ("FR", day, w) for day, w in zip(ISO, W, strict=True)
]
STACKED = rows(*zip(*ENTITIES, strict=True), header="country,date,v")
BERLIN = pd.date_range("2024-10-25", "2024-10-29", freq="h", tz="Europe/Berlin")
HOURLY = np.sin(np.arange(len(BERLIN)))


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, PLAIN)
    return buffer.getvalue()


def workbook(**sheets: int) -> bytes:
    """Sheets of the same table, each beginning some rows down."""
    buffer = io.BytesIO()
    with pd.ExcelWriter(buffer) as writer:
        for name, start in sheets.items():
            FRAME.to_excel(writer, sheet_name=name, startrow=start, index=False)
    return buffer.getvalue()


ALL = {"column": "all"}
BOTH = np.stack([V, W], axis=1)
CASES = {
    # what a table is written as
    "csv": Case(PLAIN, V, "delimited by comma"),
    "crlf": Case(rows(ISO, V, end="\r\n"), V),
    "no line end at the end": Case(PLAIN.rstrip("\n"), V),
    "byte-order mark": Case(b"\xef\xbb\xbf" + PLAIN.encode(), V),
    "tabs": Case(rows(ISO, V, header="date\tv", sep="\t"), V, "tab", name="own.tsv"),
    "bars": Case(rows(ISO, V, header="date|v", sep="|"), V, "bar"),
    "white space": Case(rows(V, W, header="v   w", sep="  "), BOTH, "white space", options=ALL),
    "semicolons and decimal commas": Case(rows(ISO, COMMA, header="d;v", sep=";"), V, "decimal commas"),
    "decimal commas and thousands": Case(
        rows(ISO, [f"{1 + k % 7}.{k:03},5" for k in range(SIZE)], header="d;v", sep=";"),
        [1000 * (1 + k % 7) + k + 0.5 for k in range(SIZE)],
        re.escape("1.234,5"),
    ),
    "quoted thousands": Case(
        rows(ISO, [f'"{1 + k % 7},{k:03}"' for k in range(SIZE)]), [1000 * (1 + k % 7) + k for k in range(SIZE)]
    ),
    "thousands by spaces": Case(
        rows(ISO, [f"{1 + k % 7} {k:03},5" for k in range(SIZE)], header="d;v", sep=";"),
        [1000 * (1 + k % 7) + k + 0.5 for k in range(SIZE)],
    ),
    "decimal commas among commas": Case(rows(COMMA, header="v"), refused="delimit by semicolons"),
    "unquoted thousands": Case(
        rows(ISO, [f"{1 + k % 7},{k:03}" for k in range(SIZE)]), refused="3 fields in its rows.*delimit by semicolons"
    ),
    "typographic minus": Case(rows(ISO, [str(v).replace("-", "−") for v in V]), V),
    "gzip": Case(gzip.compress(PLAIN.encode()), V, "gzip", name="own.csv.gz"),
    "zip": Case(zipped("a.csv"), V, "the file 'a.csv'"),
    "zip of two": Case(zipped("a.csv", "b.csv"), refused="archive of 2 files"),
    "Parquet": Case(written(FRAME.to_parquet), V, "Parquet, 60 rows", options={"column": "v"}),
    "Parquet with the clock as its index": Case(
        written(FRAME.set_index("date").to_parquet), W, "clock 'date'", options={"column": "w"}
    ),
    "half a Parquet file": Case(written(FRAME.to_parquet)[:300], refused="damaged Parquet"),
    "Excel": Case(workbook(one=0), BOTH, "sheet 'one'", options=ALL, name="own.xlsx"),
    "Excel with a title and two sheets": Case(workbook(one=3, two=0), BOTH, "sheet 'two'", options=ALL),
    "old Excel": Case(b"\xd0\xcf\x11\xe0" + b"\0" * 600, refused="save it as .xlsx", name="own.xls"),
    # the header
    "R's write.table": Case(
        rows([f'"{k}"' for k in range(1, 61)], V, W, header='"v" "w"', sep=" "), BOTH, "row names", options=ALL
    ),
    "R's write.csv": Case(rows([f'"{k}"' for k in range(1, 61)], V, header='"","v"'), V, "counts the rows"),
    "R's row names beside a date": Case(
        rows([f'"{k}"' for k in range(1, 61)], [f'"{day}"' for day in ISO], V, header='"date" "v"', sep=" "), V
    ),
    "R's dates as row names": Case(rows([f'"{day}"' for day in ISO], V, header='"v"'), V, "clock 'row names'"),
    "years for names": Case(rows(V, W, header="2019,2020"), BOTH, options=ALL),
    "0 and 1 for names": Case(rows(range(SIZE), V, W, header=",0,1"), BOTH, options=ALL),
    "no header": Case(rows(V, W, header=None), BOTH, "no header line", options=ALL),
    "no header, but times": Case(rows(ISO, V, header=None), V, "no header line"),
    "no header, whole numbers": Case(rows(range(3, 63), range(9, 69), header=None), refused="line of names"),
    "a commented header": Case("# made today\n# date v\n" + rows(ISO, V, header=None, sep=" "), V, "1 line at the top"),
    "a title": Case("Station X\n\n" + PLAIN, V, "2 lines at the top"),
    "only a header": Case("date,v\n", refused="no rows"),
    "a row with a field too many": Case(PLAIN + "2024-03-01,1,2\n", refused="3 fields in line 62"),
    "a row with a field too few": Case(PLAIN + "2024-03-01\n", refused="line 62, column 'v': the value is missing"),
    "a delimiter at each end": Case(rows(ISO, V, header="date,v,", end=",\n").replace(",,", ","), V, "it is empty"),
    "a quote that never ends": Case('date,v\n"2024-01-01,1\n2024-01-02,3\n', refused="quote"),
    "two columns of a name": Case(rows(V, W, header="v,v"), refused="columns 1, 2", options={"column": "v"}),
    "two columns of a name, all": Case(rows(V, W, header="v,v"), BOTH, "told apart by their place", options=ALL),
    # which columns are series
    "all leaves out what is no series": Case(
        rows(range(SIZE), [1_700_000_000 + 3600 * k for k in range(SIZE)], V, ["Rome"] * SIZE, [5] * SIZE,
             header="id,ts,v,city,k"),
        V, "'id': it counts.*'city': no numbers.*'k': it is constant", options=ALL,
    ),
    "all with late numbers": Case(
        rows(V, [""] * 25 + list(W[25:]), header="v,w"), refused="column 'w': the value is missing", options=ALL
    ),
    "nothing but a count": Case(rows(ISO, range(SIZE)), refused="counts the rows, from 0"),
    "a column of words by name": Case(
        rows(V, ["x"] * SIZE, header="v,w"), refused="'w'.*no column of numbers", options={"column": "w"}
    ),
    "a unit below the header": Case(rows(["(d)", *ISO], ["(mm)", *V]), refused="line 2"),
    # the clock
    "newest first": Case(rows(ISO[::-1], V), refused="newest rows first; give data.sort"),
    "newest first, sorted": Case(rows(ISO[::-1], V[::-1]), V, "turned round", options={"sort": True}),
    "shuffled": Case(rows(ISO[40:] + ISO[:40], V), refused="not in the order of their times; give data.sort"),
    "shuffled, sorted": Case(rows(ISO[40:] + ISO[:40], [*V[40:], *V[:40]]), V, "sorted", options={"sort": True}),
    "a time twice": Case(PLAIN + "2024-02-29,7\n", refused="line 62.*twice, with other values"),
    "a row twice": Case(PLAIN + PLAIN.splitlines()[-1] + "\n", refused="the same row"),
    "a row twice, sorted": Case(
        PLAIN + PLAIN.splitlines()[-1] + "\n", V, "1 row there twice", options={"sort": True}
    ),
    "a total": Case(PLAIN + "Total,12.5\n", refused="line 62, column 'date'.*total"),
    "seconds since 1970": Case(
        rows([1_700_000_000 + 60 * k for k in range(SIZE)], V, header="time,v"), V, "every 1 minute"
    ),
    "thousandths of them": Case(
        rows([(1_700_000_000 + 60 * k) * 1000 for k in range(SIZE)], V, header="unix,v"), V, "every 1 minute"
    ),
    "dates in digits": Case(rows(dated("%Y%m%d"), V), V, "2024-01-01 to 2024-02-29, a row every 1 day"),
    "years": Case(rows(range(1950, 2010), V, header="year,v"), V, "every 1 year"),
    "months": Case(
        rows(dated("%Y-%m", pd.date_range("2000-01", periods=SIZE, freq="MS")), V, header="month,v"), V, "every 1 month"
    ),
    "ends of quarters": Case(
        rows(dated("%Y-%m-%d", pd.date_range("2000-01", periods=SIZE, freq="QE")), V), V, "every 1 quarter"
    ),
    "working days": Case(rows(dated("%Y-%m-%d", pd.bdate_range("2024-01-01", periods=SIZE)), V), V, "1 working day"),
    "date and time apart": Case(
        rows(["16/12/2006"] * SIZE, [f"17:{k:02}:00" for k in range(SIZE)], V, header="Date;Time;v", sep=";"),
        V, "'Date', 'Time': 2006-12-16 17:00:00 .* every 1 minute",
    ),
    "day first, to be seen": Case(rows(dated("%d/%m/%Y"), V), V, "2024-01-01 to 2024-02-29"),
    "month first, to be seen": Case(rows(dated("%m/%d/%Y"), V), V, "2024-01-01 to 2024-02-29"),
    "day or month first": Case(rows(dated("%d/%m/%Y")[:12], V[:12]), refused="data.date_format '%d/%m/%Y'"),
    "day first, as is said": Case(
        rows(dated("%d/%m/%Y")[:12], V[:12]), V[:12], "2024-01-01 to 2024-01-12", options={"date_format": "%d/%m/%Y"}
    ),
    "a format that fits nothing": Case(PLAIN, refused="in the form %d.%m.%Y", options={"date_format": "%d.%m.%Y"}),
    "local time, summer's end": Case(
        rows(dated("%Y-%m-%d %H:%M", BERLIN.tz_localize(None)), HOURLY), HOURLY, "1 change of the clock put.*1 hour"
    ),
    "zones, summer's end": Case(rows([t.isoformat() for t in BERLIN], HOURLY), HOURLY, "every 1 hour"),
    "universal time": Case(rows([f"{day}T00:00:00Z" for day in ISO], V), V, "every 1 day"),
    "uneven times": Case(
        rows(dated("%Y-%m-%d %H:%M:%S", DAYS[0] + pd.to_timedelta(np.cumsum(10 + 50 * abs(V)), "s").floor("s")), V),
        V, "not evenly spaced",
    ),
    "blank lines": Case(PLAIN.replace("2024-01-10", "\n2024-01-10"), V, "1 blank line"),
    "sort without a clock": Case(rows(V, header="v"), refused="data.sort needs", options={"sort": True}),
    "hours in a column of their own": Case(
        rows(["2024-01-01"] * 24 + ["2024-01-02"] * 24, [*range(1, 25)] * 2, V[:48], header="Date,Hour,v"), V[:48],
        "'Date', 'Hour': 2024-01-01 01:00:00 to 2024-01-03, a row every 1 hour",
    ),
    "year, month, day and hour": Case(
        rows([2010] * 48, [1] * 48, [1] * 24 + [2] * 24, [*range(24)] * 2, V[:48], header="year,month,day,hour,v"),
        V[:48], "2010-01-01 to 2010-01-02 23:00:00, a row every 1 hour",
    ),
    "hours in digits": Case(
        rows([f"20240101{k:02}" for k in range(24)], V[:24], header="MESS_DATUM;v", sep=";"), V[:24], "every 1 hour"
    ),
    "quarters": Case(
        rows([f"{2000 + k // 4}Q{1 + k % 4}" for k in range(SIZE)], V, header="q,v"), V, "every 1 quarter"
    ),
    "weeks": Case(rows([f"2024-W{k:02}" for k in range(1, 50)], V[:49], header="week,v"), V[:49], "every 7 days"),
    "epochs under another name, newest first": Case(
        rows([1_700_000_000_000 - 60_000 * k for k in range(SIZE)], V, header="open_time,v"), refused="newest rows"
    ),
    "the year or the day first": Case(
        rows(dated("%y/%m/%d", DAYS[:31]), V[:31]), refused="data.date_format '%d/%m/%y' or '%y/%m/%d'"
    ),
    "a midnight called 24:00": Case(
        rows([f"01.01.2024 {k:02}:00" for k in range(1, 25)], V[:24], header="Datum;v", sep=";"), V[:24],
        "2024-01-01 01:00:00 to 2024-01-02, a row every 1 hour",
    ),
    "a week from Sunday to Thursday": Case(
        rows([day for day, date in zip(ISO, DAYS, strict=True) if date.dayofweek not in (4, 5)],
             [v for v, date in zip(V, DAYS, strict=True) if date.dayofweek not in (4, 5)]),
        [v for v, date in zip(V, DAYS, strict=True) if date.dayofweek not in (4, 5)], "1 working day",
    ),
    "another column of dates, not filled in": Case(
        rows(ISO, ["", "ongoing"] * 30, V, header="date,end_date,v"), V, "'end_date': no numbers"
    ),
    "a temperature called T": Case(rows(ISO, V, header="date,T"), V),
    "rows between the steps": Case(
        rows(sorted([*dated("%Y-%m-%d %H:%M", pd.date_range("2024-01-01", periods=57, freq="h")),
                     "2024-01-01 05:20", "2024-01-01 09:20"]), V[:59]),
        V[:59], "2 rows less than half a step after the one before",
    ),
    "a zone in the format": Case(
        rows([f"{day} 00:00 +0900" for day in dated("%d/%m/%Y")], V), V, "2024-01-01 to 2024-02-29",
        options={"date_format": "%d/%m/%Y %H:%M %z"},
    ),
    "some zones": Case(
        rows([*ISO[:30], *(f"{day}T00:00:00Z" for day in ISO[30:])], V), refused="line 32, column 'date'"
    ),
    "thousands or decimals": Case(
        rows(dated("%d.%m.%Y"), [987, *(f"1.{k:03}" for k in range(12, 71))], header="Datum;v", sep=";"),
        refused="thousands or with decimals",
    ),
    "decimal commas below one, in quotes": Case(rows(ISO, [f'"0,{k:03}"' for k in range(7, 67)]), refused="counts"),
    "no-break spaces for thousands": Case(
        rows(ISO, [f"{1 + k % 7}\u00a0{k:03},5" for k in range(SIZE)], header="d;v", sep=";"),
        [1000 * (1 + k % 7) + k + 0.5 for k in range(SIZE)],
    ),
    "decimal commas taken for row names": Case(
        rows(["x"] * SIZE, [1 + k % 9 for k in range(SIZE)], range(10, 70), header="Tag,Wert"), refused="semicolons"
    ),
    "a blank where white space delimits": Case(
        "v w\n" + "1.5 2.5\n" * 20 + "      3.5\n" + "1.5 2.5\n" * 5, refused="line 22: 1 fields? and 2 columns",
        options={"column": "w", "missing": "interpolate"},
    ),
    "Excel's own first line": Case("sep=;\n" + rows(ISO, COMMA, header="d;v", sep=";"), V, "semicolon"),
    "a delimiter of its own, and a field too many": Case(
        "sep=^\n" + rows(ISO, V, header="d^v", sep="^") + "2024-03-01^1^2\n", refused="a \\^ too many"
    ),
    "a text over two lines in each row": Case(
        rows(ISO, ['"two\nlines"'] * SIZE, V, header="date,note,v"), V, "'note': no numbers"
    ),
    "a unit in each field": Case(rows(ISO, [f"{v} kg" for v in V]), refused="numbers with a unit"),
    "a tar archive": Case(b"a" * 257 + b"ustar" + b"\0" * 250, refused="tar archive"),
    "a total without a clock": Case(
        rows([*(f"p{k}" for k in range(59)), "Total"], V, header="name,v"), refused="take the line out"
    ),
    "an index with holes": Case(
        rows([k for k in range(80) if k % 4], V, header="id,v"), V, "'id': it names the rows"
    ),
    "sentinels of two kinds": Case(
        rows([-9999 if k == 3 else -999 if k in (5, 8) else v for k, v in enumerate(V)], header="v"),
        [-9999 if k == 3 else -999 if k in (5, 8) else v for k, v in enumerate(V)], "-9999 in 1 row.*-999 in 2 rows",
    ),
    "a count that begins anew": Case(
        rows([k // 20 for k in range(SIZE)], [k % 20 for k in range(SIZE)], V, header="unit,step,v"), V,
        "rows of several series.*data.entity 'unit'", options={"column": "v"},
    ),
    "two columns say whose row": Case(
        rows(["a", "a", "b", "b"] * 15, ["x", "y"] * 30, [ISO[k // 4] for k in range(SIZE)], V,
             header="shop,item,date,v"),
        refused="data.entity 'shop,item'",
    ),
    "newest first, when summer ended": Case(
        rows(dated("%Y-%m-%d %H:%M", BERLIN.tz_localize(None))[::-1], HOURLY[::-1]), HOURLY, "turned round.*1 change",
        options={"sort": True},
    ),
    "minutes, with their seconds": Case(
        rows([f"2024-01-01 00:{k:02}:00" for k in range(SIZE)], V), V, "00:59:00, a row every 1 minute"
    ),
    "a title of two words above times": Case(
        "load data\n" + rows([f"2024-01-01 00:{k:02}" for k in range(SIZE)], V), V, "1 line at the top"
    ),
    "two sensors in turn under one another": Case(
        rows([f"2024-01-01 {k % 20:02}:{30 * (k // 20):02}" for k in range(40)], ["a"] * 20 + ["b"] * 20, V[:40],
             header="date,sensor,v"),
        refused="another series begins.*data.entity 'sensor'",
    ),
    "what is forecast": Case(rows(ISO, V, W, header="date,v,w"), BOTH, "forecast: 'v', 'w'", options=ALL),
    # several series
    "stacked": Case(STACKED, refused="several series.*data.entity 'country'"),
    "an entity that is not there": Case(STACKED, refused="data.entity 'land' is not in", options={"entity": "land"}),
    # missing values
    "a sentinel": Case(
        rows([-999 if k % 9 == 0 else v for k, v in enumerate(V)], header="v"),
        [-999 if k % 9 == 0 else v for k, v in enumerate(V)], "-999 in 7 rows",
    ),
    "empty": Case(" \n", refused="is empty"),
    "a directory of shares": Case(PLAIN, refused="three positive shares", options={"split": "80/20"}),
}  # fmt: skip


def read(path: Path, content: str | bytes, **options: Any) -> Record:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_user_table(DataConfig(path=str(path), name="csv", **options))


def notes_of(record: Record) -> str:
    assert record.notes is not None
    return " | ".join(sentence for sentences in record.notes.plain().values() for sentence in sentences)


@pytest.mark.parametrize("label", CASES)
def test_a_table_is_read_right_or_refused_with_what_to_do(label: str, tmp_path: Path) -> None:
    case = CASES[label]
    if case.refused:
        with pytest.raises(UserError, match=f"(?s){case.refused}") as caught:
            read(tmp_path / case.name, case.content, **case.options)
        assert "\n" not in str(caught.value)
        return
    record = read(tmp_path / case.name, case.content, **case.options)
    expected = np.asarray(case.values, float)
    np.testing.assert_array_equal(record.values, expected.reshape(len(expected), -1))
    assert re.search(case.says, notes_of(record)), notes_of(record)


def test_a_hole_in_the_times_stays_open_or_is_filled_as_asked(tmp_path: Path) -> None:
    kept = [k for k in range(SIZE) if k not in (20, 21, 30, 31, 32, 33, 34)]
    holed = rows([ISO[k] for k in kept], V[kept])
    expected = V.copy()
    expected[[20, 21, *range(30, 35)]] = np.nan
    record = read(tmp_path / "a.csv", holed)
    np.testing.assert_array_equal(record.values[:, 0], expected)  # on the grid of the days
    assert "2 holes in the times, 7 rows missing, the first after 2024-01-20" in notes_of(record)
    assert record.period == 7
    config = DataConfig(path=str(tmp_path / "a.csv"), seq_len=3, horizon=1)
    starts = _window_rows(SeriesData(record, config))
    assert not any(row in (20, 21, *range(30, 35)) for row in starts)
    filled = SeriesData(read(tmp_path / "a.csv", holed, missing="interpolate"), config)
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
    config = DataConfig(path=str(tmp_path / "a.csv"), seq_len=3, horizon=1)
    assert not {5, 6} & _window_rows(SeriesData(segmented, config))
    source = SeriesData(read(tmp_path / "a.csv", text, missing="interpolate"), config)
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
    config = DataConfig(path=str(tmp_path / "a.csv"), seq_len=3, horizon=1)
    source = SeriesData(record, config)
    for starts in source._starts.values():
        for start in starts:
            series = set(record.first[start : start + 4].tolist())  # type: ignore[index]
            assert len(series) == 1
    known = np.concatenate([V[:42], W[:42]])
    np.testing.assert_allclose(source._mean, known.mean())
    np.testing.assert_allclose(source._naive_mae, np.abs(np.concatenate([np.diff(V[:42]), np.diff(W[:42])])).mean())


def test_a_season_is_never_looked_up_in_another_series(tmp_path: Path) -> None:
    record = read(tmp_path / "a.csv", STACKED, entity="country")
    source = SeriesData(record, DataConfig(path=str(tmp_path / "a.csv"), seq_len=3, horizon=1, period=50))
    assert source._period is None or source._period != 50  # the period comes from load; here from the clock
    far = SeriesData(record, DataConfig(path=str(tmp_path / "a.csv"), seq_len=3, horizon=1), period=58)
    references = far.naive_references()
    # 58 days before the test part no day of the same country is known but the first two: persistence all but there
    assert references["seasonal_naive_mse"] != references["persistence_mse"]
    none = SeriesData(
        record, DataConfig(path=str(tmp_path / "a.csv"), seq_len=3, horizon=1), period=200
    ).naive_references()
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
    config = DataConfig(path="a.csv", seq_len=3, horizon=1)
    usual = SeriesData(read(tmp_path / "a.csv", PLAIN), config)
    scaled = SeriesData(read(tmp_path / "b.csv", rows(ISO, [f"{v}e{power}" for v in V])), config)
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
        config = DataConfig(path=str(tmp_path / "a.csv"), **options)
        return SeriesData(read(tmp_path / "a.csv", text), config)

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
