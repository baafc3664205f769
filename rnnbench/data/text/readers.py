"""Where texts come from: packages (the Bible, verse by verse), downloads, files and folders."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from rnnbench.config import DataConfig
from rnnbench.data.download import fetch, member
from rnnbench.data.files import ReadingNotes, listed
from rnnbench.data.files.content import Content, files_in, read_members
from rnnbench.data.files.encoding import FEW_IN_UTF8, Encoding, NotText, binary, control_share, decoded
from rnnbench.data.source import Part
from rnnbench.data.text.checks import look_at
from rnnbench.errors import UserError
from rnnbench.system.cache import cached_bytes

Translation = Literal["kjv", "web"]

#: Books that validate and test where a split goes by book (Ruth, Lamentations, Acts, Revelation; Esther, Ecclesiastes,
#: Daniel, John): ones that repeat little of the others word for word, as Matthew, Mark and Luke do of each other.
VAL_BOOKS, TEST_BOOKS = (8, 25, 44, 66), (17, 21, 27, 43)

#: Editors' brackets go, the rest becomes ASCII; the World English Bible writes its apostrophes as backticks.
_CLEANED = str.maketrans({"[": "", "]": "", "’": "'", "`": "'", "æ": "ae", "Æ": "Ae", "—": "-"})

#: Of the text that `read_kjv` gives.
KJV_SHA256 = "f76c523f3b3332ecb3fb83ae6286e077e2f68c9b0ba4e07afa353543de5418df"

#: Bytes of text8 and of enwik8.
WIKIPEDIA = 100_000_000
#: Bytes that the files of a folder (or a zip archive) may have together: more is a slip of the keyboard.
LARGEST_FOLDER = 1_000_000_000


def read(data: DataConfig) -> str | bytes:
    """The text of the catalogue that a configuration names: characters, or bytes where it has no others."""
    match data.name:
        case "kjv":
            return read_kjv()
        case "tinyshakespeare":
            return fetch("tinyshakespeare.txt").read_bytes().decode()
        case "text8":
            return member(fetch("text8.zip"), "text8", WIKIPEDIA).decode("ascii")
        case _:
            return member(fetch("enwik8.zip"), "enwik8", WIKIPEDIA)


def read_kjv() -> str:
    """The King James Bible: a verse a line, editors' brackets removed, ASCII; 4,138,811 characters, 63 distinct."""

    def make() -> bytes:
        return "".join(f"{verse}\n" for verse in verses("kjv").values()).encode()

    return cached_bytes("kjv.txt", KJV_SHA256, make).decode("ascii")


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


def read_text(path: str, encoding: str | None = None, notes: ReadingNotes | None = None) -> str:
    """A file, character for character as it is (line ends too), or all those of a folder, one after the other.

    Of a folder (or a zip archive of several files): every file at any depth that is text in any encoding, in natural
    order. What is left out, and why, is in the notes. A file that does not end in a line end is given one there.

    Args:
        path: The file or folder; files may be compressed.
        encoding: Of all files; each one's own is detected where None.
        notes: What was read, and how, is added to them.

    Raises:
        UserError: It cannot be read, is no text, has no recognised encoding, is empty, or is a folder with too much in
            it.
    """
    notes = ReadingNotes() if notes is None else notes
    try:
        folder = Path(path).expanduser()
        is_folder = folder.is_dir()
    except (OSError, ValueError, RuntimeError):
        is_folder = False  # reading it as a file says what is wrong
    if is_folder:
        names, left_out = files_in(folder)
        members = ((name, content) for name in names for content in read_members(str(folder / name))[1])
        text = _joined(path, "folder", members, left_out, encoding, notes)
    else:
        held, contents = read_members(path)
        if len(held) == 1:
            (content,) = contents  # to its end, so that it lets the bytes go
            text = _alone(path, content, encoding, notes)
            del content
        else:
            text = _joined(path, "zip archive", (("", content) for content in contents), {}, encoding, notes)
    look_at(path, text, notes)
    return text


