"""Series of the catalogue: measured, downloaded, or integrated here; and the one that a configuration names."""

from __future__ import annotations

import gzip
import importlib.util
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from rnnbench.config import DataConfig
from rnnbench.data.download import fetch, gunzipped
from rnnbench.data.series.record import Record, chosen, digest
from rnnbench.data.series.table.read import read_user_table
from rnnbench.errors import UserError

#: Hours in the twelve, four and four months of 30 days that are trained, validated and tested on (Zhou et al. 2021).
ETT_ENDS = (12 * 30 * 24, 16 * 30 * 24, 20 * 30 * 24)
#: The columns of exchange_rate.txt.gz, which has no header, in the order of Lai et al. 2018.
COUNTRIES = ("Australia", "Britain", "Canada", "Switzerland", "China", "Japan", "New Zealand", "Singapore")
#: Facebook, the package's fifth, is left out: listed in May 2012 only, it would shorten the common record to 195 days.
TICKERS = ("AAPL", "GOOG", "IBM", "MSFT")


def read_ett(file: str, column: str | None = None) -> Record:
    """An electricity transformer by the hour: six loads and the oil's temperature OT (Zhou et al. 2021).

    Published work lets the first windows of val and test reach back into the part before; here none does. Of the
    columns all seven are read where None is named.
    """
    data = fetch(file).read_bytes()
    table = pd.read_csv(io.BytesIO(data), index_col=0, float_precision="round_trip")
    places = chosen(column or "all", table.columns.tolist(), file)
    columns = tuple(table.columns[places])
    clock = table.index.to_numpy().astype("datetime64[s]")
    return Record(table.to_numpy(np.float64)[:, places], columns, digest(data, columns), clock, ETT_ENDS)


def read_exchange(column: str | None = None) -> Record:
    """Daily exchange rates of eight countries to the dollar, 1990 to 2016, dates not given (Lai et al. 2018)."""
    data = gunzipped(fetch("exchange_rate.txt.gz"), limit=10**6)
    places = chosen(column or "all", COUNTRIES, "'exchange'")
    columns = tuple(COUNTRIES[at] for at in places)
    values = np.loadtxt(io.BytesIO(data), delimiter=",", usecols=places, ndmin=2)
    return Record(values, columns, digest(data, columns))


def read_glucose() -> Record:
    """Glucose in mg/dL every 5 minutes, 2010-03-24 to 2010-10-10."""
    return _measured("CGM.csv.gz", "datetime", "glucose", minutes=5)


def read_sea_temperature() -> Record:
    """Sea-surface temperature in °C every 30 minutes, 2016-02-15 to 2017-03-22."""
    return _measured("sea_surface_temperature.csv.gz", "time (UTC)", "temperature (celsius)", minutes=30)


def read_stocks(column: str | None = None) -> Record:
    """Log returns log(p_t / p_{t−1}) of four shares on the days that all were traded, 2004-08-20 to 2013-03-01.

    p is the closing price adjusted for splits and dividends: unadjusted, a split would be a fall by half.
    """
    data = _content("stocks.csv.gz")
    rows = pd.read_csv(io.BytesIO(data), float_precision="round_trip")
    prices = rows.pivot(index="Date", columns="Ticker", values="Adj Close")[list(TICKERS)].dropna()
    columns = tuple(TICKERS[at] for at in chosen(column or "all", TICKERS, "'stocks'"))
    levels = np.ascontiguousarray(prices[list(columns)].to_numpy())
    clock = prices.index.to_numpy()[1:].astype("datetime64[D]")
    return Record(np.diff(np.log(levels), axis=0), columns, digest(data, columns), clock)


