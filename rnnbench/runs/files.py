"""Files written whole or not at all, JSON that is JSON, and a file system's refusals as one sentence."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rnnbench.errors import UserError

RESULT, HISTORY, CURVES, CHECKPOINT, WEIGHTS, CONFIG, SAMPLES, SAMPLE, LOG = (
    "result.json", "history.jsonl", "curves.npz", "last.ckpt", "model.pt", "run.yaml", "samples.json", "sample.txt",
    "log.txt",
)  # fmt: skip
#: In `SAMPLE`, between the prompt and what was written: the first one in the file.
SAMPLE_MARK = "▌"
#: How a job may end. done, diverged: it ran to its end, and its numbers say that it learned, or that it did not.
#: failed: the code raised an error. oom: it does not fit into memory. timeout: it took longer than a run may.
STATUSES = ("done", "diverged", "failed", "oom", "timeout")
#: What is finished may rest on: these have checksums, the log has none.
CHECKSUMMED = (CONFIG, HISTORY, CURVES, WEIGHTS, SAMPLES, SAMPLE)


class StorageError(UserError):
    """The file system refused: a full disk, a folder that cannot be written, a server that is gone for a while."""


def line(row: Mapping[str, Any]) -> str:
    """A history row as one line of JSON."""
    return json.dumps(finite(row), ensure_ascii=False) + "\n"


def finite(value: Any) -> Any:
    """JSON has no infinity and no NaN: they become the strings "inf", "-inf" and "nan"."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def write_atomic(path: Path, content: bytes) -> None:
    """Whole or not at all, also after a power cut: temporary file, fsync, rename.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    with friendly(path.parent):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


@contextmanager
def friendly(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses into one sentence."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot write to {folder}: {error.strerror or error}; choose another folder with --out."
        ) from None


def check_root(root: Path) -> None:
    """Refuse a runs folder that cannot be written before any work is done.

    Raises:
        UserError: it is a file, or cannot be made or written to.
    """
    if root.exists() and not root.is_dir():
        raise UserError(f"{root} is a file, not a folder; choose another with --out.")
    with friendly(root):
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass


def _sync_folder(folder: Path) -> None:
    """The name itself is in the folder, which a power cut may set back; not every file system can be asked to."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def checksums_of(facts: Mapping[str, Any], files: Mapping[str, Path]) -> dict[str, Any]:
    """The facts with ``files`` (sha256 and bytes of each, by name) and ``seal``, the SHA-256 of all the rest.

    Args:
        facts: Plain values that JSON can write, without infinities.
        files: Each an existing file.
    """
    listed = {name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)} for name, path in files.items()}
    body = {**facts, "files": listed}
    return {**body, "seal": facts_sha256(body)}


def facts_sha256(facts: Mapping[str, Any]) -> str:
    """SHA-256 of facts as canonical JSON, the checksum itself left out."""
    body = {key: value for key, value in facts.items() if key != "seal"}
    body = json.loads(json.dumps(body))  # as it is read again: a key that was a number is a text then, sorted elsewhere
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read piece by piece."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
