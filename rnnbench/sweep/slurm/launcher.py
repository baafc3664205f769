"""A sweep on a Slurm cluster: N tasks, each the ordinary local sweep, on one ledger.

Each task leaves alone the runs that are finished or that a living process is at work on, so every run is done once,
whichever task does it. What is done is decided by the ledger alone. The process that hands the array in only watches:
it can be ended and started again, and tasks that are queued or running already are not handed in twice.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rnnbench.config import Run
from rnnbench.errors import UserError
from rnnbench.runs import Busy, RunDirectory, friendly, write_atomic
from rnnbench.sweep.display import Display
from rnnbench.sweep.outcome import Options, Outcome, pending
from rnnbench.sweep.run_study import Launcher
from rnnbench.sweep.slurm.queue import Parameters, check_slurm, queue, submit
from rnnbench.sweep.slurm.task import FOLDER, ArrayTask
from rnnbench.sweep.slurm.watch import Watcher, refusals
from rnnbench.sweep.study import Job

#: Sweeps at once where no number is asked for.
TASKS = 8
#: How often what is missing is handed in, as long as each round finishes something.
ROUNDS = 3


def slurm_launcher(tasks: int | None, parameters: Parameters) -> Launcher:
    """The launcher of a cluster. Ctrl-C ends the watching; the tasks go on.

    Args:
        tasks: Sweeps at once, at most; None: `TASKS`. Each has as many workers as Slurm gives it processors.
        parameters: sbatch's own options, see `parse_parameters`.

    Raises:
        UserError: there is no Slurm here, or no submitit.
    """
    check_slurm()

    def launch(jobs: Sequence[Job], root: Path, study: str, options: Options, display: Display) -> Outcome:
        for job in jobs:
            if not isinstance(job, Run) and not parameters.get("exclusive"):
                raise UserError(f"{job.id} is a timing, which needs a machine to itself; add --slurm exclusive.")
        return _Cluster(root.resolve(), study, options, tasks or TASKS, parameters).do(jobs, display)

    return launch


@dataclass(frozen=True)
class _Cluster:
    """One study's arrays; ``options`` as for a local sweep, but for the number of workers."""

    root: Path
    study: str
    options: Options
    tasks: int
    parameters: Parameters

    def do(self, jobs: Sequence[Job], display: Display) -> Outcome:
        """Do every job that the ledger has no result for, and watch until there is nothing to wait for."""
        with friendly(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        self._withdraw(jobs)
        watch = Watcher(jobs, self.root, self.study, display)
        followed: dict[str, set[str]] = {}
        rounds = 0
        try:
            while watch.missing:
                arrays = self._under_way()
                covered = {id for ids in arrays.values() for id in ids} | refusals(list(followed), self._folder).keys()
                uncovered = [task.job for id, task in watch.missing.items() if id not in covered]
                if uncovered and rounds < ROUNDS:
                    rounds += 1
                    arrays |= self._submitted(uncovered)
                elif not arrays:
                    break
                followed |= arrays
                before = len(watch.missing)
                watch.follow(list(arrays), self._folder)
                if uncovered and len(watch.missing) == before:
                    break
        except KeyboardInterrupt:
            if followed:
                these = " ".join(followed)
                display.note(f"the tasks go on; the same command follows them, and scancel {these} ends them")
            watch.outcome.stopped = True
            return watch.outcome
        return watch.end(list(followed), self._folder)

    @property
    def _folder(self) -> Path:
        return self.root / self.study / FOLDER

    @property
    def _name(self) -> str:
        return f"rnnbench-{self.study}"

    def _withdraw(self, jobs: Sequence[Job]) -> None:
        """Take back the results that are to be tried once more: here and once, and not by every task."""
        for job, result in pending(jobs, self.root, self.study, self.options.retry):
            if result is not None:
                with suppress(Busy):
                    RunDirectory(self.root, self.study, job.id).withdraw(result)

    def _submitted(self, jobs: list[Job]) -> dict[str, set[str]]:
        """Hand an array in, and leave a note in the study's folder that it is there."""
        count = min(self.tasks, len(jobs))
        ours = {name: value for name, value in os.environ.items() if name.startswith("RNNBENCH_")}
        offsets = [index * len(jobs) // count for index in range(count)]
        options = [dataclasses.replace(self.options, retry=frozenset(), offset=offset) for offset in offsets]
        tasks = [ArrayTask(tuple(jobs), self.root, self.study, each, ours) for each in options]
        array = submit(tasks, self._folder, self._name, self.parameters)
        ids = [job.id for job in jobs]
        write_atomic(self._folder / f"{array}-runs.json", json.dumps(ids).encode())
        return {array: set(ids)}

    def _under_way(self) -> dict[str, set[str]]:
        """The arrays of the study that Slurm still has tasks of, each with the runs that it is to do."""
        notes = {path.name.removesuffix("-runs.json"): path for path in self._folder.glob("*-runs.json")}
        if not notes:
            return {}
        if (queued := queue()) is None:
            raise UserError("Slurm does not answer squeue; say the same again once its controller is back.")
        found = {}
        for array, path in notes.items():
            # By name too: on another cluster, the number may be another job's.
            if any(task.name == self._name for task in queued.get(array, [])):
                with suppress(OSError, ValueError):
                    found[array] = set(json.loads(path.read_text()))
            else:
                path.unlink(missing_ok=True)
        return found
