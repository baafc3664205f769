"""One job in a process of its own."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rnnbench import tracking
from rnnbench.config import Run
from rnnbench.errors import UserError, told
from rnnbench.runs import LOG, Busy, Progress, RunDirectory, Start, StorageError, friendly
from rnnbench.runs.lock import State
from rnnbench.sweep.study import Job
from rnnbench.system import signals


@dataclass(frozen=True)
class Attempt:
    """How a job is to be tried this time.

    Args:
        wandb: offline, online or disabled.
        workers: Jobs that share the machine, this one included.
        gpu: The GPU to see, as CUDA_VISIBLE_DEVICES names it; None: what the environment says.
        micro_batches: Parts that a batch is cut into, for a run that was too large for the memory.
        over: A lock whose holder, on another machine, is known to be dead.
    """

    wandb: str = "disabled"
    workers: int = 1
    gpu: str | None = None
    micro_batches: int = 1
    over: State | None = None


#: Settings of ours and W&B's: a worker has those of the sweep, not those of the server that it is forked from.
SETTINGS = ("RNNBENCH_", "WANDB_", "CUDA_VISIBLE_DEVICES")


def settings() -> dict[str, str]:
    """What `work` is to be told of this process's environment."""
    return {name: value for name, value in os.environ.items() if name.startswith(SETTINGS)}


def work(job: Job, root: Path, study: str, attempt: Attempt, told_by: Mapping[str, str], pipe: Connection) -> None:
    """Do a job and say how it went. What it prints goes to ``log.txt`` in its folder.

    Through the pipe go ("progress", done, total, what), ("offline",) where W&B's server was waited for in vain, and at
    last ("end", status, sentence). The status is the
    result's where one was recorded; else busy, refused (the input), storage (the ledger's disk), memory (too little of
    it, and the launcher may know a remedy) or stopped.
    """
    obey(told_by, pipe)
    if attempt.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = attempt.gpu
    directory = RunDirectory(root, study, job.id)
    start = Start()

    def tell(*message: object) -> None:
        try:
            pipe.send(message)
        except OSError:  # the launcher is gone: that is not this run's failure, and none is recorded
            os._exit(1)

    try:
        _redirect_output(directory)
        result = execute(job, root, study, attempt, lambda *how_far: tell("progress", *how_far))
        if tracking.out_of_reach():
            tell("offline")
        tell("end", result["status"], "")
    except (signals.Stopped, KeyboardInterrupt):
        tell("end", "stopped", "")
    except Busy as error:
        tell("end", "busy", str(error))
    except StorageError as error:
        tell("end", "storage", str(error))
    except UserError as error:
        # The input or the machine, not the run: nothing is recorded, so the run is tried again once it is mended.
        tell("end", "refused", str(error))
    except Exception as error:
        tell("end", *_failure(error, job, directory, start))


def _failure(error: Exception, job: Job, directory: RunDirectory, start: Start) -> tuple[str, str]:
    """Record what an error makes of a job; its status and the error on one line."""
    from rnnbench.throughput.memory import out_of_memory

    trace, sentence = traceback.format_exc(), told(error)
    print(trace, file=sys.stderr, flush=True)
    if out_of_memory(error):
        return "memory", sentence
    try:
        with directory.opened(job.to_dict()):
            known = directory.result() or directory.finish(
                job, "failed", start, {}, {}, error=sentence, traceback=trace
            )
    except Busy as busy:
        return "busy", str(busy)
    except StorageError as full:
        return "storage", str(full)
    return known["status"], sentence


def execute(job: Job, root: Path, study: str, attempt: Attempt, progress: Progress) -> dict[str, Any]:
    """Do a job of either kind and return its result."""
    if isinstance(job, Run):
        from rnnbench.system.machine import resolve_device
        from rnnbench.throughput.memory import fence
        from rnnbench.training import train

        # So that a run too large for the memory is told so, and the kernel does not choose a process to kill.
        with fence() if resolve_device(job.device) == "cpu" else nullcontext():
            return train(
                job, root, study, attempt.wandb, progress, workers=attempt.workers,
                micro_batches=attempt.micro_batches, over=attempt.over,
            )  # fmt: skip
    from rnnbench.throughput.measure import measure

    return measure(job, root, study, attempt.wandb, progress)


def prepare(run: Run, told_by: Mapping[str, str], pipe: Connection) -> None:
    """Make what many runs share, the text in the cache and its reference lines, and say how it went."""
    obey(told_by, pipe)
    from rnnbench.data.load import load

    try:
        load(run.data, run.order_seed).references()
        pipe.send(("end", "done", ""))
    except (signals.Stopped, KeyboardInterrupt):
        pipe.send(("end", "stopped", ""))
    except UserError as error:
        pipe.send(("end", "refused", str(error)))
    except Exception as error:
        pipe.send(("end", "refused", f"{run.data.label} cannot be read: {told(error)}"))


def obey(told_by: Mapping[str, str], pipe: Connection) -> None:
    """Ctrl-C, which a terminal sends to all, is the launcher's business; a SIGTERM ends the run at its next batch."""
    for name in [name for name in os.environ if name.startswith(SETTINGS)]:
        del os.environ[name]
    os.environ.update(told_by)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signals.arm(signal.SIGTERM)
    threading.Thread(target=_die_with_launcher, args=(pipe,), daemon=True).start()


def _redirect_output(directory: RunDirectory) -> None:
    with friendly(directory.folder):
        directory.folder.mkdir(parents=True, exist_ok=True)
        log = os.open(directory.path(LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _die_with_launcher(pipe: Connection) -> None:
    """The launcher never sends anything: when its end closes, it is gone, and an orphan would fight its successor."""
    try:
        pipe.recv()
    except (EOFError, OSError):
        os._exit(1)
