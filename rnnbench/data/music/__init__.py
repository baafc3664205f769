"""Polyphonic music: which notes sound in the next frame."""

from rnnbench.data.entry import Entry

ENTRIES: tuple[Entry, ...] = ()
