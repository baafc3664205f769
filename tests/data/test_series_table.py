"""A user's table, in the many forms that people have: read right, or refused with a sentence that says what to do."""

from __future__ import annotations

import gzip
import io
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from support.tables import BERLIN, DAYS, HOURLY, ISO, PLAIN, SIZE, STACKED, V, W, dated, notes_of, read, rows

from rnnbench.errors import UserError


class Case(NamedTuple):
    """A file, how it is asked for, and what is right: its values and what is said of it, or why it is refused."""

    content: str | bytes
    values: Any = None
    says: str = ""
    refused: str = ""
    options: Mapping[str, Any] = MappingProxyType({})
    name: str = "own.csv"


FRAME = pd.DataFrame({"date": DAYS, "v": V, "w": W})
COMMA = [str(v).replace(".", ",") for v in V]


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
    "empty": Case(" \n", refused="is empty"),
    "a directory of shares": Case(PLAIN, refused="three positive shares", options={"split": "80/20"}),
}  # fmt: skip


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
