"""Forecasting."""

from rnnbench.data.entry import Entry

_SOURCE = "rnnbench.data.series.windows:SeriesData"

ENTRIES = (
    Entry(
        "csv",
        "series",
        "many_to_one",
        "One numeric column of your own CSV file with a header line (data.path, data.column)",
        "yours",
        "a file of yours",
        _SOURCE,
        options=("path", "column", "horizon"),
    ),
    Entry(
        "glucose",
        "series",
        "many_to_one",
        "Continuous glucose monitor of one person, mg/dL every 5 minutes for 200 days, with gaps",
        "public domain; package BSD-3-Clause",
        "pip package bokeh-sampledata",
        _SOURCE,
        options=("horizon",),
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
        options=("horizon",),
        period=48,
        package="bokeh_sampledata",
    ),
)
