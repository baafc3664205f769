"""Tables as texts, of the same 60 days, and what is read from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rnnbench.config import DataConfig
from rnnbench.data.series.record import Record
from rnnbench.data.series.table.read import read_user_table

SIZE = 60
V = np.random.default_rng(0).normal(size=SIZE).round(3)
W = (V[::-1] * 7).round(2)
DAYS = pd.date_range("2024-01-01", periods=SIZE)


def rows(*columns: Sequence[Any], header: str | None = "date,v", sep: str = ",", end: str = "\n") -> str:
    """Lines of a table."""
    head = [] if header is None else [header]
    return "".join(f"{line}{end}" for line in [*head, *(sep.join(map(str, row)) for row in zip(*columns, strict=True))])


def dated(form: str, days: pd.DatetimeIndex = DAYS) -> list[str]:
    return [f"{day:{form}}" for day in days]


ISO = dated("%Y-%m-%d")
PLAIN = rows(ISO, V)
ENTITIES = [("DE", day, v) for day, v in zip(ISO, V, strict=True)] + [
    ("FR", day, w) for day, w in zip(ISO, W, strict=True)
]
STACKED = rows(*zip(*ENTITIES, strict=True), header="country,date,v")
BERLIN = pd.date_range("2024-10-25", "2024-10-29", freq="h", tz="Europe/Berlin")
HOURLY = np.sin(np.arange(len(BERLIN)))


def read(path: Path, content: str | bytes, **options: Any) -> Record:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_user_table(DataConfig(path=str(path), name="csv", **options))


def notes_of(record: Record) -> str:
    assert record.notes is not None
    return " | ".join(sentence for sentences in record.notes.plain().values() for sentence in sentences)
