"""Where texts come from: packages, downloads, files and folders."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable
from pathlib import Path

from rnnbench.config import DataConfig
from rnnbench.data.download import fetch, member
from rnnbench.data.files.content import Content, read_members
from rnnbench.data.files.encoding import FEW_IN_UTF8, Encoding, NotText, binary, control_share, decoded
from rnnbench.data.files.folder import files_in
from rnnbench.data.files.notes import ReadingNotes, listed
from rnnbench.data.text.checks import look_at
from rnnbench.data.text.pieces import Pieces
from rnnbench.data.text.verses import verses
from rnnbench.errors import UserError
from rnnbench.system.cache import cached_bytes

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
    return cached_bytes("kjv.txt", KJV_SHA256, _make_kjv).decode("ascii")


def _make_kjv() -> bytes:
    return "".join(f"{verse}\n" for verse in verses("kjv").values()).encode()


def read_text(path: str, encoding: str | None = None, notes: ReadingNotes | None = None) -> Pieces:
    """A file, character for character as it is (line ends too), or all those of a folder, one after the other.

    Of a folder (or a zip archive of several files): every file at any depth that is text in any encoding, in natural
    order. What is left out, and why, stands in the notes. A file that does not end in a line end is given one there.

    Args:
        path: The file or folder; files may be compressed.
        encoding: Of all files; each one's own is found out where None.
        notes: Where to say what was read, and how.

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
        count, contents = read_members(path)
        if count == 1:
            (content,) = contents  # to its end, so that it lets the bytes go
            text = _alone(path, content, encoding, notes)
            del content
        else:
            text = _joined(path, "zip archive", (("", content) for content in contents), {}, encoding, notes)
    look_at(path, text, notes)
    return text


def _alone(path: str, content: Content, encoding: str | None, notes: ReadingNotes) -> Pieces:
    pieces, detected = decoded(path, content.data, encoding)
    if all(piece.isspace() or not piece for piece in pieces):
        raise UserError(f"data.path {path!r} is empty; name a file with content.")
    packed = f"; decompressed ({content.compression})" if content.compression else ""
    notes.read.append(f"{path!r} is in {detected.name} ({detected.certainty}){packed}")
    _doubt([path], detected, pieces, notes)
    return Pieces(pieces)


def _joined(
    path: str,
    what: str,
    members: Iterable[tuple[str, Content]],
    left_out: dict[str, list[str]],
    encoding: str | None,
    notes: ReadingNotes,
) -> Pieces:
    """The texts among files, each ended by a line end."""
    pieces: list[str] = []
    size = 0
    by_encoding: dict[str, list[tuple[str, Encoding, list[str]]]] = {}
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
        pieces += some
        if pieces and not pieces[-1].endswith("\n"):
            pieces.append("\n")
    count = sum(map(len, by_encoding.values()))
    notes.left_out += [f"{listed(names)}: {reason}" for reason, names in left_out.items()]
    text = Pieces(pieces)
    if all(piece.isspace() for piece in text):
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


def _doubt(names: list[str], encoding: Encoding, pieces: list[str], notes: ReadingNotes) -> None:
    """Say how texts read that are in an encoding which is not certain; ``encoding`` and ``pieces`` are the first's."""
    if not encoding.certainty.startswith(("likely", "a guess")):
        return
    beyond_ascii = (word for piece in pieces for word in re.findall(r"\w*[^\W\x00-\x7f]\w*", piece))
    words = list(dict.fromkeys(itertools.islice(beyond_ascii, 20)))
    sentence = (
        f"{listed(names)} in {encoding.name} ({encoding.certainty}) has words such as {listed(words[:3])}; if they are "
        "wrong, name the encoding with data.encoding"
    )
    (notes.warn if encoding.certainty.startswith("a guess") else notes.read.append)(sentence)
