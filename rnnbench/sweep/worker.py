"""One job in a process of its own."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rnnbench.config import Run
from rnnbench.errors import UserError
from rnnbench.ledger import Busy, Entry, Progress, Start, friendly
from rnnbench.sweep.study import Job


def work(job: Job, root: Path, study: str, wandb: str, workers: int, pipe: Connection) -> None:
    """Do a job and say how it went. What it prints goes to ``log.txt`` in its folder.

    Through the pipe go ("progress", done, total, what), and at last ("end", status, sentence).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the launcher's business
    threading.Thread(target=_die_with_launcher, args=(pipe,), daemon=True).start()
    entry = Entry(root, study, job.id)
    start = Start()

    def tell(*message: object) -> None:
        try:
            pipe.send(message)
        except OSError:  # the launcher is gone: that is not this run's failure, and none is recorded
            os._exit(1)

    try:
        _redirect_output(entry)
        result = execute(job, root, study, wandb, workers, lambda *how_far: tell("progress", *how_far))
        tell("end", result["status"], "")
    except Busy as error:
        tell("end", "busy", str(error))
    except UserError as error:
        # The input or the machine, not the run: nothing is recorded, so the run is tried again once it is mended.
        tell("end", "refused", str(error))
    except Exception as error:
        trace = traceback.format_exc()
        print(trace, file=sys.stderr)
        sentence = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}".strip()
        entry.finish(job, "failed", start, {}, {}, error=sentence, traceback=trace)
        tell("end", "failed", sentence)


def execute(job: Job, root: Path, study: str, wandb: str, workers: int, progress: Progress) -> dict[str, Any]:
    """Do a job of either kind and return its result."""
    if isinstance(job, Run):
        from rnnbench.train import train

        return train(job, root, study, wandb, progress, workers=workers)
    from rnnbench.throughput.measure import measure

    return measure(job, root, study, wandb, progress)


def prepare(run: Run, pipe: Connection) -> None:
    """Make what many runs share, the text in the cache and its reference lines, and say how it went."""
    from rnnbench.data.load import load

    try:
        load(run.data, run.seed).references()
        pipe.send(("end", "done", ""))
    except UserError as error:
        pipe.send(("end", "refused", str(error)))


def _redirect_output(entry: Entry) -> None:
    with friendly(entry.folder):
        entry.folder.mkdir(parents=True, exist_ok=True)
        log = os.open(entry.path("log.txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _die_with_launcher(pipe: Connection) -> None:
    """The launcher never sends anything: when its end closes, it is gone, and an orphan would fight its successor."""
    try:
        pipe.recv()
    except (EOFError, OSError):
        os._exit(1)
