"""Series that are downloaded."""

from __future__ import annotations

import csv
import io

import numpy as np

from rnnbench.data.download import fetch, gunzipped
from rnnbench.data.series.record import Record, chosen, digest

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
