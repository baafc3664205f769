"""Sequences that are drawn on the spot and made to need memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnbench.data.entry import Entry, Kind

if TYPE_CHECKING:
    from rnnbench.data.task import Shape


def _drawn(
    name: str,
    source: str,
    shape: Shape,
    summary: str,
    kind: Kind = "memory",
    seq_len: int = 64,
    options: tuple[str, ...] = ("items",),
) -> Entry:
    """An entry of this room: nobody's data, from nowhere."""
    place = f"rnnbench.data.memory.{name}:{source}"
    return Entry(name, kind, shape, summary, "none needed", "drawn on the spot", place, seq_len, options)


ENTRIES = (
    _drawn(
        "adding",
        "AddingData",
        "many_to_one",
        "The adding problem: the sum of two marked numbers (Hochreiter & Schmidhuber 1997)",
        kind="adding",
        options=(),
    ),
    _drawn(
        "copy",
        "CopyData",
        "many_to_many",
        "Ten symbols, T blanks, then the ten symbols again (Hochreiter & Schmidhuber 1997)",
        seq_len=50,
    ),
    _drawn(
        "selective_copy",
        "SelectiveCopyData",
        "many_to_many",
        "Symbols scattered among blanks, to be repeated in order (Jing et al. 2019; Gu & Dao 2023)",
    ),
    _drawn(
        "associative_recall",
        "AssociativeRecallData",
        "many_to_many",
        "Multi-query associative recall: pairs of key and value, then keys alone (Arora et al. 2023)",
        seq_len=32,
    ),
    _drawn(
        "parity",
        "ParityData",
        "many_to_one",
        "Whether the number of ones is odd (Delétang et al. 2022)",
        seq_len=32,
        options=(),
    ),
    _drawn(
        "modular_arithmetic",
        "ModularArithmeticData",
        "many_to_one",
        "The value, modulo 5, of a sum of products without brackets (Delétang et al. 2022)",
        seq_len=15,
    ),
    _drawn(
        "dyck",
        "DyckData",
        "many_to_many",
        "Which of four brackets has to be closed next, nested up to four deep (Hewitt et al. 2020)",
    ),
)
