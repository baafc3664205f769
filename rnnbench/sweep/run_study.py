"""A study from its first job to the last that its results ask for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from rnnbench.runs import RunDirectory, friendly, write_study
from rnnbench.sweep.display import Display
from rnnbench.sweep.outcome import Options, Outcome
from rnnbench.sweep.study import Job, Study

#: What does the jobs that it is given, here or on a cluster: (jobs, runs folder, study's name, options, display).
Launcher = Callable[[Sequence[Job], Path, str, Options, Display], Outcome]


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
    """The preset's jobs; of a study with a follow-up, those that the ledger's results ask for as well."""
    return study.jobs(preset, results_of(study, root) if study.follow_up else None)


def describe(study: Study, preset: str, root: Path) -> None:
    """Write what the study is beside its runs: the report reads nothing else of it."""
    folder = root / study.name
    with friendly(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_study(folder, study.described(preset, results_of(study, root) if study.follow_up else None))


def results_of(study: Study, root: Path) -> dict[str, dict[str, Any]]:
    """What the ledger has of a study, by the job's id."""
    folder = root / study.name
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return {name: result for name in names if (result := RunDirectory(root, study.name, name).result()) is not None}


def locally(jobs: Sequence[Job], root: Path, study: str, options: Options, display: Display) -> Outcome:
    """The launcher of this machine."""
    from rnnbench.sweep.scheduler import Scheduler

    return Scheduler(jobs, root, study, options, display).run()
