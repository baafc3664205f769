"""Files that are downloaded once, and kept where all runs find them."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from rnnbench.data.download.files import Download, download, megabytes
from rnnbench.data.download.transfer import Cut, Refused, RetryPolicy, transfer
from rnnbench.errors import UserError
from rnnbench.system import cache

#: Base addresses, separated by spaces, that have the files under their names; tried before the files' own addresses.
MIRRORS = "RNNBENCH_MIRRORS"
PATIENCE = RetryPolicy()


def is_here(name: str) -> bool:
    """Whether a file of that name and size is there; its content is looked at when it is used."""
    item = download(name)
    return any(_size(place / name) == item.size for place in cache.folders())


def fetch(name: str, progress: bool = True) -> Path:
    """The path of a downloadable file, its checksum verified; downloads it where it is not there yet, and says so.

    The file is looked for in ``$RNNBENCH_DATA``, then in the user's own cache; it is written to the first of them that
    can be written. Several processes may ask for it at once: one downloads, the others wait. A file of that name that
    is something else is kept, as NAME.old.

    Args:
        name: As in `rnnbench.data.download.files`.
        progress: Show a bar, where standard error is a terminal.

    Raises:
        UserError: It is unknown, no address gives it, or it cannot be written. What is in the folder is as it was,
            but for a NAME.part, from which the next download goes on.
    """
    item = download(name)
    for place in cache.folders():
        if _is(place / name, item):
            return place / name
    try:
        target = cache.folder() / name
    except RuntimeError as error:
        raise UserError(f"{error}, to keep {name} in.") from None
    part = target.with_name(f"{name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(part) as file:
            if not _is(target, item):  # another process may have done it while we waited
                _fill(file, item, target, progress)
                if target.exists():
                    os.replace(target, target.with_name(f"{name}.old"))
                os.replace(part, target)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"{target} cannot be written ({reason}); make room there or let RNNBENCH_DATA name another folder."
        ) from None
    return target


def _fill(file: IO[bytes], item: Download, target: Path, progress: bool) -> None:
    """Bring the part to the whole, verified content, from the first address that has it."""
    if target.exists():
        _say(f"{target} is not the {item.name} expected; it is replaced, and kept as {target.name}.old")
    problems = []
    for address in _addresses(item):
        _say(f"downloading {item.name} ({megabytes(item.size)}) from {address} to {target.parent}")
        try:
            with _bar(item, progress) as told:
                _persist(address, file, item, told)
            return
        except (Cut, Refused) as error:
            problems.append(f"{address}: {error}")
    raise UserError(
        f"{item.name} could not be downloaded ({'; '.join(problems)}); try again, or put the file from {item.address} "
        f"({item.size} bytes, sha256 {item.sha256}) into {target.parent} yourself."
    )


def _persist(address: str, file: IO[bytes], item: Download, told: Callable[[int], None]) -> None:
    """Transfer and verify; again where the connection was cut, or what an earlier download left proves to be wrong."""
    for attempt in range(PATIENCE.attempts):
        if attempt:
            time.sleep(PATIENCE.pause * 2 ** (attempt - 1))
        try:
            return _once(address, file, item, told)
        except Cut:
            if attempt + 1 == PATIENCE.attempts:
                raise


def _once(address: str, file: IO[bytes], item: Download, told: Callable[[int], None]) -> None:
    before = file.seek(0, os.SEEK_END)
    if before != item.size:
        transfer(address, file, item.size, PATIENCE, told)
    file.flush()
    file.seek(0)
    found = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    if found != item.sha256:
        file.truncate(0)
        if before:
            raise Cut("what an earlier download left is damaged")
        raise Refused(f"its content has sha256 {found}, expected {item.sha256}")
    os.fsync(file.fileno())


def _addresses(item: Download) -> list[str]:
    bases = os.environ.get(MIRRORS, "").split()
    for base in bases:
        if not base.startswith(("https://", "http://")):
            raise UserError(f"{MIRRORS} must hold http or https addresses, separated by spaces, got {base!r}.")
    return [*(f"{base.rstrip('/')}/{item.name}" for base in bases), item.address]


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[IO[bytes]]:
    """The part, open for appending, with no other process in here; it is removed where it ends up empty."""
    while True:
        file = part.open("a+b")
        _lock(file, part)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), part.stat()):
                break
        file.close()  # who had the lock has renamed or removed what we opened
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):  # a full disk has been told of by now
            file.flush()
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), part.stat()) and not part.stat().st_size:
                part.unlink()
        with contextlib.suppress(OSError):
            file.close()


def _lock(file: IO[bytes], part: Path) -> None:
    with contextlib.suppress(OSError):  # some shared file systems have no locks; the checksum still stands guard
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"waiting for another process that downloads {part.stem}")
            fcntl.flock(file, fcntl.LOCK_EX)


def _is(path: Path, item: Download) -> bool:
    """Whether the file there has the content expected."""
    try:
        stat = path.stat()
        return stat.st_size == item.size and _sha256(path, stat.st_size, stat.st_mtime_ns) == item.sha256
    except OSError:
        return False


@functools.cache
def _sha256(path: Path, size: int, mtime: int) -> str:
    """Of a file, looked at once in a process as long as it seems unchanged."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


@contextlib.contextmanager
def _bar(item: Download, progress: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error, where that is a terminal; gives what is to be called with the bytes so far."""
    if not (progress and sys.stderr.isatty()):
        yield lambda have: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    from rnnbench.system.console import Console

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(item.name, total=item.size)
        yield lambda have: bar.update(task, completed=have)


def _say(text: str) -> None:
    print(f"rnnbench: {text}", file=sys.stderr, flush=True)
