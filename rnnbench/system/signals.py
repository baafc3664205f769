"""Signals that ask a run to stop: what it has done is kept, and the same command resumes it.

A worker arms itself once, and `rnnbench.training.train` raises `Stopped` where it is asked to stop: from its training
loop once a checkpoint is written, at the end of the batch (of the next one where something is still due after this
one), from anywhere else at once, for the last checkpoint stands. A second signal is a KeyboardInterrupt at once.

Nothing here imports torch.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Stopped(BaseException):
    """The run was asked to stop and did.

    Not an Exception, as KeyboardInterrupt is not: it comes out of a signal handler anywhere, and what catches all that
    may go wrong there (wandb's guard, the reading of a checkpoint) would take it for its own trouble.

    Args:
        signum: The signal that asked.
        step: Where the run resumes, if a checkpoint was written for this stop.
    """

    def __init__(self, signum: int, step: int | None = None) -> None:
        self.signum, self.step = signum, step
        super().__init__(f"stopped by {signal.Signals(signum).name}")

    @property
    def status(self) -> int:
        """The exit status that shells give to a command ended by that signal: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signum


class _Request:
    """The process's one request to stop."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self.waits = False  # for the end of a batch

    def handle(self, signum: int, frame: FrameType | None) -> None:
        if _postponement.applies(signum, frame):
            return
        if self.signum is not None:
            raise KeyboardInterrupt
        self.signum = signum
        if not self.waits:
            raise Stopped(signum)


class _Postponement:
    """What a signal in the middle of an import becomes: the same signal a little later, for ten seconds at the most.

    An exception that is raised there is lost, or becomes one of the module's: numpy turns a KeyboardInterrupt into an
    AttributeError, matplotlib into a warning.
    """

    seconds, limit = 0.02, 500

    def __init__(self) -> None:
        self._count = 0
        self._timer: threading.Timer | None = None

    def applies(self, signum: int, frame: FrameType | None) -> bool:
        """Whether a signal that interrupts this frame has been postponed."""
        while frame is not None and frame.f_code.co_name != "_find_and_load":
            frame = frame.f_back
        self._count = 0 if frame is None else self._count + 1
        if not 0 < self._count <= self.limit:
            return False
        self._timer = threading.Timer(self.seconds, os.kill, (os.getpid(), signum))
        self._timer.start()
        return True

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _interrupt(signum: int, frame: FrameType | None) -> None:
    if not _postponement.applies(signum, frame):
        raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """While it lasts, Ctrl-C is a KeyboardInterrupt as ever, but in the middle of an import only after it."""
    python = signal.default_int_handler
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not python:
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        _postponement.cancel()
        signal.signal(signal.SIGINT, python)


_postponement = _Postponement()
_request = _Request()
_before: dict[int, Any] = {}


def arm(*signals: signal.Signals) -> None:
    """From now on these signals ask to stop; those that the process was started to ignore (nohup) stay ignored.

    Outside the main thread, where Python allows no handlers, nothing happens.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for one in signals:
        if one not in _before and signal.getsignal(one) is not signal.SIG_IGN:
            _before[one] = signal.signal(one, _request.handle)


@contextmanager
def armed(*signals: signal.Signals) -> Iterator[None]:
    """`arm` for a while; then the signals mean again what they meant before, and a request is forgotten."""
    arm(*signals)
    try:
        yield
    finally:
        for one, handler in _before.items():
            signal.signal(one, handler)
        _before.clear()
        _request.signum = None


def rearm() -> None:
    """Take the armed signals back from who has put a handler of its own in place, as Lightning does for SIGTERM."""
    if threading.current_thread() is threading.main_thread():
        for one in _before:
            signal.signal(one, _request.handle)


def asked() -> int | None:
    """The signal that asked to stop, None where none has."""
    return _request.signum


@contextmanager
def at_a_batchs_end() -> Iterator[None]:
    """While it lasts a request waits for the caller to look at `asked`; at its end a waiting one raises `Stopped`."""
    _request.waits = True
    try:
        yield
    finally:
        _request.waits = False
    if _request.signum is not None:
        raise Stopped(_request.signum)
