"""A sweep that is done elsewhere, watched in the ledger: what becomes of each run, and who is still at it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rnnbench.config import Run
from rnnbench.runs import RunDirectory
from rnnbench.runs.scan import last_step
from rnnbench.sweep.display import Display
from rnnbench.sweep.outcome import Outcome
from rnnbench.sweep.queued_jobs import QueuedJob
from rnnbench.sweep.slurm.queue import Waiting, queue
from rnnbench.sweep.study import Job
from rnnbench.sweep.worker import Attempt

#: Seconds between two looks at the ledger, and at the queue, which the whole cluster shares.
LOOK, ASK = 2.0, 10.0


class Watcher:
    """Follows the runs in the ledger, and says on a display what becomes of them."""

    def __init__(self, jobs: Sequence[Job], root: Path, study: str, display: Display) -> None:
        self.display = display
        tasks = [QueuedJob(job, RunDirectory(root, study, job.id), Attempt()) for job in jobs]
        self.missing = {task.job.id: task for task in tasks if task.directory.result() is None}
        self.outcome = Outcome(skipped=[job.id for job in jobs if job.id not in self.missing])
        self._begun: set[str] = set()
        self._said = ""
        display.start(len(jobs), len(self.outcome.skipped), {id: task.weight for id, task in self.missing.items()})

    def follow(self, arrays: Sequence[str], folder: Path) -> None:
        """Look again and again until no run is missing, or no task of these arrays is left that could do one."""
        self.display.note(f"array {', '.join(arrays)} of Slurm; its logs are in {folder}")
        gone, begun, asked = 0, time.monotonic(), float("-inf")
        while self._look() and gone < 2:
            now = time.monotonic()
            if now - asked >= min(max(ASK, (now - begun) / 30), 60.0):  # the longer it takes, the less is there to see
                asked, queued = now, queue()
                left = None if queued is None else [task for array in arrays for task in queued.get(array, [])]
                # Twice, for what a task did last may take a while to be seen from here.
                gone = gone + 1 if left == [] else 0
                self._say(left)
            time.sleep(max(LOOK, len(self.missing) / 100))

    def _look(self) -> bool:
        for id, task in list(self.missing.items()):
            job, directory = task.job, task.directory
            if (result := directory.result()) is not None:
                del self.missing[id]
                self._over(job, result)
            elif (step := last_step(directory.folder)) is not None:
                self._begin(job)
                if isinstance(job, Run):
                    self.display.update(id, step, job.steps, "train")
        return bool(self.missing)

    def _begin(self, job: Job) -> None:
        if job.id not in self._begun:
            self._begun.add(job.id)
            self.display.begin(job.id, job.label)

    def _over(self, job: Job, result: dict[str, Any]) -> None:
        self._begin(job)  # it may have been over before it was seen to begin
        sentence = str(result.get("error", ""))
        if result["status"] in ("done", "diverged"):
            self.outcome.finished.append(job.id)
        else:
            self.outcome.trouble.append((job.id, sentence))
        self.display.end(job.id, job.label, result["status"], sentence, result)

    def _say(self, left: list[Waiting] | None) -> None:
        if left is None:
            said = "Slurm does not answer squeue; the ledger is watched on"
        else:
            waiting = [task for task in left if task.state == "PENDING"]
            why = ", ".join(sorted({task.reason for task in waiting} - {"None"}))
            said = f"{len(waiting)} of {len(left)} tasks wait: {why}" if why else ""
        if said not in ("", self._said):
            self.display.note(said)
        self._said = said or self._said

    def end(self, arrays: Sequence[str], folder: Path) -> Outcome:
        """Whatever is missing has a reason: what the tasks said, or that they said nothing."""
        said = refusals(arrays, folder)
        heard = any(path for array in arrays for path in folder.glob(f"{array}_*_log.*"))
        unheard = f"the tasks wrote nothing to {folder}; choose an --out that all nodes of the cluster share"
        silent = f"no task of Slurm's array {', '.join(arrays)} finished it; its logs are in {folder}"
        for id, task in self.missing.items():
            reason = said.get(id, silent if heard else unheard)
            self.outcome.trouble.append((id, reason))
            self.display.end(id, task.job.label, "missing", reason)
        return self.outcome


def refusals(arrays: Sequence[str], folder: Path) -> dict[str, str]:
    """Why the tasks of some arrays could not do what they could not do: a sentence by the run's id."""
    said: dict[str, str] = {}
    for path in (path for array in arrays for path in sorted(folder.glob(f"{array}-trouble-*.json"))):
        with suppress(OSError, ValueError):
            said |= json.loads(path.read_text())
    return said
