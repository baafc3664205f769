"""A user's file or folder: its bytes, decompressed, and what it is where it holds no text."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from rnnbench.errors import UserError

#: How the files of a kind begin, what they are, and how their text is to be had.
_BEGINNINGS = (
    (b"%PDF-", "a PDF document", "save its text as a plain text file"),
    (b"{\\rtf", "an RTF document", "save it as a plain text file"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document", "save it as a plain text file, or a table as CSV"),
    (b"PAR1\x15", "a Parquet table", 'read it with data.name "csv"'),
    (b"\x89PNG", "a picture (PNG)", ""),
    (b"\xff\xd8\xff", "a picture (JPEG)", ""),
    (b"GIF89a", "a picture (GIF)", ""),
    (b"II*\0", "a picture (TIFF)", ""),
    (b"MM\0*", "a picture (TIFF)", ""),
    (b"\x7fELF", "a program", ""),
    (b"SQLite format 3\0", "an SQLite database", "export its text"),
    (b"\x93NUMPY", "a NumPy array", ""),
    (b"\x89HDF", "an HDF5 file", ""),
    (b"\x1f\x8b", "a gzip file inside an archive", "unpack it"),
    (b"\xfd7zXZ\0", "an xz file inside an archive", "unpack it"),
    (b"\x28\xb5\x2f\xfd", "a zstandard file inside an archive", "unpack it"),
    (b"PK\x03\x04", "a zip archive inside an archive", "unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it"),
)
#: A file in a zip archive that makes the whole a document, what it is, and how its text is to be had.
_DOCUMENTS = (
    ("xl/workbook.xml", "an Excel workbook", 'read it with data.name "csv"'),
    ("word/document.xml", "a Word document", "save it as a plain text file"),
    ("ppt/presentation.xml", "a PowerPoint document", "save it as a plain text file"),
    ("META-INF/container.xml", "an EPUB book", "save it as a plain text file"),
    ("META-INF/manifest.xml", "an OpenDocument file", "save it as a plain text file, or a table as CSV"),
    ("META-INF/MANIFEST.MF", "a Java archive", ""),
)
#: Bytes that a file may have once it is decompressed: more is a slip of the keyboard, or made to fill the memory.
LARGEST = 4_000_000_000
#: A compressed file's first bytes, and what it is then.
MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}
_PIECE = 1 << 24


@contextmanager
def named_by(option: str) -> Iterator[None]:
    """Errors about ``data.path`` are about another option inside, ``data.val_path`` say."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace("data.path", option, 1)) from None


def kind(data: bytes) -> tuple[str, str] | None:
    """What a file is that is surely no text, and how its text is to be had ("" where it has none); None for others."""
    if document := _zipped_document(data):
        return document
    if data[257:262] == b"ustar":
        return "a tar archive", "unpack it and name the folder"
    return next(((what, advice) for beginning, what, advice in _BEGINNINGS if data.startswith(beginning)), None)


def is_workbook(data: bytes) -> bool:
    """Whether the bytes are an Excel workbook (.xlsx), which is a zip archive too."""
    document = _zipped_document(data)
    return document is not None and document[0] == "an Excel workbook"


def _zipped_document(data: bytes) -> tuple[str, str] | None:
    """As `kind`, of a document that is a zip archive inside (Word, Excel, EPUB); None for other archives."""
    try:
        names = set(zipfile.ZipFile(io.BytesIO(data)).namelist()) if data.startswith(b"PK") else ()
    except (zipfile.BadZipFile, ValueError, OSError):
        return None
    return next(((what, advice) for name, what, advice in _DOCUMENTS if name in names), None)


@dataclass(frozen=True)
class Content:
    """A file's content, decompressed."""

    data: bytes
    compression: str | None = None  # gzip, bzip2, xz, zstandard or zip; None where it was not compressed
    member: str | None = None  # name of the file inside a zip archive


def read_content(path: str) -> Content:
    """The content of a regular file that is not empty, decompressed by what its first bytes say it is.

    Raises:
        UserError: It cannot be read, is empty, is damaged, holds too much, or is an archive of several files.
    """
    names, contents = read_members(path)
    if len(names) != 1:
        raise UserError(
            f"data.path {path!r} is a zip archive of {len(names)} files ({', '.join(map(repr, names[:5]))}); unpack it "
            "and name one of them."
        )
    (content,) = contents
    if not content.data or content.data.isspace():
        raise UserError(f"data.path {path!r} is empty; name a file with content.")
    return content


def read_members(path: str) -> tuple[list[str], Iterator[Content]]:
    """The names of the files that a regular file holds (several in a zip archive), and their contents in natural order.

    They may be empty. What macOS adds to an archive (``__MACOSX/``) is not one of the user's files and is left out.

    Raises:
        UserError: It cannot be read, is damaged, or holds too much.
    """
    data = _bytes(path)
    compression = _compression(data)
    names = [item.filename for item in _members(path, data)[1]] if compression == "zip" else [path]
    return names, _contents(path, data, compression)


