"""What a sweep is asked for, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rnnbench.runs import RunDirectory
from rnnbench.sweep.study import Job


@dataclass(frozen=True)
class Options:
    """How to sweep.

    Args:
        workers: Jobs at once; None: one a core, or as many as the GPUs hold.
        wandb: offline, online or disabled.
        timeout: Seconds that a job may take before it is stopped and recorded as such; None: as long as it likes.
        retry: Statuses whose results are withdrawn and tried once more.
        wait: Stay, with nothing left to do, until others have done what they are at, to take over should they die;
            else only until each of them was seen to live.
        offset: Begin that many jobs further on: sweeps side by side then meet less often.
    """

    workers: int | None = None
    wandb: str = "offline"
    timeout: float | None = None
    retry: frozenset[str] = frozenset()
    offset: int = 0
    wait: bool = True


@dataclass
class Outcome:
    """The jobs' ids by what became of them."""

    #: Had a result before.
    skipped: list[str] = field(default_factory=list)
    #: Done or diverged, by this sweep or by another one meanwhile.
    finished: list[str] = field(default_factory=list)
    #: (id, what happened): failed, oom and timeout are recorded; the others a later sweep takes up again.
    trouble: list[tuple[str, str]] = field(default_factory=list)
    #: Was the sweep told to stop before all was done?
    stopped: bool = False
    #: Was W&B's server out of reach?
    offline: bool = False

    def __iadd__(self, other: Outcome) -> Outcome:
        self.skipped += other.skipped
        self.finished += other.finished
        self.trouble += other.trouble
        self.stopped |= other.stopped
        self.offline |= other.offline
        return self


#: A job, and its result where that is to be withdrawn.
Pending = tuple[Job, dict[str, Any] | None]


def pending(jobs: Sequence[Job], root: Path, study: str, retry: frozenset[str]) -> list[Pending]:
    """The jobs that the ledger has no result for, and those whose status says that they are to be tried again."""
    out: list[Pending] = []
    for job in jobs:
        result = RunDirectory(root, study, job.id).result()
        if result is None or result["status"] in retry:
            out.append((job, result))
    return out
