"""A job on its way through a sweep: what was tried, and what an attempt's end means for the next."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from typing import Any

from rnnbench.config import Run
from rnnbench.runs import RunDirectory, Watch
from rnnbench.sweep.study import Job
from rnnbench.sweep.worker import Attempt

#: Seconds before a job is tried again whose process died or whose disk refused; after these it is given up.
DELAYS = (1.0, 2.0, 4.0, 8.0)
#: What the data of a training run are read from, to be made ready once for all runs that share it; None of a timing.
Source = tuple[str | None, ...] | None


@dataclass(eq=False)
class QueuedJob:
    """One job.

    Args:
        job: What is to be done.
        directory: Where in the ledger.
        attempt: How it is to be tried next.
        withdrawn: A result that is to be taken back first.
    """

    job: Job
    directory: RunDirectory
    attempt: Attempt
    withdrawn: dict[str, Any] | None = None
    #: Killed processes and refusals of the disk: not the job's fault, so it is tried again, but not for ever.
    mishaps: int = 0
    #: Deaths by the kernel's out-of-memory killer among them.
    starved: int = 0
    not_before: float = 0.0
    #: To have its GPU to itself, as there was too little memory for several.
    alone: bool = False
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = Watch(self.directory.folder)

    @property
    def source(self) -> Source:
        """See `Source`."""
        return (self.job.data.name, self.job.data.path, self.job.data.column) if isinstance(self.job, Run) else None

    @property
    def weight(self) -> float:
        """How much work the job is, for the order and for the estimate of the remaining time."""
        job = self.job
        return job.steps * job.data.batch_size * job.data.seq_len + 50_000.0 if isinstance(job, Run) else job.weight

    def remedy(self, status: str, shared: bool = False) -> str | None:
        """What is done differently next time after an attempt that left no result; None where it is given up.

        Args:
            status: died, starved (killed by the kernel, as no memory was left), storage, memory; others are given up.
            shared: Was another job on the same GPU?
        """
        if status == "memory":
            if shared and not self.alone:
                self.alone = True
                return "again, with the GPU to itself"
            return self._halve()
        if status == "stopped":  # by somebody else than this sweep
            status = "died"
        if status not in ("died", "starved", "storage") or self.mishaps >= len(DELAYS):
            return None
        delay = DELAYS[self.mishaps]
        self.mishaps += 1
        self.not_before = time.monotonic() + delay
        self.starved += status == "starved"
        if self.starved >= 2:  # once may have been another process's greed
            return self._halve()
        return f"again in {delay:.0f} s"

    def _halve(self) -> str | None:
        if not isinstance(self.job, Run) or self.attempt.micro_batches > 1 or self.job.data.batch_size < 2:
            return None
        self.attempt = dataclasses.replace(self.attempt, micro_batches=2)
        return "again, each batch in two halves"
