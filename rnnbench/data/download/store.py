"""Files that are downloaded once, verified by pooch, and kept where all runs find them."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rnnbench.data.download.files import FILES, Download, megabytes
from rnnbench.data.download.transfer import Transfer, TransferError
from rnnbench.errors import UserError, unknown
from rnnbench.system import cache

#: Base addresses, separated by spaces, that have the files under their names; tried before the files' own addresses.
MIRRORS = "RNNBENCH_MIRRORS"
#: Connections to one address, and seconds before the second; twice as long before each further one.
ATTEMPTS, PAUSE = 3, 1.0


def is_here(name: str) -> bool:
    """Whether a file of that name and size is there; its content is looked at when it is used."""
    return any(_has_size(folder / name, FILES[name].size) for folder in cache.folders())


def fetch(name: str, progress: bool = True) -> Path:
    """The path of one of the `FILES`, its checksum verified; downloads it where it is not there yet, and says so.

    The file is looked for in ``$RNNBENCH_DATA``, then in the user's own cache; it is written to the first of them that
    can be written. Several processes may ask for it at once: one downloads, the others wait. A file of that name that
    is something else is kept, as NAME.old. ``progress``: show a bar, where standard error is a terminal.

    Raises:
        UserError: It is unknown, no address gives it, or it cannot be written. What is in the folder is as it was,
            but for a NAME.part, which the next download resumes.
    """
    if name not in FILES:
        raise unknown("file", name, FILES)
    item = FILES[name]
    for folder in cache.folders():
        if _is(folder / name, item):
            return folder / name
    try:
        target = cache.folder() / name
    except RuntimeError as error:
        raise UserError(f"{error}, to keep {name} in.") from None
    part = target.with_name(f"{name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target):
            if not _is(target, item):  # another process may have done it while we waited
                if target.exists():
                    _say(f"{target} is not the {name} expected; it is replaced, and kept as {name}.old")
                _download(item, part, progress)
                if target.exists():
                    os.replace(target, target.with_name(f"{name}.old"))
                os.replace(part, target)
    except OSError as error:
        raise UserError(
            f"{target} cannot be written ({error.strerror or error}); make room there or let RNNBENCH_DATA name "
            "another folder."
        ) from None
    return target


def _download(item: Download, part: Path, progress: bool) -> None:
    """Bring the part to the whole, verified content, from the first address that has it."""
    bases = os.environ.get(MIRRORS, "").split()
    for base in bases:
        if not base.startswith(("https://", "http://")):
            raise UserError(f"{MIRRORS} must hold http or https addresses, separated by spaces, got {base!r}.")
    problems = []
    for address in (*(f"{base.rstrip('/')}/{item.name}" for base in bases), item.address):
        _say(f"downloading {item.name} ({megabytes(item.size)}) from {address} to {part.parent}")
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return _attempt(address, item, part, progress)
            except TransferError as error:
                if not error.retry or attempt == ATTEMPTS:
                    problems.append(f"{address}: {error}")
                    break
            time.sleep(PAUSE * 2 ** (attempt - 1))
    raise UserError(
        f"{item.name} could not be downloaded ({'; '.join(problems)}); try again, or put the file from {item.address} "
        f"({item.size} bytes, sha256 {item.sha256}) into {part.parent} yourself."
    )


def _attempt(address: str, item: Download, part: Path, progress: bool) -> None:
    import pooch
    from rich.progress import Progress

    from rnnbench.system.console import Console

    def download(url: str, output: str, _: object) -> None:
        shown = progress and sys.stderr.isatty()
        with Progress(console=Console(stderr=True), transient=True, disable=not shown) as bar:
            task = bar.add_task(item.name, total=item.size)
            Transfer(url, part, item.size, lambda have: bar.update(task, completed=have)).complete()
        os.replace(part, output)

    pooch.get_logger().setLevel("WARNING")
    resumed = part.exists()
    try:
        pooch.retrieve(address, item.sha256, fname=part.name, path=part.parent, downloader=download)
    except ValueError as error:  # the checksum is another; pooch has removed what came
        raise TransferError(str(error).partition(". Deleted")[0], retry=resumed) from None


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    """No other process is in here for this file meanwhile."""
    path = target.with_name(f".{target.name}.lock")
    while True:
        with path.open("w") as file:
            with contextlib.suppress(OSError):  # some shared file systems have no locks; the checksum still guards
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    _say(f"waiting for another process that downloads {target.name}")
                    fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:  # else who held the lock has removed it
                try:
                    yield
                finally:
                    path.unlink(missing_ok=True)
                return


def _has_size(path: Path, size: int) -> bool:
    return os.path.isfile(path) and os.path.getsize(path) == size


def _is(path: Path, item: Download) -> bool:
    return _has_size(path, item.size) and _sha256(path, os.stat(path).st_mtime_ns) == item.sha256


@functools.cache
def _sha256(path: Path, mtime: int) -> str | None:
    """Of a file, looked at once in a process as long as it seems unchanged; None where it cannot be read."""
    import pooch

    with contextlib.suppress(OSError):
        return pooch.file_hash(str(path))
    return None


def _say(text: str) -> None:
    print(f"rnnbench: {text}", file=sys.stderr, flush=True)
