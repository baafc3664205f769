"""Reading archives that others packed: into memory, one named member, within a limit; nothing is unpacked to disk.

What unpacks to more than the limit is refused when it passes it, whatever the archive's own headers say, and a zip with
a member called ``../../somewhere`` is refused as a whole. Either is a `UserError`, as is a damaged archive.
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rnnbench.errors import UserError


def member(path: Path, name: str, limit: int) -> bytes:
    """The content, of at most ``limit`` bytes, of one file inside a zip, by its full name in it."""
    with _damage_told(path), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        for inside in names:
            if inside.startswith(("/", "\\")) or ".." in inside.replace("\\", "/").split("/"):
                raise UserError(f"{path} has a member {inside!r}, which points outside; do not use this archive.")
        if name not in names:
            raise UserError(f"{path} has no member {name!r}; it has {', '.join(map(repr, names[:5]))}.")
        with archive.open(name) as file:
            return _bounded(file, path, limit)


def gunzipped(path: Path, limit: int) -> bytes:
    """The content of a .gz file of at most ``limit`` bytes unpacked."""
    with _damage_told(path), gzip.open(path) as file:
        return _bounded(file, path, limit)


def _bounded(file: IO[bytes] | gzip.GzipFile, path: Path, limit: int) -> bytes:
    data = file.read(limit + 1)
    if len(data) > limit:
        raise UserError(f"{path} unpacks to more than the {limit:,} bytes expected; it is not what it should be.")
    return data


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is a damaged archive ({error}); delete it and it is downloaded again.") from None