def _compression(data: bytes) -> str | None:
    compression = next((name for magic, name in MAGIC.items() if data.startswith(magic)), None)
    if compression == "bzip2" and not data[3:4].isdigit():  # a text may well begin so
        return None
    return None if compression == "zip" and _zipped_document(data) else compression


def _bytes(path: str) -> bytes:
    try:
        file = Path(path).expanduser()
        mode = file.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
            raise UserError(f"data.path {path!r} is {what}; name one file.")
        return file.read_bytes()
    except FileNotFoundError:
        raise UserError(f"data.path {path!r} does not exist; name a file that does.") from None
    except PermissionError:
        raise UserError(f"data.path {path!r} may not be read (permission denied); change its mode.") from None
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"data.path {path!r} cannot be read ({reason}); name another file.") from None


def _contents(path: str, data: bytes, compression: str | None) -> Iterator[Content]:
    if compression is None:
        yield Content(data)
    elif compression == "zip":
        archive, members = _members(path, data)
        for item in members:
            try:
                stream = archive.open(item)
            except (NotImplementedError, zipfile.BadZipFile) as error:
                raise UserError(f"data.path {path!r} cannot be unpacked ({error}); unpack it yourself.") from None
            yield Content(_decompressed(path, stream, "zip"), "zip", item.filename)
    else:
        yield Content(_decompressed(path, _opened(compression, data), compression), compression)


def _members(path: str, data: bytes) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
    """The archive, and its files but those that macOS adds."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise UserError(f"data.path {path!r} is a damaged zip archive ({error}); make it again.") from None
    members = [item for item in archive.infolist() if not item.is_dir() and not item.filename.startswith("__MACOSX/")]
    if any(item.flag_bits & 1 for item in members):
        raise UserError(f"data.path {path!r} is a zip archive with a password; unpack it.")
    return archive, sorted(members, key=lambda item: natural(item.filename))


def _opened(compression: str, data: bytes) -> IO[bytes]:
    import zstandard

    stream = io.BytesIO(data)
    match compression:
        case "gzip":
            return cast(IO[bytes], gzip.GzipFile(fileobj=stream))
        case "bzip2":
            return bz2.BZ2File(stream)
        case "xz":
            return lzma.LZMAFile(stream)
        case _:
            return zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)


def _decompressed(path: str, stream: IO[bytes], compression: str) -> bytes:
    import zstandard

    content = io.BytesIO()
    try:
        while piece := stream.read(_PIECE):
            content.write(piece)
            if content.tell() > LARGEST:
                raise UserError(f"data.path {path!r} has more than {LARGEST:,} bytes in it; name a smaller file.")
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, zstandard.ZstdError) as error:
        raise UserError(f"data.path {path!r} is {compression} and damaged ({error}); copy or make it again.") from None
    return content.getvalue()


def natural(name: str) -> tuple[list[list[str | int]], str]:
    """A key that sorts paths by their folders, numbers in names by their value, and letters of either case alike."""
    parts: list[list[str | int]] = [
        [int(word) if at % 2 else word for at, word in enumerate(re.split(r"(\d+)", part.casefold()))]
        for part in name.replace(os.sep, "/").split("/")
    ]
    return parts, name


def files_in(folder: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Paths below a folder of its files at any depth, in natural order; and those left out, by the reason.

    Left out are what is hidden (its name begins with a dot), links to folders, broken links, second names of a file
    that is listed already, and what is no regular file.

    Raises:
        UserError: A folder in it cannot be listed.
    """
    names: list[str] = []
    left_out: dict[str, list[str]] = {}

    def refuse(error: OSError) -> None:
        raise UserError(f"data.path {error.filename!r} cannot be listed ({error.strerror}); move it elsewhere.")

    for place, folders, files in os.walk(folder, onerror=refuse):
        below = os.path.relpath(place, folder)
        for name in (*folders, *files):
            path = name if below == "." else os.path.join(below, name)
            if name.startswith("."):
                left_out.setdefault("hidden", []).append(path)
            elif name in files:
                names.append(path)
            elif (Path(place) / name).is_symlink():
                left_out.setdefault("a link to a folder", []).append(path)
        folders[:] = [name for name in folders if not name.startswith(".")]
    kept: dict[tuple[int, int] | str, str] = {}
    for name in sorted(names, key=lambda name: (folder.joinpath(name).is_symlink(), natural(name))):
        try:
            status = (folder / name).stat()
        except OSError as error:
            left_out.setdefault(f"not to be reached ({error.strerror})", []).append(name)
            continue
        inode = (status.st_dev, status.st_ino) if status.st_ino else name
        if not stat.S_ISREG(status.st_mode):
            left_out.setdefault("not a regular file", []).append(name)
        elif inode in kept:
            left_out.setdefault(f"another name of {kept[inode]!r}", []).append(name)
        else:
            kept[inode] = name
    for paths in left_out.values():
        paths.sort(key=natural)
    return sorted(kept.values(), key=natural), left_out
