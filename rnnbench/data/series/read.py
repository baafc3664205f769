"""From the configuration to the record: where each series is read."""

from __future__ import annotations

from collections.abc import Callable

from rnnbench.config import DataConfig
from rnnbench.data.series import downloaded, generated, packaged
from rnnbench.data.series.record import Record
from rnnbench.data.series.table.read import read_user_table


def read(data: DataConfig) -> Record:
    """The record that the configuration names, with the columns it asks for."""
    if data.path is not None:
        return read_user_table(data)
    readers: dict[str, Callable[[], Record]] = {
        "glucose": packaged.read_glucose,
        "sea_temperature": packaged.read_sea_temperature,
        "stocks": lambda: packaged.read_stocks(data.column),
        "mackey_glass": generated.read_mackey_glass,
        "lorenz": lambda: generated.read_lorenz(data.column),
        "etth1": lambda: downloaded.read_ett("ETTh1.csv", data.column),
        "etth2": lambda: downloaded.read_ett("ETTh2.csv", data.column),
        "exchange": lambda: downloaded.read_exchange(data.column),
    }
    return readers[str(data.name)]()
