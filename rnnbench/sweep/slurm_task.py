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
from rnnbench.sweep.run_study import Options, Outcome
from rnnbench.sweep.study import Job

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

    from rnnbench.sweep.scheduler import Scheduler

#: Below a study's folder, the files of its arrays; no run can have that name, for a run's ends in a hash.
FOLDER = "slurm"
#: Seconds: Slurm's signal comes so long before it kills a task whose time is over; the workers have so long for their
#: checkpoints; and a task that was stopped by a SIGTERM waits so long for Slurm to end it.
NOTICE, CHECKPOINTS, LINGER = 90, 60, 600


@dataclass
class ArrayTask:
    """What submitit pickles: called on a node, it does runs until there are none left to do.

    Args:
        jobs: All that the array is to do.
        root: The runs folder, an absolute path that means the same on every node.
        study: The study's name.
        options: As for a local sweep, but for ``workers``: one for each processor that Slurm gives the task.
        environment: Variables to set; Slurm carries the others along unless it is configured otherwise.
    """

    jobs: tuple[Job, ...]
    root: Path
    study: str
    options: Options
    environment: dict[str, str] = field(default_factory=dict)
    _scheduler: Scheduler | None = field(default=None, init=False, compare=False)
    _thread: threading.Thread | None = field(default=None, init=False, compare=False)
    _stopping: bool = field(default=False, init=False, compare=False)

    def __call__(self) -> None:
        """Sweep; on SIGTERM, which Slurm sends some time before it kills, checkpoints are written."""
        os.environ.update(self.environment)
        signal.signal(signal.SIGTERM, lambda *_: self._stop())
        # The sweep is in a thread of its own: submitit calls `checkpoint` in a signal's handler, where the main thread
        # stands still, and there waits for the sweep to end.
        self._thread = threading.Thread(target=self._sweep, daemon=True, name="sweep")
        self._thread.start()
        while self._thread.is_alive():
            self._thread.join(1.0)
        # A preempted task is queued again once Slurm had to kill it: one that ends by itself counts as finished.
        limit = time.monotonic() + LINGER
        while self._stopping and self._missing() and time.monotonic() < limit:
            time.sleep(1.0)

    def checkpoint(self) -> DelayedSubmission | None:
        """Called by submitit once Slurm says that the time is over, or that others need the node.

        Returns:
            The same task, to be queued again; it resumes from the run directories. None where nothing is left to do.
        """
        from submitit.helpers import DelayedSubmission

        self._stop()
        if self._thread is not None:
            self._thread.join(CHECKPOINTS)
        return DelayedSubmission(dataclasses.replace(self)) if self._missing() else None

    def _stop(self) -> None:
        if not self._stopping and self._scheduler is not None:
            self._scheduler.stop()
        self._stopping = True

    def _missing(self) -> list[Job]:
        return [job for job in self.jobs if RunDirectory(self.root, self.study, job.id).result() is None]

    def _sweep(self) -> None:
        # The whole step gets the signals, and processes that do not know this one would die of it. They inherit what
        # their thread has blocked.
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
            array = os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ["SLURM_JOB_ID"]
            name = f"{array}-trouble-{os.environ.get('SLURM_ARRAY_TASK_ID', '0')}.json"
            write_atomic(self.root / self.study / FOLDER / name, json.dumps(trouble).encode())

    def _swept(self) -> Outcome:
        from rnnbench.sweep.display import Display
        from rnnbench.sweep.scheduler import Scheduler
        from rnnbench.system.console import Console

        workers = int(os.environ.get("SLURM_CPUS_PER_TASK", "1"))
        options = dataclasses.replace(self.options, workers=workers, wait=False)
        with Display(Console(force_terminal=False, width=160)) as display:
            self._scheduler = Scheduler(self.jobs, self.root, self.study, options, display)
            if self._stopping:  # before there was anything to stop
                self._scheduler.stop()
            return self._scheduler.run()
