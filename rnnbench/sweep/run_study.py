"""A study from its first job to the last that its results ask for; then the speeds of its trainings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rich.console import Console

from rnnbench.config import Run
from rnnbench.errors import UserError, told
from rnnbench.runs import RunDirectory, StorageError, friendly, read_speeds, setting_of, write_speeds, write_study
from rnnbench.sweep.display import Display
from rnnbench.sweep.study import Job, Results, Study
from rnnbench.sweep.worker import WorkerProcess
from rnnbench.system.processes import forkserver


@dataclass(frozen=True)
class Options:
    """How to sweep.

    Args:
        workers: Jobs at once; None: one a core, or as many as the GPUs hold.
        wandb: offline, online or disabled.
        timeout: Seconds that a job may take before it is stopped and recorded as such; None: no limit.
        retry: Statuses whose results are withdrawn and tried once more.
        wait: With nothing left to do, stay until other sweeps have finished what they are at, to take over should they
            die; else only until each of them was seen to live.
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
    """The jobs' ids by what became of them.

    Args:
        skipped: Had a result before.
        finished: Done or diverged, by this sweep or by another one meanwhile.
        trouble: (id, what happened): failed, oom and timeout are recorded; the others a later sweep takes up again.
        stopped: The sweep was asked to stop before all was done.
        offline: W&B's server was out of reach.
    """

    skipped: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    trouble: list[tuple[str, str]] = field(default_factory=list)
    stopped: bool = False
    offline: bool = False

    def __iadd__(self, other: Outcome) -> Outcome:
        self.skipped += other.skipped
        self.finished += other.finished
        self.trouble += other.trouble
        self.stopped |= other.stopped
        self.offline |= other.offline
        return self

    def end(self, id: str, status: str, sentence: str) -> None:
        """A job has ended."""
        if status in ("done", "diverged"):
            self.finished.append(id)
        else:
            self.trouble.append((id, sentence))


#: What does the jobs, here or on a cluster: (jobs, runs folder, study's name, options, display).
Launcher = Callable[[Sequence[Job], Path, str, Options, Display], Outcome]


def pending(
    jobs: Sequence[Job], root: Path, study: str, retry: frozenset[str]
) -> list[tuple[Job, dict[str, Any] | None]]:
    """The jobs without a result, and those to be tried again by their status, each with the result to withdraw."""
    results = [(job, RunDirectory(root, study, job.id).result()) for job in jobs]
    return [(job, result) for job, result in results if result is None or result["status"] in retry]


def run_study(study: Study, preset: str, root: Path, options: Options, launch: Launcher, console: Console) -> Outcome:
    """Do a preset's jobs, and as often as their results ask for more, those; what could not be done is not tried twice.

    Raises:
        UserError: no such preset, or the launcher cannot be used here.
    """
    jobs = jobs_of(study, preset, root)
    outcome, waiting = Outcome(), jobs
    while waiting and not outcome.stopped:
        describe(study, preset, root)
        with Display(console) as display:
            outcome += launch(waiting, root, study.name, options, display)
        if outcome.offline:  # once was enough to wait for W&B's server
            options = dataclasses.replace(options, wandb="offline")
        known = {job.id for job in jobs}
        waiting = [job for job in jobs_of(study, preset, root) if job.id not in known]
        jobs = [*jobs, *waiting]
    return outcome


def jobs_of(study: Study, preset: str, root: Path) -> list[Job]:
    """The preset's jobs; of a study with a follow-up, those that the results ask for as well."""
    return study.jobs(preset, results_of(study, root) if study.follow_up else None)


def describe(study: Study, preset: str, root: Path) -> None:
    """Write what the study is beside its runs: the report reads nothing else of it."""
    folder = root / study.name
    with friendly(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_study(folder, study.described(preset, results_of(study, root) if study.follow_up else None))


def results_of(study: Study, root: Path) -> dict[str, dict[str, Any]]:
    """All results in a study's folder, by the job's id."""
    folder = root / study.name
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return {name: result for name in names if (result := RunDirectory(root, study.name, name).result()) is not None}


def measure_speeds(folder: Path, jobs: Sequence[Job], results: Results, console: Console) -> None:
    """Write `speeds.json` where a setting of the jobs has none yet; then all of theirs are measured, in turns.

    They are measured in one process that has the machine to itself; a run that is not done is not timed.
    """
    done = [
        job for job in jobs if isinstance(job, Run) and results.get(job.id, {}).get("status") == "done" and job.steps
    ]
    settings = {setting_of(run.to_dict()): run for run in reversed(done)}
    if not settings.keys() - read_speeds(folder).keys():
        return
    worker = WorkerProcess(forkserver(["rnnbench.training"]), _time, ([*settings.values()],))
    with console.status("speeds") as status:
        message: tuple[Any, ...] = ("progress", 0, "?")
        while message[0] == "progress":
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError):
                message = ("failed", "its process was ended")
            if message[0] == "progress":
                status.update(f"speeds: each setting trained by itself, turn {message[1]} of {message[2]}")
    worker.process.join()
    if message[0] == "done":
        try:
            write_speeds(folder, message[1])
        except StorageError as error:  # the runs are done, and the next sweep measures again
            message = ("failed", str(error))
    if message[0] == "failed":
        console.print(f"no speeds were measured: {message[1]}", highlight=False, soft_wrap=True)


def _time(runs: Sequence[Run], pipe: Connection) -> None:
    from rnnbench.training.speed import time_steps

    try:
        pipe.send(("done", time_steps(runs, lambda done, total: pipe.send(("progress", done, total)))))
    except UserError as error:
        pipe.send(("failed", str(error)))
    except Exception as error:
        pipe.send(("failed", told(error)))
