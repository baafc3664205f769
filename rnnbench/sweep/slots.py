"""Where the next job may run: a core, or a GPU with room for it. A timing has the machine to itself."""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from rnnbench.config import Run
from rnnbench.runs import Start
from rnnbench.sweep.queued_jobs import QueuedJob, Source
from rnnbench.system.machine import Gpu, cuda_build, gpus, oom_kills

#: Small runs that share one GPU: more of them queue up for the same multiprocessors.
PER_GPU = 4
#: MiB that a process takes on a GPU before its first tensor (context, cuBLAS, cuDNN), and the share of it to plan with.
CONTEXT, SHARE = 900.0, 0.9


@dataclass(frozen=True)
class DeviceSlot:
    """gpu: as CUDA_VISIBLE_DEVICES names it; None: a core alone. mib: what the job is expected to take of it."""

    gpu: str | None = None
    mib: float = 0.0


#: What is at work: a task and its place each, the task None where data are being read.
Busy = Sequence[tuple[QueuedJob | None, DeviceSlot]]


class DeviceSlots:
    """The machine's cores and GPUs.

    Args:
        workers: Jobs at once; None: one a core, and on GPUs at most `PER_GPU` each.
        found: The GPUs; asked for where not given.
    """

    def __init__(self, workers: int | None = None, found: Sequence[Gpu] | None = None) -> None:
        self.gpus = list(found if found is not None else gpus() if cuda_build() else [])
        most = cores() if not self.gpus else min(cores(), PER_GPU * len(self.gpus))
        self.workers = most if workers is None else workers
        self.per_gpu = PER_GPU if workers is None else -(-workers // max(len(self.gpus), 1))

    def full(self, busy: Busy) -> bool:
        """Is there room for nothing more?"""
        return len(busy) >= self.workers or any(task is not None and not isinstance(task.job, Run) for task, _ in busy)

    def find(self, task: QueuedJob, busy: Busy) -> DeviceSlot | None:
        """A place for a task, or None where it has to wait."""
        if self.full(busy):
            return None
        if not isinstance(task.job, Run):
            return None if busy else DeviceSlot()
        if not self.gpus or task.job.device == "cpu":
            return DeviceSlot()
        need = expected_mib(task.job)
        there: dict[str, list[tuple[QueuedJob | None, DeviceSlot]]] = defaultdict(list)
        for other, place in busy:
            if place.gpu is not None:
                there[place.gpu].append((other, place))
        for gpu in sorted(self.gpus, key=lambda gpu: len(there[gpu.name])):
            others = there[gpu.name]
            alone = task.alone or any(other is not None and other.alone for other, _ in others)
            room = SHARE * gpu.mib - sum(place.mib for _, place in others)
            # Alone it may try even if it is not expected to fit: the estimate is a guess, and the GPU decides.
            if not others or (not alone and len(others) < self.per_gpu and need <= room):
                return DeviceSlot(gpu.name, need)
        return None


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def expected_mib(run: Run) -> float:
    """A generous guess at the GPU memory of a training run.

    Of each step and layer some sixteen numbers a unit are kept for the way back (four gates, what they are made of and
    what is made of them), and of the readout three a symbol, 256 assumed; weights count four times, for gradient and
    Adam.
    """
    width = run.model.hidden_size if run.model.parameters is None else max(8, int((run.model.parameters / 4) ** 0.5))
    steps = run.data.batch_size * run.data.seq_len
    kept = steps * (16 * width * run.model.num_layers * (2 if run.model.bidirectional else 1) + 3 * 256)
    weights = 4 * (8 * width * width * run.model.num_layers + 512 * width)
    return CONTEXT + 4 * (kept + weights) / 2**20


#: Seconds that a process has, once told to stop, for its checkpoint.
GRACE = 20.0


@dataclass
class WorkerProcess:
    """A process at work: on a task, or (task None) on the data that several tasks share."""

    process: BaseProcess
    pipe: Connection
    source: Source
    task: QueuedJob | None
    place: DeviceSlot
    start: Start = field(default_factory=Start)
    starved_before: int = field(default_factory=oom_kills)
    ended: tuple[str, str] | None = None
    told_to_stop: float | None = None
    overdue: bool = False
    step: tuple[int, int] = (0, 0)

    def mind_the_time(self, limit: float | None) -> None:
        """Stop a task that has taken longer than that many seconds, and kill who does not heed."""
        now = time.monotonic()
        if limit is not None and self.task is not None and now - self.start.clock > limit:
            self.overdue = True
            self.end()
        if self.told_to_stop is not None and now - self.told_to_stop > GRACE:
            self.process.kill()

    def end(self) -> None:
        """Ask the process for a checkpoint and its end."""
        if self.told_to_stop is None:
            self.told_to_stop = time.monotonic()
            self.process.terminate()

    def death(self) -> tuple[str, str]:
        """What is said of a process that said nothing itself: its status, and a sentence."""
        code = self.process.exitcode or 0
        if code == -signal.SIGKILL and oom_kills() > self.starved_before:
            return "starved", "killed by the kernel, as no memory was left"
        if code < 0:
            return "died", f"its process was ended by {signal.Signals(-code).name}"
        return "died", f"its process ended with code {code}"
