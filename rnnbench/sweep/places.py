"""Where the next job may run: a core, or a GPU with room for it. A timing has the machine to itself."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from rnnbench.config import Run
from rnnbench.machine import cuda_build
from rnnbench.nvml import Gpu, gpus
from rnnbench.sweep.tasks import Task

#: Small runs that share one GPU: more of them queue up for the same multiprocessors.
PER_GPU = 4
#: MiB that a process takes on a GPU before its first tensor (context, cuBLAS, cuDNN), and the share of it to plan with.
CONTEXT, SHARE = 900.0, 0.9


@dataclass(frozen=True)
class Place:
    """gpu: as CUDA_VISIBLE_DEVICES names it; None: a core alone. mib: what the job is expected to take of it."""

    gpu: str | None = None
    mib: float = 0.0


#: What is at work: a task and its place each, the task None where data are being read.
Busy = Sequence[tuple[Task | None, Place]]


class Places:
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

    def find(self, task: Task, busy: Busy) -> Place | None:
        """A place for a task, or None where it has to wait."""
        if self.full(busy):
            return None
        if not isinstance(task.job, Run):
            return None if busy else Place()
        if not self.gpus or task.job.device == "cpu":
            return Place()
        need = expected_mib(task.job)
        there: dict[str, list[tuple[Task | None, Place]]] = defaultdict(list)
        for other, place in busy:
            if place.gpu is not None:
                there[place.gpu].append((other, place))
        for gpu in sorted(self.gpus, key=lambda gpu: len(there[gpu.name])):
            others = there[gpu.name]
            alone = task.alone or any(other is not None and other.alone for other, _ in others)
            room = SHARE * gpu.mib - sum(place.mib for _, place in others)
            # Alone it may try even if it is not expected to fit: the estimate is a guess, and the GPU decides.
            if not others or (not alone and len(others) < self.per_gpu and need <= room):
                return Place(gpu.name, need)
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
