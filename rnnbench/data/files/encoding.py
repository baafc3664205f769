"""Which encoding a text is in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Encoding:
    """How bytes are to be read as characters.

    Args:
        name: Of Python's codec; one that takes a byte-order mark away where there is one.
        certainty: In words, for a person.
    """

    name: str
    certainty: str


def detect(path: str, data: bytes, encoding: str | None = None) -> Encoding:
    """The encoding of a file's content."""
    return Encoding(encoding or "utf-8-sig", "certain")
