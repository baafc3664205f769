"""Files of the user's: their bytes, their encoding, and what a person must know of how they were read.

These notes are printed by `train` and are in the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

#: Names that one sentence lists at most.
MOST_NAMES = 200


@dataclass
class ReadingNotes:
    """Sentences about a file, none of them an error."""

    read: list[str] = field(default_factory=list)  # what was read and decided: encoding, rows, columns, spacing
    left_out: list[str] = field(default_factory=list)  # what was not read, each with its reason
    misleading: list[str] = field(default_factory=list)  # what looks wrong so that scores would mislead
    doubtful: list[str] = field(default_factory=list)  # what else looks wrong

    def warn(self, sentence: str, misleading: bool = False) -> None:
        """Adds a warning."""
        (self.misleading if misleading else self.doubtful).append(sentence)

    @property
    def warnings(self) -> list[str]:
        """What looks wrong, what matters most first."""
        return self.misleading + self.doubtful

    def plain(self) -> dict[str, list[str]]:
        """As JSON has it, what is empty left out."""
        lists = {"read": self.read, "left_out": self.left_out, "warnings": self.warnings}
        return {name: sentences for name, sentences in lists.items() if sentences}

    def extend(self, added: ReadingNotes, label: str) -> None:
        """Adds another file's notes, each with a label before it."""
        for name in ("read", "left_out", "misleading", "doubtful"):
            getattr(self, name).extend(f"{label}: {sentence}" for sentence in getattr(added, name))


def plural(count: int, noun: str) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Names in quotes and commas; of very many the first and the last."""
    if len(names) <= MOST_NAMES:
        return ", ".join(map(repr, names))
    return f"{', '.join(map(repr, names[: MOST_NAMES - 1]))} … {names[-1]!r}"
