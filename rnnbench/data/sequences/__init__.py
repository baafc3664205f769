"""One sequence into another, written by a decoder."""

from rnnbench.data.entry import Entry

ENTRIES: tuple[Entry, ...] = ()
