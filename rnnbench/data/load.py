"""From the configuration to the data set. Nothing here imports Lightning."""

from __future__ import annotations

from rnnbench.config import DataConfig
from rnnbench.data.catalog import entry
from rnnbench.data.source import Source
from rnnbench.errors import UserError


def load(data: DataConfig, seed: int = 0) -> Source:
    """The data set that the configuration names; raises `UserError` where it is unknown, missing or unfit."""
    kind = entry(str(data.name)).kind
    if data.column is not None and data.name != "csv":
        raise UserError(f'data.column {data.column!r} goes with data.name "csv", not "{data.name}"; leave it out.')
    if kind == "text":
        from rnnbench.data.text import TextData

        return TextData.load(data, seed)
    if kind == "series":
        from rnnbench.data.series import SeriesData

        return SeriesData.load(data, seed)
    from rnnbench.data.synthetic import AddingData

    return AddingData(data, seed)
