"""The data sets known by name: `data_sets.toml` beside this file has the facts, one table a data set."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rnnbench.errors import unknown

Kind = Literal["text", "series", "labels", "adding", "memory", "music", "sequences"]
#: The five shapes of the tutorial: how many vectors are read, and how many are predicted.
Shape = Literal["one_to_one", "one_to_many", "many_to_one", "many_to_many", "seq2seq"]


@dataclass(frozen=True)
class DataSet:
    """One data set.

    Args:
        name: What `data.name` says.
        kind: text: next-character prediction. series: forecasting. labels: classification. adding, memory: made to
            need memory, numbers or symbols. music: the next frame of notes. sequences: one sequence into another.
            Each kind has a table of its own in a report.
        shape: Of the task, as `Task.shape`.
        summary: One line for people.
        licence: Of the data.
        origin: Where it comes from.
        source: ``module:Class`` of its `Source`, imported when it is loaded.
        seq_len: The length that `data.seq_len` has where it is not given.
        options: Fields of `DataConfig` that it understands, beside those that every data set does.
        period: Seasonal period in time steps, for the seasonal-naive reference; None where there is none.
        package: Importable name of the Python package that holds it; None where none is needed.
        install: What pip installs to have it, where that is not the package's name with hyphens.
        files: Names of the files to download (`rnnbench.data.download.files`).
    """

    name: str
    kind: Kind
    shape: Shape
    summary: str
    licence: str
    origin: str
    source: str
    seq_len: int = 64
    options: tuple[str, ...] = ()
    period: int | None = None
    package: str | None = None
    install: str | None = None
    files: tuple[str, ...] = ()

    def understands(self, option: str) -> bool:
        """Whether a field of `DataConfig` means anything to it."""
        return option in ("name", "seq_len", "batch_size", *self.options)


def _read() -> dict[str, DataSet]:
    tables: dict[str, dict[str, Any]] = tomllib.loads((Path(__file__).parent / "data_sets.toml").read_text("utf-8"))
    lists = {name: {key: tuple(v) for key, v in table.items() if isinstance(v, list)} for name, table in tables.items()}
    return {name: DataSet(name, **{**table, **lists[name]}) for name, table in tables.items()}


#: By name, in the order in which they are listed.
DATA_SETS = _read()


def data_set(name: str) -> DataSet:
    """The data set of that name; raises `UserError` with the closest known name where there is none."""
    if name not in DATA_SETS:
        raise unknown("data set", name, DATA_SETS)
    return DATA_SETS[name]
