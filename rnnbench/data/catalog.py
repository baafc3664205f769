"""The data sets known by name, room by room. Imports nothing heavy."""

from __future__ import annotations

from rnnbench.data import labels, memory, music, sequences, series, text
from rnnbench.data.entry import Entry
from rnnbench.errors import unknown

#: By name, in the order in which they are listed.
DATASETS: dict[str, Entry] = {
    item.name: item for room in (text, series, labels, memory, sequences, music) for item in room.ENTRIES
}


def entry(name: str) -> Entry:
    """The data set of that name; raises `UserError` with the closest known name where there is none."""
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    return DATASETS[name]
