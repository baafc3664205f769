"""Forecasting, and the imitation of a system."""

from rnnbench.data.entry import Entry

_SOURCE = "rnnbench.data.series.windows:SeriesData"
_COLUMNS = ("column", "horizon", "relative")


def _transformer(number: int, what: str) -> Entry:
    return Entry(
        f"etth{number}",
        "series",
        "many_to_one",
        f"Electricity transformer {number}: {what}",
        "CC BY-ND 4.0",
        "download, zhouhaoyi/ETDataset (Zhou et al. 2021)",
        _SOURCE,
        seq_len=96,
        options=(*_COLUMNS, "time_features"),
        period=24,
        files=(f"ETTh{number}.csv",),
    )


ENTRIES = (
    Entry(
        "csv",
        "series",
        "many_to_one",
        "Numeric columns of your own CSV file with a header line (data.path, data.column)",
        "yours",
        "a file of yours",
        _SOURCE,
        options=("path", "column", "horizon", "relative", "period", "time_features"),
    ),
    Entry(
        "glucose",
        "series",
        "many_to_one",
        "Continuous glucose monitor of one person, mg/dL every 5 minutes for 200 days, with gaps",
        "public domain; package BSD-3-Clause",
        "pip package bokeh-sampledata",
        _SOURCE,
        options=("horizon", "relative", "time_features"),
        period=288,
        package="bokeh_sampledata",
    ),
    Entry(
        "sea_temperature",
        "series",
        "many_to_one",
        "Sea-surface temperature on the Western Maine Shelf, °C every 30 minutes for 13 months",
        "free to use and redistribute (NERACOOS); package BSD-3-Clause",
        "pip package bokeh-sampledata",
        _SOURCE,
        options=("horizon", "relative", "time_features"),
        period=48,
        package="bokeh_sampledata",
    ),
    Entry(
        "stocks",
        "series",
        "many_to_one",
        "Daily log returns of four shares (AAPL, GOOG, IBM, MSFT), adjusted, 2004 to 2013",
        "package BSD-3-Clause; the prices' own terms are not stated",
        "pip package bokeh-sampledata",
        _SOURCE,
        seq_len=32,
        options=(*_COLUMNS, "time_features"),
        package="bokeh_sampledata",
    ),
    _transformer(1, "six loads and the oil temperature OT, hourly for 20 months"),
    _transformer(2, "as etth1"),
    Entry(
        "exchange",
        "series",
        "many_to_one",
        "Daily exchange rates of eight countries to the dollar, 1990 to 2016",
        "not stated by its publishers",
        "download, laiguokun/multivariate-time-series-data (Lai et al. 2018)",
        _SOURCE,
        options=_COLUMNS,
        files=("exchange_rate.txt.gz",),
    ),
    Entry(
        "mackey_glass",
        "series",
        "many_to_one",
        "Mackey and Glass's blood cells, chaotic at a delay of 17, without noise, 10,000 steps",
        "none needed",
        "computed on the spot",
        _SOURCE,
        options=("horizon", "relative"),
    ),
    Entry(
        "lorenz",
        "series",
        "many_to_one",
        "Lorenz's convection: x, y and z every 0.05 of time, chaotic, without noise, 10,000 steps",
        "none needed",
        "computed on the spot",
        _SOURCE,
        options=_COLUMNS,
    ),
    Entry(
        "narma10",
        "series",
        "many_to_many",
        "A tenth-order nonlinear system to be imitated from its random input",
        "none needed",
        "drawn on the spot",
        "rnnbench.data.series.narma:NarmaData",
        seq_len=100,
    ),
)
