"""The Bible verse by verse, in two translations."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal

from rnnbench.data.source import Part
from rnnbench.errors import UserError

Translation = Literal["kjv", "web"]

#: Books that validate and test where a split goes by book (Ruth, Lamentations, Acts, Revelation; Esther, Ecclesiastes,
#: Daniel, John): ones that repeat little of the others word for word, as Matthew, Mark and Luke do of each other.
VAL_BOOKS, TEST_BOOKS = (8, 25, 44, 66), (17, 21, 27, 43)

#: Editors' brackets go, the rest becomes ASCII; the World English Bible writes its apostrophes as backticks.
_CLEANED = str.maketrans({"[": "", "]": "", "’": "'", "`": "'", "æ": "ae", "Æ": "Ae", "—": "-"})


def verses(translation: Translation) -> dict[int, str]:
    """Verses in the order of the books, by a number that reads BBCCCVVV: book, chapter, verse (John 11:35 is 43011035).

    ASCII, editors' brackets removed, every run of white space one space. The two translations number 31,099 verses
    alike; Romans 16:25-27 (kjv) is 14:24-26 in the other.

    Args:
        translation: kjv, the King James Version, or web, the World English Bible; 31,102 verses each.

    Raises:
        UserError: The package that holds it is not installed.
    """
    bible = _package(translation).bible
    text, starts, ends = bible.scripture_content, bible.verse_start_indices, bible.verse_end_indices
    return {key: " ".join(text[starts[key] : ends[key]].translate(_CLEANED).split()) for key in starts}


def book(verse: int) -> int:
    """The book, 1 (Genesis) … 66 (Revelation), of a verse's number."""
    return verse // 1_000_000


def titles() -> list[str]:
    """The books' names, Genesis first."""
    books = _package("kjv").Book
    return [books(number).title for number in range(1, 67)]


def part_by_book(verse: int) -> Part:
    """The part that a verse belongs to where a split goes by book; train has 89 %."""
    return "val" if book(verse) in VAL_BOOKS else "test" if book(verse) in TEST_BOOKS else "train"


def _package(translation: Translation) -> Any:
    try:
        return import_module(f"pythonbible_{translation}.plain_text_readers_bible")
    except ImportError:
        raise UserError(f"verses of {translation!r} need a package: pip install pythonbible-{translation}") from None