def _measured(file: str, clock: str, column: str, minutes: int) -> Record:
    """A time-stamped file on a grid: stamps rounded to it, the first of a slot kept."""
    data = _content(file)
    rows = pd.read_csv(io.BytesIO(data), float_precision="round_trip")
    stamps = pd.to_datetime(rows[clock].str.removesuffix("Z")).to_numpy().astype("datetime64[m]").astype(np.int64)
    order = np.argsort(stamps, kind="stable")
    slots, first = np.unique((stamps[order] + minutes // 2) // minutes, return_index=True)
    grid = np.full(slots[-1] - slots[0] + 1, np.nan)
    grid[slots - slots[0]] = rows[column].to_numpy(np.float64)[order][first]
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


#: Samples of a series, and samples thrown away before them, until the start is forgotten.
LENGTH, WASHOUT = 10_000, 1000


def read_mackey_glass() -> Record:
    """x' = 0.2 x(t − 17) / (1 + x(t − 17)¹⁰) − 0.1 x at every unit of time (Mackey & Glass 1977), 10,000 samples."""
    x = mackey_glass(WASHOUT + LENGTH)[WASHOUT:, None]
    return Record(x, ("x",), digest(x.tobytes(), ("x",)))


def read_lorenz(column: str | None = None) -> Record:
    """x' = 10 (y − x), y' = x (28 − z) − y, z' = x y − 8/3 z (Lorenz 1963) every 0.05 of time, 10,000 samples."""
    places = chosen(column or "all", tuple("xyz"), "'lorenz'")
    columns = tuple("xyz"[at] for at in places)
    values = np.ascontiguousarray(lorenz(WASHOUT + LENGTH)[WASHOUT:, places])
    return Record(values, columns, digest(values.tobytes(), columns))


def mackey_glass(samples: int, delay: int = 17, substeps: int = 10) -> np.ndarray:
    """(samples,) values at t = 1, 2, … from x = 1.2 for t ≤ 0, by fourth-order Runge-Kutta steps of 1 / substeps.

    In plain Python, by sums, products and quotients alone, as `lorenz`: these are the same on every machine (IEEE 754),
    where library functions may differ in the last bit, which chaos amplifies to the whole series.

    What was delay ago is known at whole steps, and half-way between them by Hermite's cubic, of fourth order too. The
    kinks that the constant past leaves, at multiples of the delay, are at whole steps.
    """
    step, lag = 1 / substeps, delay * substeps
    x, middles = [1.2] * (lag + 1), [1.2] * lag  # from t − delay on, oldest first; and between them

    def change(now: float, then: float) -> float:
        second = then * then
        fourth = second * second
        return 0.2 * then / (1 + fourth * fourth * second) - 0.1 * now

    slope = change(1.2, 1.2)
    for at in range(samples * substeps):
        between, after, now = middles[at], x[at + 1], x[-1]
        k2 = change(now + step / 2 * slope, between)
        k3 = change(now + step / 2 * k2, between)
        k4 = change(now + step * k3, after)
        x.append(now + step / 6 * (slope + 2 * k2 + 2 * k3 + k4))
        before, slope = slope, change(x[-1], after)
        middles.append((now + x[-1]) / 2 + step / 8 * (before - slope))
    return np.array(x[lag + substeps :: substeps])


def lorenz(samples: int, interval: float = 0.05, substeps: int = 5) -> np.ndarray:
    """(samples, 3) values at every interval from (1, 1, 1), by fourth-order Runge-Kutta steps."""
    step = interval / substeps

    def change(x: float, y: float, z: float) -> tuple[float, float, float]:
        return 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z

    x = y = z = 1.0
    out = []
    for _ in range(samples):
        for _ in range(substeps):
            a1, b1, c1 = change(x, y, z)
            a2, b2, c2 = change(x + step / 2 * a1, y + step / 2 * b1, z + step / 2 * c1)
            a3, b3, c3 = change(x + step / 2 * a2, y + step / 2 * b2, z + step / 2 * c2)
            a4, b4, c4 = change(x + step * a3, y + step * b3, z + step * c3)
            x += step / 6 * (a1 + 2 * a2 + 2 * a3 + a4)
            y += step / 6 * (b1 + 2 * b2 + 2 * b3 + b4)
            z += step / 6 * (c1 + 2 * c2 + 2 * c3 + c4)
        out.append((x, y, z))
    return np.array(out)


def read(data: DataConfig) -> Record:
    """The record that the configuration names, with the columns it asks for."""
    if data.path is not None:
        return read_user_table(data)
    readers: dict[str, Callable[[], Record]] = {
        "glucose": read_glucose,
        "sea_temperature": read_sea_temperature,
        "stocks": lambda: read_stocks(data.column),
        "mackey_glass": read_mackey_glass,
        "lorenz": lambda: read_lorenz(data.column),
        "etth1": lambda: read_ett("ETTh1.csv", data.column),
        "etth2": lambda: read_ett("ETTh2.csv", data.column),
        "exchange": lambda: read_exchange(data.column),
    }
    return readers[str(data.name)]()
