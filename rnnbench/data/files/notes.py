"""What a person must know of how data were read: it is printed by `train` and stands in the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum


class Rank(IntEnum):
    """How much a warning matters, the most first: scores would mislead, they may, or it is only good to know."""

    MISLEADING = 0
    DOUBTFUL = 1
    MINOR = 2


#: Names that one sentence lists at most.
MOST_NAMES = 200


@dataclass
class ReadingNotes:
    """Sentences about a file, none of them an error.

    Args:
        read: What was read, and what was decided: encoding, rows, columns, spacing.
        left_out: What was not read, each with its reason.
        ranked: What looks wrong, each with its rank; `warn` adds to it.
    """

    read: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    ranked: list[tuple[Rank, str]] = field(default_factory=list)

    def warn(self, sentence: str, rank: Rank = Rank.DOUBTFUL) -> None:
        """Adds a warning."""
        self.ranked.append((rank, sentence))

    @property
    def warnings(self) -> list[str]:
        """What looks wrong, what matters most first."""
        return [sentence for _, sentence in sorted(self.ranked, key=lambda item: item[0])]

    def plain(self) -> dict[str, list[str]]:
        """As JSON has it, what is empty left out."""
        lists = {"read": self.read, "left_out": self.left_out, "warnings": self.warnings}
        return {name: sentences for name, sentences in lists.items() if sentences}

    def extend(self, added: ReadingNotes, label: str) -> None:
        """Adds another file's notes, each with a label before it."""
        self.read += [f"{label}: {sentence}" for sentence in added.read]
        self.left_out += [f"{label}: {sentence}" for sentence in added.left_out]
        self.ranked += [(rank, f"{label}: {sentence}") for rank, sentence in added.ranked]


def plural(count: int, noun: str) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Names in quotes and commas; of very many the first and the last."""
    if len(names) <= MOST_NAMES:
        return ", ".join(map(repr, names))
    return f"{', '.join(map(repr, names[: MOST_NAMES - 1]))} … {names[-1]!r}"
