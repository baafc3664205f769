"""One job's folder: opened under its lock, appended to, and finished with `result.json` and its checksums."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from rnnbench.config.values import PROTOCOL
from rnnbench.runs.files import (
    CHECKPOINT,
    CHECKSUMMED,
    CONFIG,
    CURVES,
    HISTORY,
    RESULT,
    checksums_of,
    finite,
    friendly,
    line,
    write_atomic,
)
from rnnbench.runs.lock import Lock, State
from rnnbench.runs.packs import packed

#: How a job says how far it is: (steps done, steps in all, what is being done).
Progress = Callable[[int, int, str], None]


class Recordable(Protocol):
    """What a run directory asks of a job: a `Run` or a `Timing`."""

    @property
    def id(self) -> str:
        """Its identity."""

    @property
    def kind(self) -> str:
        """train or timing."""

    def to_dict(self) -> dict[str, Any]:
        """Plain nested values."""


@dataclass(frozen=True)
class Start:
    """When a job began, by the calendar and by a clock that is never set back.

    Of a job that several processes did one after the other, ``stamp`` is the first one's, and ``clock`` as long ago as
    they were at work, the time between them left out.
    """

    stamp: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    clock: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long the job has been worked at."""
        return time.monotonic() - self.clock

    def resumed(self, stamp: str, seconds: float) -> Start:
        """Of this process's job, which another one began at that time and worked at for so long."""
        return Start(stamp, self.clock - seconds)


def read_result(folder: Path) -> dict[str, Any] | None:
    """A finished run's facts, from its directory or its study's pack; None where there are none that can be read.

    Raises:
        UserError: the pack is damaged.
    """
    if (pack_and_run := packed(folder)) is not None:
        return pack_and_run[1].result
    with suppress(OSError, ValueError, RecursionError):
        facts = json.loads((folder / RESULT).read_bytes())
        if isinstance(facts, dict) and "status" in facts:
            return facts
    return None


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The rows so far; a line cut short by a crash is left out."""
    if (pack_and_run := packed(folder)) is not None:
        return pack_and_run[1].history
    rows = []
    with suppress(FileNotFoundError):
        for text in (folder / HISTORY).read_text().splitlines():
            with suppress(ValueError):
                rows.append(json.loads(text))
    return rows


class RunDirectory:
    """One job's folder.

    Args:
        root: The runs folder.
        study: The study's name.
        id: The job's identity.
    """

    def __init__(self, root: Path, study: str, id: str) -> None:
        self.study, self.id = study, id
        self.folder = Path(root) / study / id
        self._lock: Lock | None = None

    def path(self, name: str) -> Path:
        """A file in the folder."""
        return self.folder / name

    @contextmanager
    def opened(self, config: Mapping[str, Any], stale: State | None = None) -> Iterator[RunDirectory]:
        """Make the folder, write `run.yaml` and hold the run's lock, see `rnnbench.runs.lock`.

        Args:
            config: The job as plain values.
            stale: A lock that is known to be stale, of another machine.

        Raises:
            UserError: the folder cannot be written.
            Busy: another process holds the lock.
        """
        import yaml

        with friendly(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(self.folder)
        lock.acquire(stale)
        self._lock = lock
        try:
            for leftover in self.folder.glob("*.part"):
                leftover.unlink(missing_ok=True)  # a killed process's half-written file
            if self.result() is None:
                text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
                write_atomic(self.path(CONFIG), text.encode())
            yield self
        finally:
            self._lock = None
            lock.release(finished=self.result() is not None)

    def check(self) -> None:
        """Is the lock still ours? Asked before anything is written.

        Raises:
            Busy: another process has taken the run over.
        """
        if self._lock is not None:
            self._lock.check()

    def withdraw(self, known: Mapping[str, Any], stale: State | None = None) -> None:
        """Take back a result, to try the run once more; one that another process has replaced meanwhile stays.

        Raises:
            Busy: another process is at work on the run.
        """
        with self.opened(known.get("run", {}), stale):
            if self.result() == known:
                self.path(RESULT).unlink(missing_ok=True)

    def result(self) -> dict[str, Any] | None:
        """The finished run's facts, or None where it is not finished (or its result cannot be read)."""
        return read_result(self.folder)

    def history(self) -> list[dict[str, Any]]:
        """The rows so far; a last line cut short by a crash is left out."""
        return read_history(self.folder)

    def rewind(self, step: int) -> list[dict[str, Any]]:
        """Drop the rows after a step: they belong to what a killed run did after its last checkpoint."""
        self.check()
        rows = [row for row in self.history() if row["step"] <= step]
        write_atomic(self.path(HISTORY), "".join(line(row) for row in rows).encode())
        return rows

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row to the history."""
        self.check()
        with friendly(self.folder), open(self.path(HISTORY), "a") as file:
            file.write(line(row))

    def sync(self) -> None:
        """Let no power cut take the rows so far: a checkpoint counts on them."""
        with friendly(self.folder), suppress(FileNotFoundError), open(self.path(HISTORY), "rb") as file:
            os.fsync(file.fileno())

    def write_curves(self, curves: Mapping[str, Any]) -> None:
        """Arrays by name, to be read with ``numpy.load``."""
        import numpy as np

        self.check()
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **curves)
        write_atomic(self.path(CURVES), buffer.getvalue())

    def finish(
        self,
        job: Recordable,
        status: str,
        start: Start,
        metrics: Mapping[str, Any],
        environment: Mapping[str, Any],
        **more: Any,
    ) -> dict[str, Any]:
        """Write `result.json`, the last thing that happens to a run, and return what is in it.

        Args:
            job: The Run or Timing.
            status: One of `STATUSES`.
            start: When it began.
            metrics: Figures by name.
            environment: What made them, see `machine.environment`.
            **more: Further facts, a failure's ``error`` and ``traceback``.
        """
        result = {
            "id": job.id,
            "kind": job.kind,
            "protocol": PROTOCOL,
            "status": status,
            "run": job.to_dict(),
            "metrics": dict(metrics),
            "curves": CURVES if self.path(CURVES).exists() else None,
            "environment": dict(environment),
            "started": start.stamp,
            "seconds": start.seconds,
            **more,
        }
        self.check()
        files = {name: self.path(name) for name in CHECKSUMMED if self.path(name).exists()}
        written = checksums_of(finite(result), files)
        write_atomic(self.path(RESULT), json.dumps(written, indent=1, ensure_ascii=False).encode())
        if status != "timeout":  # given more time it resumes from it
            self.path(CHECKPOINT).unlink(missing_ok=True)
        return {**written, **result}  # infinities and NaN as numbers
