"""Derived data that is slow to make, kept in a folder between runs; never needed, only faster.

Several processes may write the same entry at once: each writes its own temporary file and renames it into place.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rnnbench.errors import UserError


def folder() -> Path:
    """Where to write: ``$RNNBENCH_DATA`` where it can be written, else the user's own cache; it may not exist yet.

    The user's own is ``$XDG_CACHE_HOME/rnnbench``, or ``~/.cache/rnnbench``.

    Raises:
        RuntimeError: RNNBENCH_DATA is not set, and there is no home folder.
    """
    if not (places := folders()):
        raise RuntimeError("there is no home folder; let RNNBENCH_DATA name a folder")
    return places[-1]


def folders() -> list[Path]:
    """Where to look, in this order: ``$RNNBENCH_DATA``, and the user's own cache where that is read-only or unset."""
    named = os.environ.get("RNNBENCH_DATA")
    places = [Path(named).expanduser()] if named else []
    if not (places and writable(places[0])):
        with contextlib.suppress(RuntimeError):  # there is no home folder
            base = os.environ.get("XDG_CACHE_HOME")
            places.append((Path(base) if base else Path.home() / ".cache") / "rnnbench")
    return places


def writable(place: Path) -> bool:
    """Whether a folder can be written, or made; one that nobody may write is left alone by root too."""
    while not place.exists() and place != place.parent:
        place = place.parent
    return place.is_dir() and os.access(place, os.W_OK) and bool(place.stat().st_mode & 0o222)


def cached_bytes(name: str, sha256: str, make: Callable[[], bytes]) -> bytes:
    """The content with this checksum: from the cache, else made and kept there.

    A file of that name with another checksum is damaged, and made again.

    Raises:
        UserError: What `make` returned has another checksum.
    """
    for data in _kept(name):
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
    data = make()
    if (digest := hashlib.sha256(data).hexdigest()) != sha256:
        raise UserError(f"{name} has sha256 {digest}, expected {sha256}; reinstall the package it comes from.")
    _write(name, data)
    return data


def cached_json(name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A small JSON object: from the cache, else computed and kept there. Its name must identify its inputs."""
    for data in _kept(name):
        with contextlib.suppress(ValueError):
            value = json.loads(data)
            if isinstance(value, dict):
                return value
    value = make()
    _write(name, json.dumps(value, indent=1).encode())
    return value


def _kept(name: str) -> Iterator[bytes]:
    for place in folders():
        with contextlib.suppress(OSError):
            yield (place / name).read_bytes()


def _write(name: str, data: bytes) -> None:
    """Atomically, or, where the folder cannot be written, not at all."""
    with contextlib.suppress(OSError, RuntimeError):
        target = folder() / name
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
