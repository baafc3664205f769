"""What a person must know of how data were read: it is printed by `train` and stands in the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

#: Names that one sentence lists at most.
MOST_NAMES = 200


@dataclass
class ReadingNotes:
    """Sentences in the order in which they came up, none of them an error.

    Args:
        read: What was read, and what was decided: encoding, rows, columns, spacing.
        left_out: What was not read, each with its reason.
        warnings: What looks wrong, or makes a result mean less than it seems to.
    """

    read: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, list[str]]:
        """As JSON has it, what is empty left out."""
        return {name: sentences for name, sentences in vars(self).items() if sentences}


def listed(names: Sequence[str]) -> str:
    """Names in quotes and commas; of very many the first and the last."""
    if len(names) <= MOST_NAMES:
        return ", ".join(map(repr, names))
    return f"{', '.join(map(repr, names[: MOST_NAMES - 1]))} … {names[-1]!r}"
