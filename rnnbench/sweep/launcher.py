"""Local workers: a process a job, forked from a server that has the imports done, one thread each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from rnnbench.config import Run
from rnnbench.errors import UserError
from rnnbench.forkserver import forkserver
from rnnbench.ledger import Entry
from rnnbench.sweep.display import Display
from rnnbench.sweep.study import Job
from rnnbench.sweep.worker import prepare, work


@dataclass
class Outcome:
    """How a sweep ended: the ids by what became of them."""

    skipped: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    #: (id, what happened): failed, which is recorded, or killed, refused or busy, which a later sweep takes up again.
    trouble: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class _Slot:
    job: Job
    process: BaseProcess
    pipe: Connection
    ended: tuple[str, str] | None = None


def default_jobs() -> int:
    """Workers at once: one a core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def sweep(
    jobs: Sequence[Job], root: Path, study: str, workers: int, wandb: str, display: Display, retry_failed: bool = False
) -> Outcome:
    """Do every job that the ledger has no result for.

    A job that fails is recorded and the others go on. A job whose process is killed is not recorded: the same command
    takes it up again from its checkpoint. A timing has the machine to itself, whatever ``workers`` says.
    """
    outcome, waiting = Outcome(), []
    for job in jobs:
        entry = Entry(root, study, job.id)
        result = entry.result()
        if result is None or (retry_failed and result["status"] == "failed"):
            entry.path("result.json").unlink(missing_ok=True)
            waiting.append(job)
        else:
            outcome.skipped.append(job.id)
    display.start(total=len(jobs), skipped=len(outcome.skipped), weights={job.id: _weight(job) for job in waiting})
    if not waiting:
        return outcome
    extra = ["wandb"] if wandb != "disabled" else []
    context = forkserver(["rnnbench.train", "rnnbench.throughput.measure", *extra])
    slots: list[_Slot] = []
    try:
        waiting = _prepared(context, waiting, outcome, display)
        # Runs before timings; the longest first, so that the last worker is not left alone with a long one.
        waiting.sort(key=lambda job: (not isinstance(job, Run), -_weight(job)))
        while waiting or slots:
            while waiting and len(slots) < (workers if isinstance(waiting[0], Run) else 1):
                job = waiting.pop(0)
                slots.append(_launch(context, job, root, study, wandb, workers))
                display.begin(job.id, job.label)
            _listen(slots, root, study, outcome, display)
    finally:
        for slot in slots:
            slot.process.kill()
            slot.process.join()
    return outcome


def _weight(job: Job) -> float:
    """How much work a job is, for the estimate of the remaining time."""
    return job.steps * job.data.batch_size * job.data.seq_len + 50_000.0 if isinstance(job, Run) else job.weight


def _prepared(context: ForkServerContext, jobs: list[Job], outcome: Outcome, display: Display) -> list[Job]:
    """Make what the runs share, once a data set; leave out the runs whose data cannot be had."""
    verdicts: dict[object, str] = {}
    for job in jobs:
        if not isinstance(job, Run) or _source(job) in verdicts:
            continue
        display.note(f"reading {job.data.label} and its reference lines")
        ours, theirs = context.Pipe()
        process = context.Process(target=prepare, args=(job, theirs))
        process.start()
        theirs.close()
        try:
            _, status, sentence = ours.recv()
        except EOFError:
            status, sentence = "died", "the process that read the data died"
        process.join()
        verdicts[_source(job)] = "" if status == "done" else sentence
    ready = []
    for job in jobs:
        reason = verdicts[_source(job)] if isinstance(job, Run) else ""
        if reason:
            outcome.trouble.append((job.id, reason))
            display.end(job.id, job.label, "refused", reason)
        else:
            ready.append(job)
    return ready


def _source(run: Run) -> tuple[str | None, ...]:
    return run.data.name, run.data.path, run.data.column


def _launch(context: ForkServerContext, job: Job, root: Path, study: str, wandb: str, workers: int) -> _Slot:
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(job, root, study, wandb, workers, theirs), name=job.id)
    process.start()
    theirs.close()
    return _Slot(job, process, ours)


def _listen(slots: list[_Slot], root: Path, study: str, outcome: Outcome, display: Display) -> None:
    """Take what the workers say; clear the slots of those that are gone."""
    by_pipe = {slot.pipe: slot for slot in slots}
    for pipe in wait(list(by_pipe), timeout=1.0):
        assert isinstance(pipe, Connection)
        slot = by_pipe[pipe]
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            slots.remove(slot)
            _close(slot, root, study, outcome, display)
            continue
        if message[0] == "progress":
            display.update(slot.job.id, *message[1:])
        else:
            slot.ended = (message[1], message[2])


def _close(slot: _Slot, root: Path, study: str, outcome: Outcome, display: Display) -> None:
    slot.process.join()
    slot.pipe.close()
    job = slot.job
    status, sentence = slot.ended or ("died", f"its process ended with code {slot.process.exitcode}")
    result = Entry(root, study, job.id).result()
    if status in ("done", "diverged") and result is None:
        status, sentence = "died", "no result was left behind"
    if status in ("done", "diverged"):
        outcome.finished.append(job.id)
    else:
        outcome.trouble.append((job.id, sentence))
    display.end(job.id, job.label, status, sentence, result)


def check_root(root: Path) -> None:
    """Refuse a runs folder that cannot be written before any work is done."""
    import tempfile

    from rnnbench.ledger import friendly

    if root.exists() and not root.is_dir():
        raise UserError(f"{root} is a file, not a folder; choose another with --out.")
    with friendly(root):
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
