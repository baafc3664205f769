"""Where texts come from: packages, downloads, files and folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from rnnbench.cache import cached_bytes
from rnnbench.config import DataConfig
from rnnbench.data.download import fetch, member
from rnnbench.data.own_file import decoded, read_file
from rnnbench.data.text.verses import verses
from rnnbench.errors import UserError

KJV_SHA256 = "f76c523f3b3332ecb3fb83ae6286e077e2f68c9b0ba4e07afa353543de5418df"

#: Bytes of text8 and of enwik8.
WIKIPEDIA = 100_000_000
#: Bytes that the files of a folder may have together: more is a slip of the keyboard.
LARGEST_FOLDER = 1_000_000_000


def read(data: DataConfig) -> str | bytes:
    """The text that a configuration names: characters, or bytes where it has no others."""
    match data.name:
        case "kjv":
            return read_kjv()
        case "tinyshakespeare":
            return fetch("tinyshakespeare.txt").read_bytes().decode()
        case "text8":
            return member(fetch("text8.zip"), "text8", WIKIPEDIA).decode("ascii")
        case "enwik8":
            return member(fetch("enwik8.zip"), "enwik8", WIKIPEDIA)
        case _:
            return read_text(str(data.path))


def read_kjv() -> str:
    """The King James Bible: a verse a line, editors' brackets removed, ASCII; 4,138,811 characters, 63 distinct."""
    return cached_bytes("kjv.txt", KJV_SHA256, _make_kjv).decode("ascii")


def _make_kjv() -> bytes:
    return "".join(f"{verse}\n" for verse in verses("kjv").values()).encode()


def read_text(path: str) -> str:
    """A UTF-8 file, character for character as it is (line ends too), or all those of a folder, one after the other.

    Of a folder: every file in it and in its folders, in the order of their paths. Left out are what is hidden (its
    name, or its folder's, begins with a dot), links to folders, and binary files (those with a zero byte). A file
    that does not end in a line end is given one.

    Raises:
        UserError: It cannot be read, is not UTF-8, is empty, or is a folder with too much in it.
    """
    try:
        if not Path(path).expanduser().is_dir():
            return decoded(path, read_file(path))
    except (OSError, ValueError, RuntimeError):
        return decoded(path, read_file(path))  # which says what is wrong
    pieces, size = [], 0
    for file in _files(Path(path).expanduser()):
        try:
            data = file.read_bytes()
        except OSError as error:
            raise UserError(f"{str(file)!r} cannot be read ({error.strerror}); move it out of data.path.") from None
        size += len(data)
        if size > LARGEST_FOLDER:
            raise UserError(f"data.path {path!r} has more than {LARGEST_FOLDER:,} bytes in it; name a smaller folder.")
        if b"\0" not in data:
            text = decoded(str(file), data)
            pieces.append(text if text.endswith("\n") or not text else text + "\n")
    whole = "".join(pieces)
    if not whole.strip():
        raise UserError(f"data.path {path!r} is a folder without text in it; name one that has UTF-8 files.")
    return whole


def _files(folder: Path) -> Iterator[Path]:
    """Its regular files at any depth but the hidden ones, sorted by path."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return (file for file in sorted(found) if file.is_file())
