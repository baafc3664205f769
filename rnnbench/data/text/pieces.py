"""A long text as consecutive strings."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator

#: Characters handled at once, so that a text of 10⁸ needs no copy in which each takes four bytes or eight.
CHUNK = 1 << 20


class Pieces:
    """A text that no one string holds: each takes as many bytes a character as its own widest needs, not the text's.

    Parts of it share its strings.

    Args:
        strings: The text, one after the other.
    """

    def __init__(self, strings: Iterable[str]) -> None:
        self._strings = tuple(filter(None, strings))
        self._begins = [0, *itertools.accumulate(map(len, self._strings))]

    def __len__(self) -> int:
        return self._begins[-1]

    def __iter__(self) -> Iterator[str]:
        """Consecutive strings of about CHUNK characters, none empty."""
        some: list[str] = []
        size = 0
        for string in self._strings:
            for start in range(0, len(string), CHUNK):
                some.append(string[start : start + CHUNK])
                size += len(some[-1])
                if size >= CHUNK:
                    yield "".join(some)
                    some, size = [], 0
        if some:
            yield "".join(some)

    def __str__(self) -> str:
        return "".join(self._strings)

    @classmethod
    def joined(cls, texts: Iterable[Pieces]) -> Pieces:
        """Texts one after the other; they share their strings."""
        return cls(string for text in texts for string in text._strings)

    def part(self, start: int, stop: int) -> Pieces:
        """The characters from ``start`` up to ``stop``, both within the text."""
        first = bisect.bisect_right(self._begins, start) - 1
        strings = []
        for begin, string in zip(self._begins[first:], self._strings[first:], strict=False):
            if begin >= stop:
                break
            strings.append(string[max(0, start - begin) : stop - begin])
        return Pieces(strings)

    def encode(self) -> bytes:
        """Its UTF-8."""
        return b"".join(map(str.encode, self))
