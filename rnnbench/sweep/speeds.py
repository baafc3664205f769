"""Speeds of a study's trainings, measured once its runs are done: in one process, with the machine to itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from rich.console import Console

from rnnbench.config import Run
from rnnbench.errors import UserError, told
from rnnbench.runs import StorageError, read_speeds, setting_of, write_speeds
from rnnbench.sweep.study import Job, Results
from rnnbench.sweep.worker import obey, settings
from rnnbench.system.processes import forkserver


def measure_speeds(folder: Path, jobs: Sequence[Job], results: Results, console: Console) -> None:
    """Write `speeds.json` where a setting of the jobs has none yet; then all of theirs are measured, in turns.

    Args:
        folder: The study's.
        jobs: Its jobs.
        results: What the ledger has of them: a run that is not done is not timed.
        console: Where it is said what happens.
    """
    done = [
        job for job in jobs if isinstance(job, Run) and results.get(job.id, {}).get("status") == "done" and job.steps
    ]
    groups = {setting_of(run.to_dict()): run for run in reversed(done)}
    if not groups or not groups.keys() - read_speeds(folder).keys():
        return
    context = forkserver(["rnnbench.training"])
    ours, theirs = context.Pipe()
    process = context.Process(target=_time, args=([*groups.values()], settings(), theirs))
    process.start()
    theirs.close()
    with console.status("speeds") as status:
        while True:
            try:
                what, *more = ours.recv()
            except (EOFError, OSError):
                what, more = "failed", ["its process was ended"]
            if what != "progress":
                break
            status.update(f"speeds: each setting trained by itself, turn {more[0]} of {more[1]}")
    process.join()
    if what == "done":
        try:
            write_speeds(folder, more[0])
        except StorageError as error:  # the runs are done, and the next sweep measures again
            what, more = "failed", [str(error)]
    if what == "failed":
        console.print(f"no speeds were measured: {more[0]}", highlight=False, soft_wrap=True)


def _time(runs: Sequence[Run], told_by: Mapping[str, str], pipe: Connection) -> None:
    obey(told_by, pipe)
    from rnnbench.training.speed import time_steps

    try:
        pipe.send(("done", time_steps(runs, lambda done, total: pipe.send(("progress", done, total)))))
    except UserError as error:
        pipe.send(("failed", str(error)))
    except Exception as error:
        pipe.send(("failed", told(error)))
