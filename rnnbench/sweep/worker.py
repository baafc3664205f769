"""A worker process: one job in a process of its own, and the sweep's end of it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from rnnbench import tracking
from rnnbench.config import Run
from rnnbench.errors import UserError, told
from rnnbench.runs import LOG, Busy, Progress, RunDirectory, Start, StorageError, friendly
from rnnbench.runs.lock import State
from rnnbench.sweep.slots import DeviceSlot, QueuedJob, Source
from rnnbench.sweep.study import Job
from rnnbench.system import signals
from rnnbench.system.machine import oom_kills

#: Seconds that a process has for its checkpoint once it was asked to stop.
GRACE = 20.0
#: Environment variables of ours and W&B's: a worker has the sweep's, not those of the server that it is forked from.
SETTINGS = ("RNNBENCH_", "WANDB_", "CUDA_VISIBLE_DEVICES")


@dataclass(frozen=True)
class Attempt:
    """How a job is to be tried this time.

    Args:
        wandb: offline, online or disabled.
        workers: Jobs that share the machine, this one included.
        gpu: As CUDA_VISIBLE_DEVICES names it; None: what the environment says.
        micro_batches: Parts that a batch is cut into, for a run that was too large for the memory.
        stale_lock: A lock whose holder, on another machine, is known to be dead.
    """

    wandb: str = "disabled"
    workers: int = 1
    gpu: str | None = None
    micro_batches: int = 1
    stale_lock: State | None = None


class WorkerProcess:
    """A process and the pipe that it sends messages through, as the sweep sees them.

    Args:
        target: What it does, given ``args`` and its end of the pipe.
        queued: The job that it is at work on; None where it reads the data that several jobs share.
    """

    def __init__(
        self,
        context: ForkServerContext,
        target: Callable[..., None],
        args: tuple[Any, ...],
        queued: QueuedJob | None = None,
        source: Source = None,
        slot: DeviceSlot | None = None,
    ) -> None:
        self.queued, self.source, self.slot = queued, source, slot or DeviceSlot()
        self.ended: tuple[str, str] | None = None
        self.stop_time: float | None = None
        self.timed_out = False
        self.step: tuple[int, int] = (0, 0)
        self._oom_kills_before = oom_kills()
        self.pipe, theirs = context.Pipe()
        settings = {name: value for name, value in os.environ.items() if name.startswith(SETTINGS)}
        self.process = context.Process(target=_main, args=(target, args, settings, os.getcwd(), theirs))
        self.process.start()  # waits for the server's imports, the first time
        self.start = Start()
        theirs.close()

    def enforce(self, timeout: float | None) -> None:
        """Stop a job that has taken longer than that many seconds; kill a process that does not stop in time."""
        now = time.monotonic()
        if timeout is not None and self.queued is not None and now - self.start.clock > timeout:
            self.timed_out = True
            self.stop()
        if self.stop_time is not None and now - self.stop_time > GRACE:
            self.process.kill()

    def stop(self) -> None:
        """Ask the process for a checkpoint and its end."""
        if self.stop_time is None:
            self.stop_time = time.monotonic()
            self.process.terminate()

    def exit_reason(self) -> tuple[str, str]:
        """Status and sentence: as the process reported them, or of one that could not."""
        if self.ended is not None:
            return self.ended
        code = self.process.exitcode or 0
        if code == -signal.SIGKILL and oom_kills() > self._oom_kills_before:
            return "starved", "killed by the kernel, as no memory was left"
        if code < 0:
            return "died", f"its process was ended by {signal.Signals(-code).name}"
        return "died", f"its process ended with code {code}"


# --- what the process does --------------------------------------------------------------------------------------------


def _main(
    target: Callable[..., None], args: tuple[Any, ...], settings: Mapping[str, str], folder: str, pipe: Connection
) -> None:
    """Ctrl-C, which a terminal sends to all, is the sweep's business; a SIGTERM ends the run at its next batch.

    folder: The sweep's working folder, from which files of cells are named.
    """
    for name in [name for name in os.environ if name.startswith(SETTINGS)]:
        del os.environ[name]
    os.environ.update(settings)
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signals.arm(signal.SIGTERM)
    threading.Thread(target=_exit_with_sweep, args=(pipe,), daemon=True).start()
    target(*args, pipe)


def _exit_with_sweep(pipe: Connection) -> None:
    """The sweep never sends anything: when its end closes, it is gone, and an orphan would fight its successor."""
    try:
        pipe.recv()
    except (EOFError, OSError):
        os._exit(1)


def work(job: Job, root: Path, study: str, attempt: Attempt, pipe: Connection) -> None:
    """Do a job and report how it went. What it prints goes to ``log.txt`` in its folder.

    Through the pipe go ("progress", done, total, what), ("offline",) where W&B's server was waited for in vain, and at
    last ("end", status, sentence). The status is the result's where one was recorded; else busy, refused (the input),
    storage (the disk of the results), memory (too little of it, and the scheduler may retry) or stopped.
    """
    if attempt.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = attempt.gpu
    directory = RunDirectory(root, study, job.id)
    start = Start()

    def send(*message: object) -> None:
        try:
            pipe.send(message)
        except OSError:  # the sweep is gone: that is not this run's failure, and none is recorded
            os._exit(1)

    try:
        _redirect_output(directory)
        result = execute(job, root, study, attempt, lambda *how_far: send("progress", *how_far))
        if tracking.out_of_reach():
            send("offline")
        end = result["status"], ""
    except (signals.Stopped, KeyboardInterrupt):
        end = "stopped", ""
    except UserError as error:  # the input or the machine, not the run: nothing is recorded, so it is tried again
        end = "storage" if isinstance(error, StorageError) else "refused", str(error)
    except Busy as error:
        end = "busy", str(error)
    except Exception as error:
        end = _failure(error, job, directory, start)
    send("end", *end)


def _failure(error: Exception, job: Job, directory: RunDirectory, start: Start) -> tuple[str, str]:
    """Record what an error makes of a job; its status and the error on one line."""
    from rnnbench.throughput.memory import out_of_memory

    trace, sentence = traceback.format_exc(), told(error)
    print(trace, file=sys.stderr, flush=True)
    if out_of_memory(error):
        return "memory", sentence
    return record(job, directory, "failed", start, sentence, traceback=trace)


def record(
    job: Job, directory: RunDirectory, status: str, start: Start, sentence: str, micro_batches: int = 1, **more: str
) -> tuple[str, str]:
    """Write the result of a run that did not end by itself; the status recorded, or why it could not be."""
    how = {"micro_batches": micro_batches} if micro_batches > 1 else {}
    try:
        with directory.opened(job.to_dict()):
            known = directory.result() or directory.finish(job, status, start, {}, how, error=sentence, **more)
        return known["status"], sentence
    except Busy as error:
        return "busy", str(error)
    except StorageError as error:
        return "storage", str(error)


def execute(job: Job, root: Path, study: str, attempt: Attempt, progress: Progress) -> dict[str, Any]:
    """Do a job of either kind and return its result."""
    if isinstance(job, Run):
        from rnnbench.system.machine import resolve_device
        from rnnbench.throughput.memory import fence
        from rnnbench.training import train

        # So that a run too large for the memory gets an error, and the kernel does not choose a process to kill.
        with fence() if resolve_device(job.device) == "cpu" else nullcontext():
            return train(
                job, root, study, attempt.wandb, progress, workers=attempt.workers,
                micro_batches=attempt.micro_batches, over=attempt.stale_lock,
            )  # fmt: skip
    from rnnbench.throughput.measure import measure

    return measure(job, root, study, attempt.wandb, progress)


def prepare(run: Run, pipe: Connection) -> None:
    """Make what many runs share, the data in the cache and their baselines, and report how it went."""
    from rnnbench.data.load import load

    try:
        load(run.data, run.order_seed).references()
        end = "done", ""
    except (signals.Stopped, KeyboardInterrupt):
        end = "stopped", ""
    except UserError as error:
        end = "refused", str(error)
    except Exception as error:
        end = "refused", f"{run.data.label} cannot be read: {told(error)}"
    pipe.send(("end", *end))


def _redirect_output(directory: RunDirectory) -> None:
    with friendly(directory.folder):
        directory.folder.mkdir(parents=True, exist_ok=True)
        log = os.open(directory.path(LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
