"""A lock for each run: lock files that work between machines and do not outlive a kill -9 or a machine that failed.

A run directory holds ``.lock-000001``, ``.lock-000002``, …: the highest is the lock, and the process that created it is
the lock holder. A file is created exclusively, so of two processes that want the next number one gets it. Numbers only
rise while a run is unfinished: a process that acts on an old observation creates a lower number and sees that it lost.

The heartbeat: a holder sets its file's modification time one second forward every `HEARTBEAT` seconds. No clock is
compared: a process that waits checks whether the time stamp *changes* within `STALE` seconds of its own monotonic
clock, so that clocks that differ or are set back do no harm, and a full disk cannot stop the heartbeat. A holder on the
same machine is looked up among the processes; its lock is stale at once where it is not there.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rnnbench.runs.files import friendly

#: Seconds between two heartbeats, and without one before a lock is stale for another machine.
HEARTBEAT, STALE = 5.0, 60.0
_NAME = ".lock-{:06d}"
_SECOND = 10**9


class Busy(Exception):
    """Another process is at work on this run."""


@dataclass(frozen=True)
class State:
    """A lock as it was found: ``stamp`` changes while its holder lives, and is 0 once it was given back."""

    number: int = 0
    holder: str = ""
    stamp: int = 0

    @property
    def free(self) -> bool:
        """Has nobody held it yet, or was it given back?"""
        return self.stamp == 0

    @property
    def facts(self) -> dict[str, Any]:
        """What the holder wrote about itself; empty where it was killed before it could."""
        with suppress(ValueError):
            if isinstance(facts := json.loads(self.holder), dict):
                return facts
        return {}

    @property
    def holder_name(self) -> str:
        """``process 4711 on quark``; ``another process`` where the file does not say."""
        return f"process {self.facts['pid']} on {self.facts['host']}" if self.facts else "another process"

    @property
    def local(self) -> bool:
        """Is the holder a process of this machine, so that it can be looked up?"""
        return self.facts.get("machine") == this_machine()

    def dead(self) -> bool:
        """Was its holder a process of this machine that has ended? Of another machine's nothing is known at once."""
        return self.local and _born(int(self.facts["pid"])) != self.facts["born"]


def look(folder: Path) -> State:
    """The lock of a run's folder as it is now."""
    number = max(_numbers(folder), default=0)
    if number == 0:
        return State()
    try:
        # Opened, not only asked for: between machines that is what makes a network file system look again.
        with open(folder / _NAME.format(number)) as file:
            stamp = os.fstat(file.fileno()).st_mtime_ns
            return State(number, file.read(), stamp)
    except FileNotFoundError:  # finished in this moment
        return State()


class Watch:
    """Looks at a lock again and again, and tells when it is free or stale."""

    def __init__(self, folder: Path, stale: float | None = None) -> None:
        self.folder = folder
        self.stale = STALE if stale is None else stale
        self.state: State | None = None
        self._since = 0.0
        #: Was a heartbeat seen?
        self.lives = False

    def available(self) -> bool:
        """Look once: is the lock free or stale?"""
        state, now = look(self.folder), time.monotonic()
        if state != self.state:
            self.lives = self.state is not None and self.state.number == state.number
            self.state, self._since = state, now
        return state.free or state.dead() or now - self._since >= self.stale


class Lock:
    """The right to write into a run directory.

    Args:
        folder: The run's, which exists.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0
        self._released = threading.Event()

    def acquire(self, stale: State | None = None) -> None:
        """Take it, or take it over from a dead holder.

        Args:
            stale: A lock that the caller has watched for long enough to know that it is stale. Otherwise one
                held on another machine is watched here: for one heartbeat where its holder lives, for `STALE` seconds
                where it does not.

        Raises:
            Busy: a living process holds it.
            StorageError: no file can be made.
        """
        watch = Watch(self.folder)
        while not watch.available() and watch.state != stale:
            assert watch.state is not None
            if watch.lives or watch.state.local:
                raise Busy(f"{self.folder.name} is being run by another process ({watch.state.holder_name})")
            time.sleep(min(0.25, watch.stale / 10))
        assert watch.state is not None
        number = watch.state.number + 1
        path = self.folder / _NAME.format(number)
        with friendly(self.folder):
            try:
                self._make(path)
            except FileExistsError:
                raise Busy(
                    f"{self.folder.name} is being run by another process ({look(self.folder).holder_name})"
                ) from None
            except FileNotFoundError:
                if not self.folder.is_dir():
                    raise
                # Removed at once by a process that came long after what was seen: the next lines tell.
        if (
            max(_numbers(self.folder), default=0) != number
        ):  # what was seen is old: other holders have come and gone since
            path.unlink(missing_ok=True)
            raise Busy(f"{self.folder.name} is being run by another process ({look(self.folder).holder_name})")
        self.number = number
        self._remove(below=number)
        threading.Thread(target=self._heartbeat, args=(path,), daemon=True, name="rnnbench-lock").start()

    def check(self) -> None:
        """To be called before anything is written.

        Raises:
            Busy: it was taken over, after this machine slept for longer than `STALE` seconds, say.
        """
        if max(_numbers(self.folder), default=0) != self.number:
            raise Busy(f"{self.folder.name} was taken over by another process ({look(self.folder).holder_name})")

    def release(self, finished: bool) -> None:
        """Give it back; of a finished run the lock files are removed."""
        self._released.set()
        if max(_numbers(self.folder), default=0) != self.number:
            return
        with suppress(OSError):
            if finished:
                self._remove(below=self.number + 1)
            else:
                os.utime(self.folder / _NAME.format(self.number), ns=(0, 0))

    def _heartbeat(self, path: Path) -> None:
        stamp = _SECOND
        while not self._released.wait(HEARTBEAT):
            stamp += _SECOND
            with suppress(OSError):  # a network that is gone for a while
                os.utime(path, ns=(stamp, stamp))
                if self._released.is_set():  # given back in this very moment
                    os.utime(path, ns=(0, 0))

    def _remove(self, below: int) -> None:
        for number in _numbers(self.folder):
            if number < below:
                (self.folder / _NAME.format(number)).unlink(missing_ok=True)

    @staticmethod
    def _make(path: Path) -> None:
        with open(path, "x") as file:
            try:
                json.dump(_self(), file)
                file.flush()
                os.utime(path, ns=(_SECOND, _SECOND))
            except OSError:  # a full disk, say: nobody is to wait for what nobody holds
                path.unlink(missing_ok=True)
                raise


def _numbers(folder: Path) -> list[int]:
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [int(match[1]) for name in names if (match := re.fullmatch(r"\.lock-(\d{6,})", name))]


def _self() -> dict[str, object]:
    me = os.getpid()
    return {
        "host": socket.gethostname(),
        "pid": me,
        "born": _born(me),
        "machine": this_machine(),
        "id": uuid.uuid4().hex,
    }


@cache
def this_machine() -> str:
    """What tells whether a process number of another's means anything here: the boot, and the process name space."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{socket.gethostname()}/{uuid.getnode():x}"


def _born(pid: int) -> str | None:
    """When a process began, in the kernel's ticks, for its number may be another's by now; None where it is no more."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        try:  # no Linux: all that is to be had is whether there is a process of that number
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass
        return "?"
    fields = status.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]  # a zombie is dead: its files are closed
