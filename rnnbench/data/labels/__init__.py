"""Classification: of whole sequences, and of every frame."""

from rnnbench.data.entry import Entry

ENTRIES: tuple[Entry, ...] = ()
