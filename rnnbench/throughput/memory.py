"""Memory: the peak of a training step, and a limit that turns too large a request into an error instead of a crash."""

from __future__ import annotations

import ctypes
import math
import re
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from rnnbench.config import CellConfig
from rnnbench.config.timing import Timing
from rnnbench.system.machine import PeakMemory
from rnnbench.system.processes import forkserver
from rnnbench.throughput.contestant import Contestant, implementations

#: Share of the free memory that a process may ask for.
SHARE = 0.9
STATUS, MEMINFO = Path("/proc/self/status"), Path("/proc/meminfo")


def peak_of(work: Callable[[], object], device: torch.device) -> float:
    """MiB that some work takes at its peak, beyond what is in use before it.

    A CPU's is the process's high-water mark, so the process must be a fresh one: memory that was freed before and is
    still resident would be used again unseen.
    """
    if device.type == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated() / 2**20
    else:
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)  # give back what is free, so that the work has to ask for it
        before = (_bytes(STATUS, "VmRSS") or 0) / 2**20
    peak = PeakMemory(device.type)
    work()
    return max(peak.mib() - before, 0.0)


def out_of_memory(error: BaseException) -> bool:
    """Is this how torch, or Python, says that there is no memory left?"""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


@contextmanager
def fence(limit: int | None = None) -> Iterator[None]:
    """Within it, asking for more memory than the machine has free is a Python error.

    Otherwise Linux grants memory that does not exist, and kills the process, or another, once it is used.

    limit: bytes that may be asked for; `SHARE` of what is free where not given.
    """
    if sys.platform != "linux":
        yield
        return
    old = resource.getrlimit(resource.RLIMIT_DATA)
    new = (_bytes(STATUS, "VmData") or 0) + (limit if limit is not None else int(SHARE * available()))
    if old[1] != resource.RLIM_INFINITY:
        new = min(new, old[1])
    resource.setrlimit(resource.RLIMIT_DATA, (new, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, old)


def available() -> int:
    """Bytes that this process could still have: the machine's, or what is left of its control group's."""
    reported = _bytes(MEMINFO, "MemAvailable")
    free = 2**62 if reported is None else reported
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # no control group, or one without a limit, which reads "max"
        limit = int((group / "memory.max").read_text())
        free = min(free, limit - int((group / "memory.current").read_text()))
    return max(free, 0)


def _bytes(file: Path, key: str) -> int | None:
    """``KEY: 12 kB`` of a file in /proc."""
    with suppress(OSError):
        if match := re.search(rf"{key}:\s+(\d+)", file.read_text()):
            return int(match[1]) * 1024
    return None


def fresh_peak(job: Timing, cell: CellConfig, backend: str) -> float | None:
    """MiB that a training step (or the decoding) takes at its peak beyond weights and input, in a fresh process.

    Infinite where it did not fit, None where it could not be measured.
    """
    context = forkserver([__name__])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(job, cell, backend, theirs))
    process.start()
    theirs.close()
    try:
        answer: float | None = ours.recv()
    except EOFError:
        process.join()
        answer = math.inf if process.exitcode == -9 else None  # killed by the kernel: there was no memory
    process.join()
    return answer


def _measure(job: Timing, cell: CellConfig, backend: str, pipe: Connection) -> None:
    torch.set_num_threads(1)
    # Let glibc take each large tensor from the system by itself and give it back at once. Otherwise it learns to keep
    # them, in pieces, and a peak is more than its tensors, in leaps.
    m_mmap_threshold = -3
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(m_mmap_threshold, 64 * 2**10)
    try:
        with fence():
            contestant = Contestant.build(job, cell, implementations()[backend], torch.device("cpu"))
            work = contestant.once(job.what)
            work()  # allocations of the first call alone do not count
            pipe.send(peak_of(work, torch.device("cpu")))
    except Exception as error:
        pipe.send(math.inf if out_of_memory(error) else None)
