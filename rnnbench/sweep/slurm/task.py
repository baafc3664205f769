"""One task of a Slurm array: the ordinary local sweep over the whole study, beside those of the other tasks."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rnnbench.errors import UserError, told
from rnnbench.runs import RunDirectory, write_atomic
from rnnbench.sweep.outcome import Options, Outcome
from rnnbench.sweep.study import Job

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

    from rnnbench.sweep.scheduler import Scheduler

#: Below a study's folder, what belongs to its arrays; no run of that name can be, for a run's has a hash at its end.
FOLDER = "slurm"
#: Slurm says so long before it kills a task that its time is over; and so long its workers have to write checkpoints.
NOTICE, PATIENCE = 90, 60
#: Seconds that a task whose sweep was stopped by a SIGTERM waits for its end at Slurm's hands.
LINGER = 600


@dataclass
class ArrayTask:
    """What submitit pickles: called on a node, it does runs until there are none left to do.

    Args:
        jobs: All that the array is to do.
        root: The runs folder, an absolute path that means the same on every node.
        study: The study's name.
        options: As for a local sweep, but for ``workers``: one for each processor that Slurm gives the task.
        environment: Variables to set; Slurm carries the others along where it is not told otherwise.
    """

    jobs: tuple[Job, ...]
    root: Path
    study: str
    options: Options
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._running: Scheduler | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False

    def __getstate__(self) -> dict[str, object]:
        return {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self.__post_init__()

    def __call__(self) -> None:
        """Scheduler; on SIGTERM, which is what Slurm sends some time before it kills, checkpoints are written."""
        os.environ.update(self.environment)
        signal.signal(signal.SIGTERM, lambda *_: self._stop())
        # The sweep is in a thread of its own: submitit calls `checkpoint` in a signal's handler, where the main thread
        # stands still, and there waits for the sweep to end.
        self._thread = threading.Thread(target=self._sweep, daemon=True, name="sweep")
        self._thread.start()
        while self._thread.is_alive():
            self._thread.join(1.0)
        # Slurm asks a task to make room for others, and queues it again once it had to kill it: who goes by himself is
        # taken to be finished.
        limit = time.monotonic() + LINGER
        while self._stopping and self._missing() and time.monotonic() < limit:
            time.sleep(1.0)

    def checkpoint(self) -> DelayedSubmission | None:
        """Called by submitit once Slurm says that the time is over, or that others need the node.

        Returns:
            The same task, to be queued again: where it goes on from is in the ledger. None where nothing is left.
        """
        from submitit.helpers import DelayedSubmission

        self._stop()
        if self._thread is not None:
            self._thread.join(PATIENCE)
        return DelayedSubmission(dataclasses.replace(self)) if self._missing() else None

    def _stop(self) -> None:
        if not self._stopping and self._running is not None:
            self._running.stop()
        self._stopping = True

    def _missing(self) -> list[Job]:
        return [job for job in self.jobs if RunDirectory(self.root, self.study, job.id).result() is None]

    def _sweep(self) -> None:
        # The whole step gets the signals, and those that know nothing of this one would die of it. Processes inherit
        # what their thread has blocked.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        trouble: dict[str, str] = {}
        try:
            outcome = self._swept()
            trouble = {} if outcome.stopped else dict(outcome.trouble)
        except Exception as error:
            sentence = str(error) if isinstance(error, UserError) else told(error)
            trouble = {job.id: sentence for job in self._missing()}
            if not isinstance(error, UserError):
                raise
            print(f"rnnbench: error: {error}", file=sys.stderr)
        finally:
            write_atomic(trouble_file(self.root / self.study), json.dumps(trouble).encode())

    def _swept(self) -> Outcome:
        from rnnbench.sweep.display import Display
        from rnnbench.sweep.scheduler import Scheduler
        from rnnbench.system.console import Console

        options = dataclasses.replace(self.options, workers=workers(), wait=False)
        with Display(Console(force_terminal=False, width=160)) as display:
            self._running = Scheduler(self.jobs, self.root, self.study, options, display)
            if self._stopping:  # before there was anything to stop
                self._running.stop()
            return self._running.run()


def workers() -> int:
    """Workers at once in this task: a thread for each processor that Slurm gives it."""
    return int(os.environ.get("SLURM_CPUS_PER_TASK", "1"))


def trouble_file(folder: Path) -> Path:
    """Where this task writes why it could not do what it could not do: a sentence by the run's id."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ["SLURM_JOB_ID"]
    return folder / FOLDER / f"{array}-trouble-{os.environ.get('SLURM_ARRAY_TASK_ID', '0')}.json"
