"""What the catalogue knows of a data set. Each room of the data says in its `__init__` what it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rnnbench.data.task import Shape

Kind = Literal["text", "series", "labels", "adding", "memory", "music", "sequences"]


@dataclass(frozen=True)
class Entry:
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
