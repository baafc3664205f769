"""Derived data that is slow to make, kept in a folder between runs; never needed, only faster.

Several processes may write the same entry at once: each writes its own temporary file and renames it into place.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rnnbench.errors import UserError


def folder() -> Path:
    """``$RNNBENCH_DATA``, else ``$XDG_CACHE_HOME/rnnbench``, else ``~/.cache/rnnbench``; it may not exist yet."""
    if own := os.environ.get("RNNBENCH_DATA"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rnnbench"


def cached_bytes(name: str, sha256: str, make: Callable[[], bytes]) -> bytes:
    """The content with this checksum: from the cache, else made and kept there.

    Args:
        name: File name inside the cache folder.
        sha256: Hexadecimal digest of the content. A file with another one is damaged, and made again.
        make: Makes the content.

    Raises:
        UserError: What `make` returned has another checksum.
    """
    data = _read(name)
    if data is not None and hashlib.sha256(data).hexdigest() == sha256:
        return data
    data = make()
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise UserError(f"{name} has sha256 {found}, expected {sha256}; reinstall the package it comes from.")
    _write(name, data)
    return data


def cached_json(name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A small JSON object: from the cache, else computed and kept there. Its name must identify its inputs."""
    data = _read(name)
    if data is not None:
        with contextlib.suppress(ValueError):
            value = json.loads(data)
            if isinstance(value, dict):
                return value
    value = make()
    _write(name, json.dumps(value, indent=1).encode())
    return value


def _read(name: str) -> bytes | None:
    try:
        return (folder() / name).read_bytes()
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
        return None


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
