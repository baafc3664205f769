"""Reading archives that others packed: into memory, one named member, within a limit; nothing is ever unpacked to disk.

What unpacks to more than the limit is refused when it passes it, whatever the archive's own headers say, and a zip with
a member called ``../../somewhere`` is refused as a whole.
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from pathlib import Path
from typing import Protocol

from rnnbench.errors import UserError


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


def member(path: Path, name: str, limit: int) -> bytes:
    """The content of one file inside a zip.

    Args:
        path: The archive.
        name: The member's full name in it.
        limit: Bytes that it may have at most.

    Raises:
        UserError: The archive is damaged or locked with a password, some member's name points outside, or there is no
            such member, or a larger one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            for other in names:
                if other.startswith(("/", "\\")) or ".." in other.replace("\\", "/").split("/"):
                    raise UserError(f"{path} has a member {other!r}, which points outside; do not use this archive.")
            if name not in names:
                raise UserError(f"{path} has no member {name!r}; it has {', '.join(map(repr, names[:5]))}.")
            with archive.open(name) as file:
                return _bounded(file, path, limit)
    except _DAMAGED as error:
        raise _damaged(path, error) from None


def gunzipped(path: Path, limit: int) -> bytes:
    """The content of a .gz file of at most ``limit`` bytes unpacked; raises `UserError` as `member` does."""
    try:
        with gzip.open(path) as file:
            return _bounded(file, path, limit)
    except _DAMAGED as error:
        raise _damaged(path, error) from None


def _bounded(file: _Readable, path: Path, limit: int) -> bytes:
    data = file.read(limit + 1)
    if len(data) > limit:
        raise UserError(f"{path} unpacks to more than the {limit:,} bytes expected; it is not what it should be.")
    return data


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is a damaged archive ({error}); delete it and it is downloaded again.")
