"""Sequences that are drawn on the spot and made to need memory."""

from rnnbench.data.entry import Entry

ENTRIES = (
    Entry(
        "adding",
        "adding",
        "many_to_one",
        "The adding problem: the sum of two marked numbers (Hochreiter & Schmidhuber 1997)",
        "none needed",
        "drawn on the spot",
        "rnnbench.data.memory.adding:AddingData",
    ),
)