def _alone(path: str, content: Content, encoding: str | None, notes: ReadingNotes) -> str:
    text, detected = decoded(path, content.data, encoding)
    if not text or text.isspace():
        raise UserError(f"data.path {path!r} is empty; name a file with content.")
    packed = f"; decompressed ({content.compression})" if content.compression else ""
    notes.read.append(f"{path!r} is in {detected.name} ({detected.certainty}){packed}")
    _doubt([path], detected, text, notes)
    return text


def _joined(
    path: str,
    what: str,
    members: Iterable[tuple[str, Content]],
    left_out: dict[str, list[str]],
    encoding: str | None,
    notes: ReadingNotes,
) -> str:
    """The texts among files, each ended by a line end."""
    texts: list[str] = []
    size = 0
    by_encoding: dict[str, list[tuple[str, Encoding, str]]] = {}
    packed: dict[str, list[str]] = {}
    by_content: dict[bytes, list[str]] = {}
    for file, content in members:
        name = "/".join(filter(None, (file, content.member)))
        size += len(content.data)
        if size > LARGEST_FOLDER:
            raise UserError(f"data.path {path!r} has more than {LARGEST_FOLDER:,} bytes in it; name a smaller folder.")
        try:
            if (reason := _no_text(name, content.data, encoding)) is not None:
                left_out.setdefault(reason, []).append(name)
                continue
            some, detected = decoded(f"{path}/{name}", content.data, encoding)
        except NotText as error:
            left_out.setdefault(error.what, []).append(name)
            continue
        how = f"{detected.name} ({detected.certainty.partition(':')[0]})"
        by_encoding.setdefault(how, []).append((name, detected, some))
        if content.compression:
            packed.setdefault(content.compression, []).append(name)
        by_content.setdefault(hashlib.sha256(content.data).digest(), []).append(name)
        texts += [some] if some.endswith("\n") else [some, "\n"]
    count = sum(map(len, by_encoding.values()))
    notes.left_out += [f"{listed(names)}: {reason}" for reason, names in left_out.items()]
    text = "".join(texts)
    if not text or text.isspace():
        without = f" ({'; '.join(notes.left_out)[:300]})" if notes.left_out else ""
        raise UserError(f"data.path {path!r} is a {what} without text in it{without}; name one that has text files.")
    files = "1 file" if count == 1 else f"{count:,} files"
    notes.read.append(f"{path!r} is a {what}: {files} read one after the other, in natural order")
    for how, read_so in by_encoding.items():
        names = [name for name, *_ in read_so]
        notes.read.append(f"in {how}: {listed(names)}")
        _doubt(names, *read_so[0][1:], notes)
    notes.read += [f"decompressed ({kind}): {listed(names)}" for kind, names in packed.items()]
    for names in by_content.values():
        if len(names) > 1:
            notes.warn(
                f"{listed(names)} have the same content, which is read {len(names)} times; take all but one out of "
                f"{path!r}"
            )
    return text


def _no_text(name: str, data: bytes, encoding: str | None) -> str | None:
    """Why one file among many is left out, before it is decoded; None where it is not."""
    if any(part.startswith(".") for part in name.removeprefix("./").split("/")):
        return "hidden"
    if not data:
        return "empty"
    if encoding is not None and not encoding.lower().startswith(("utf-16", "utf_16", "utf-32", "utf_32")):
        controls = control_share(data)  # an encoding that is named reads everything
        return binary(controls) if controls > FEW_IN_UTF8 else None
    return None


def _doubt(names: list[str], encoding: Encoding, text: str, notes: ReadingNotes) -> None:
    """Say how texts read that are in an encoding which is not certain; ``encoding`` and ``text`` are the first's."""
    if not encoding.certainty.startswith(("likely", "a guess")):
        return
    matches = itertools.islice(re.finditer(r"\w*[^\W\x00-\x7f]\w*", text), 20)
    words = list(dict.fromkeys(match.group() for match in matches))
    sentence = (
        f"{listed(names)} in {encoding.name} ({encoding.certainty}) has words such as {listed(words[:3])}; if they are "
        "wrong, name the encoding with data.encoding"
    )
    (notes.warn if encoding.certainty.startswith("a guess") else notes.read.append)(sentence)
