"""Series that are"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rnnbench.config import DataConfig
from rnnbench.data.download import fetch, gunzipped
from rnnbench.data.series import generated
from rnnbench.data.series.record import Record, chosen, digest
from rnnbench.data.series.table.read import read_user_table
from rnnbench.errors import UserError

#: Hours in the twelve, four and four months of 30 days that are trained, validated and tested on (Zhou et al. 2021).
ETT_ENDS = (12 * 30 * 24, 16 * 30 * 24, 20 * 30 * 24)
#: The columns of exchange_rate.txt.gz, which has no header, in the order of Lai et al. 2018.
COUNTRIES = ("Australia", "Britain", "Canada", "Switzerland", "China", "Japan", "New Zealand", "Singapore")


def read_ett(file: str, column: str | None = None) -> Record:
    """An electricity transformer by the hour: six loads and the oil's temperature OT (Zhou et al. 2021).

    Published work lets the first windows of val and test reach back into the part before; here none does.

    Args:
        file: ETTh1.csv or ETTh2.csv.
        column: Columns to read and forecast; all seven where None.
    """
    data = fetch(file).read_bytes()
    header, *rows = csv.reader(io.StringIO(data.decode()))
    places = chosen(column or "all", header[1:], file)
    columns = tuple(header[1 + at] for at in places)
    values = np.array([[float(row[1 + at]) for at in places] for row in rows])
    clock = np.array([row[0] for row in rows], dtype="datetime64[s]")
    return Record(values, columns, digest(data, columns), clock, ETT_ENDS)


def read_exchange(column: str | None = None) -> Record:
    """Daily exchange rates of eight countries to the dollar, 1990 to 2016, dates not given (Lai et al. 2018).

    Args:
        column: Countries to read and forecast; all where None.
    """
    data = gunzipped(fetch("exchange_rate.txt.gz"), limit=10**6)
    places = chosen(column or "all", COUNTRIES, "'exchange'")
    columns = tuple(COUNTRIES[at] for at in places)
    values = np.loadtxt(io.BytesIO(data), delimiter=",", usecols=places, ndmin=2)
    return Record(values, columns, digest(data, columns))


#: Facebook, the package's fifth, is left out: listed in May 2012 only, it would shorten the common record to 195 days.
TICKERS = ("AAPL", "GOOG", "IBM", "MSFT")


def read_glucose() -> Record:
    """Glucose in mg/dL every 5 minutes, 2010-03-24 to 2010-10-10."""
    return _measured("CGM.csv.gz", "datetime", "glucose", minutes=5)


def read_sea_temperature() -> Record:
    """Sea-surface temperature in °C every 30 minutes, 2016-02-15 to 2017-03-22."""
    return _measured("sea_surface_temperature.csv.gz", "time (UTC)", "temperature (celsius)", minutes=30)


def read_stocks(column: str | None = None) -> Record:
    """Log returns log(p_t / p_{t−1}) of four shares on the days that all were traded, 2004-08-20 to 2013-03-01.

    p is the closing price adjusted for splits and dividends: unadjusted, a split would be a fall by half.

    Args:
        column: Tickers, all where None.
    """
    data = _content("stocks.csv.gz")
    prices: dict[str, dict[str, float]] = {ticker: {} for ticker in TICKERS}
    for row in csv.DictReader(io.StringIO(data.decode())):
        if row["Ticker"] in prices:
            prices[row["Ticker"]][row["Date"]] = float(row["Adj Close"])
    days = sorted(set.intersection(*(set(dated) for dated in prices.values())))
    columns = tuple(TICKERS[at] for at in chosen(column or "all", TICKERS, "'stocks'"))
    levels = np.array([[prices[ticker][day] for ticker in columns] for day in days])
    clock = np.array(days[1:], dtype="datetime64[D]")
    return Record(np.diff(np.log(levels), axis=0), columns, digest(data, columns), clock)


def _measured(file: str, clock: str, column: str, minutes: int) -> Record:
    """A time-stamped file on a grid: stamps rounded to it, the first of a slot kept."""
    data = _content(file)
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    stamps = np.array([row[clock].removesuffix("Z") for row in rows], dtype="datetime64[m]").astype(np.int64)
    values = np.array([float(row[column]) for row in rows])
    order = np.argsort(stamps, kind="stable")
    slots, first = np.unique((stamps[order] + minutes // 2) // minutes, return_index=True)
    grid = np.full(slots[-1] - slots[0] + 1, np.nan)
    grid[slots - slots[0]] = values[order][first]
    times = ((slots[0] + np.arange(len(grid))) * minutes).astype("datetime64[m]")
    return Record(grid[:, None], (column,), digest(data, (column,)), times)


def _content(file: str) -> bytes:
    spec = importlib.util.find_spec("bokeh_sampledata")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"the data set of {file} needs a package: pip install bokeh-sampledata")
    path = Path(spec.submodule_search_locations[0]) / "_data" / file
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError):
        raise UserError(f"{file} is missing or damaged: pip install --force-reinstall bokeh-sampledata") from None


def read(data: DataConfig) -> Record:
    """The record that the configuration names, with the columns it asks for."""
    if data.path is not None:
        return read_user_table(data)
    readers: dict[str, Callable[[], Record]] = {
        "glucose": read_glucose,
        "sea_temperature": read_sea_temperature,
        "stocks": lambda: read_stocks(data.column),
        "mackey_glass": generated.read_mackey_glass,
        "lorenz": lambda: generated.read_lorenz(data.column),
        "etth1": lambda: read_ett("ETTh1.csv", data.column),
        "etth2": lambda: read_ett("ETTh2.csv", data.column),
        "exchange": lambda: read_exchange(data.column),
    }
    return readers[str(data.name)]()
