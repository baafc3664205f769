"""The jobs of a sweep on their way: where the next may run (a core, or a GPU with enough memory), and what is done
after an attempt that left no result."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rnnbench.config import Run
from rnnbench.runs import RunDirectory, Watch
from rnnbench.sweep.study import Job
from rnnbench.system.machine import Gpu, cuda_build, gpus

#: Seconds before a job is tried again whose process died or whose disk refused; after these it is given up.
DELAYS = (1.0, 2.0, 4.0, 8.0)
#: Small runs that share one GPU: more of them queue up for the same multiprocessors.
PER_GPU = 4
#: MiB that a process takes on a GPU before its first tensor (context, cuBLAS, cuDNN), and the share of it to plan with.
CONTEXT, SHARE = 900.0, 0.9
#: What the data of a training run are read from, to be prepared once for all runs that share it; None of a timing.
Source = tuple[str | None, ...] | None


@dataclass(eq=False)
class QueuedJob:
    """A job and its retry policy.

    Args:
        withdrawn: A result that is to be taken back first.
        micro_batches: Parts that a batch is cut into, as the run was too large for the memory.
        alone: It needs a GPU to itself, as there was too little memory for several.
        failures: Killed processes and refusals of the disk: not the job's fault, so it is retried, but not for ever.
        out_of_memory_kills: How many of these were the kernel's out-of-memory killer.
        not_before: When the next attempt may begin, on the monotonic clock.
    """

    job: Job
    directory: RunDirectory
    withdrawn: dict[str, Any] | None = None
    micro_batches: int = 1
    alone: bool = False
    failures: int = 0
    out_of_memory_kills: int = 0
    not_before: float = 0.0
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = Watch(self.directory.folder)

    @property
    def source(self) -> Source:
        return (self.job.data.name, self.job.data.path, self.job.data.column) if isinstance(self.job, Run) else None

    @property
    def weight(self) -> float:
        """How much work the job is, for the order and for the estimate of the remaining time."""
        job = self.job
        return job.steps * job.data.batch_size * job.data.seq_len + 50_000.0 if isinstance(job, Run) else job.weight

    def retry(self, status: str, shared: bool = False) -> str | None:
        """What is done differently next time after an attempt that left no result; None where it is given up.

        Args:
            status: died, starved (killed by the kernel, as no memory was left), storage, memory, or stopped by
                somebody else than this sweep; others are given up.
            shared: Was another job on the same GPU?
        """
        if status == "memory":
            if shared and not self.alone:
                self.alone = True
                return "again, with the GPU to itself"
            return self._halve()
        if status not in ("died", "starved", "storage", "stopped") or self.failures >= len(DELAYS):
            return None
        delay = DELAYS[self.failures]
        self.failures += 1
        self.not_before = time.monotonic() + delay
        self.out_of_memory_kills += status == "starved"
        if self.out_of_memory_kills >= 2:  # a single one may be the fault of another process
            return self._halve()
        return f"again in {delay:.0f} s"

    def _halve(self) -> str | None:
        if not isinstance(self.job, Run) or self.micro_batches > 1 or self.job.data.batch_size < 2:
            return None
        self.micro_batches = 2
        return "again, each batch in two halves"


@dataclass(frozen=True)
class DeviceSlot:
    """gpu: as CUDA_VISIBLE_DEVICES names it; None: a core alone. mib: what the job is expected to take of it."""

    gpu: str | None = None
    mib: float = 0.0


#: The jobs at work, each with its slot; None where data are being read.
Running = Sequence[tuple[QueuedJob | None, DeviceSlot]]


class DeviceSlots:
    """The machine's cores and GPUs.

    Args:
        workers: Jobs at once; None: one a core, and on GPUs at most `PER_GPU` each.
        devices: The GPUs; None: those of this machine.
    """

    def __init__(self, workers: int | None = None, devices: Sequence[Gpu] | None = None) -> None:
        self.gpus = list(devices if devices is not None else gpus() if cuda_build() else [])
        most = min(cores(), PER_GPU * len(self.gpus)) if self.gpus else cores()
        self.workers = most if workers is None else workers
        self.per_gpu = PER_GPU if workers is None else -(-workers // max(len(self.gpus), 1))

    def full(self, running: Running) -> bool:
        """Whether nothing more may start; nothing does beside a timing."""
        return len(running) >= self.workers or any(one is not None and one.source is None for one, _ in running)

    def find(self, queued: QueuedJob, running: Running) -> DeviceSlot | None:
        """A slot for a job, or None where it has to wait."""
        if self.full(running):
            return None
        if not isinstance(queued.job, Run):
            return None if running else DeviceSlot()
        if not self.gpus or queued.job.device == "cpu":
            return DeviceSlot()
        need = expected_mib(queued.job)
        beside = {gpu.name: [(one, slot.mib) for one, slot in running if slot.gpu == gpu.name] for gpu in self.gpus}
        for gpu in sorted(self.gpus, key=lambda gpu: len(beside[gpu.name])):
            others = beside[gpu.name]
            alone = queued.alone or any(one is not None and one.alone for one, _ in others)
            fits = need + sum(mib for _, mib in others) <= SHARE * gpu.mib
            # Alone it may try even if it is not expected to fit: the estimate is a guess, and the GPU decides.
            if not others or (not alone and len(others) < self.per_gpu and fits):
                return DeviceSlot(gpu.name, need)
        return None


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def expected_mib(run: Run) -> float:
    """A generous guess at the GPU memory of a training run.

    Of each step and layer some sixteen numbers a unit are kept for the backward pass, and of the readout three a
    symbol, 256 assumed; weights count four times, for gradient and Adam.
    """
    width = run.model.hidden_size if run.model.parameters is None else max(8, int((run.model.parameters / 4) ** 0.5))
    steps = run.data.batch_size * run.data.seq_len
    kept = steps * (16 * width * run.model.num_layers * (2 if run.model.bidirectional else 1) + 3 * 256)
    weights = 4 * (8 * width * width * run.model.num_layers + 512 * width)
    return CONTEXT + 4 * (kept + weights) / 2**20
