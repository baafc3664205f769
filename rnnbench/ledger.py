"""The ledger: append-only facts, one folder a run, `result.json` last.

runs/<study>/<run id>/
    run.yaml        the Run; `rnnbench train --config run.yaml` repeats it
    history.jsonl   a row every so many steps
    last.ckpt       where an interrupted run goes on from; gone once it is finished
    model.pt        the final weights and the vocabulary
    curves.npz      gradient flow, gradient norms
    result.json     present means finished
"""

from __future__ import annotations

import fcntl
import io
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from rnnbench.errors import UserError

RESULT, HISTORY, CURVES, CHECKPOINT, WEIGHTS, CONFIG, SAMPLES = (
    "result.json", "history.jsonl", "curves.npz", "last.ckpt", "model.pt", "run.yaml", "samples.json",
)  # fmt: skip


#: How a job says how far it is: (steps done, steps in all, what is being done).
Progress = Callable[[int, int, str], None]


class Recordable(Protocol):
    """What the ledger asks of a job: a `Run` or a `Timing`."""

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
    """When a job began, by the calendar and by a clock that is never set back."""

    stamp: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    clock: float = field(default_factory=time.monotonic)


class Busy(Exception):
    """Another process is at work on this run."""


class Entry:
    """One job's folder.

    Args:
        root: The runs folder.
        study: The study's name.
        id: The job's identity.
    """

    def __init__(self, root: Path, study: str, id: str) -> None:
        self.study, self.id = study, id
        self.folder = Path(root) / study / id

    def path(self, name: str) -> Path:
        """A file in the folder."""
        return self.folder / name

    @contextmanager
    def opened(self, config: Mapping[str, Any]) -> Iterator[Entry]:
        """Make the folder, write `run.yaml` and hold the run's lock.

        The lock is the kernel's and goes with the process, however that ends.

        Raises:
            UserError: the folder cannot be written.
            Busy: another process holds the lock.
        """
        import yaml

        with friendly(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = open(self.path(".lock"), "a")  # noqa: SIM115 - closed by the with below
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Busy(f"{self.id} is being run by another process") from None
            for leftover in self.folder.glob("*.part"):
                leftover.unlink(missing_ok=True)  # a killed process's half-written file
            write_atomic(self.path(CONFIG), yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True).encode())
            yield self

    def result(self) -> dict[str, Any] | None:
        """The finished run's facts, or None where it is not finished (or its result cannot be read)."""
        try:
            found = json.loads(self.path(RESULT).read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and "status" in found else None

    def history(self) -> list[dict[str, Any]]:
        """The rows so far; a last line cut short by a crash is left out."""
        rows = []
        with suppress(FileNotFoundError):
            for line in self.path(HISTORY).read_text().splitlines():
                with suppress(ValueError):
                    rows.append(json.loads(line))
        return rows

    def rewind(self, step: int) -> list[dict[str, Any]]:
        """Drop the rows after a step: they belong to what a killed run did after its last checkpoint."""
        rows = [row for row in self.history() if row["step"] <= step]
        write_atomic(self.path(HISTORY), "".join(line(row) for row in rows).encode())
        return rows

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row to the history."""
        with friendly(self.folder), open(self.path(HISTORY), "a") as file:
            file.write(line(row))

    def write_curves(self, curves: Mapping[str, Any]) -> None:
        """Arrays by name, to be read with ``numpy.load``."""
        import numpy as np

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
            status: done, diverged or failed.
            start: When it began.
            metrics: Figures by name.
            environment: What made them, see `machine.environment`.
            **more: Further facts, a failure's ``error`` and ``traceback``.
        """
        result = {
            "id": job.id,
            "kind": job.kind,
            "status": status,
            "run": job.to_dict(),
            "metrics": dict(metrics),
            "curves": CURVES if self.path(CURVES).exists() else None,
            "environment": dict(environment),
            "started": start.stamp,
            "seconds": time.monotonic() - start.clock,
            **more,
        }
        write_atomic(self.path(RESULT), json.dumps(finite(result), indent=1, ensure_ascii=False).encode())
        self.path(CHECKPOINT).unlink(missing_ok=True)
        return result


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
        UserError: the folder cannot be written, or the disk is full.
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


@contextmanager
def friendly(folder: Path) -> Iterator[None]:
    """Turn what the file system refuses into one sentence."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write to {folder}: {error.strerror or error}; choose another folder with --out."
        ) from None


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
