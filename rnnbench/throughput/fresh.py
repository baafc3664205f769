"""A contestant's peak memory on a CPU, from a process of its own: the high-water mark of a used one says little."""

from __future__ import annotations

import math
from multiprocessing.connection import Connection

import torch

from rnnbench.config import CellConfig
from rnnbench.forkserver import forkserver
from rnnbench.throughput.contestant import Contestant, contenders
from rnnbench.throughput.memory import fence, out_of_memory, peak_of, return_what_is_free
from rnnbench.throughput.timing import Timing


def fresh_peak(job: Timing, cell: CellConfig, backend: str) -> float | None:
    """MiB that a training step (or the decoding) takes at its peak beyond weights and input.

    Infinite where it did not fit, None where it could not be found out.
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
        answer = math.inf if process.exitcode == -9 else None  # the kernel's way to say that there is no memory
    process.join()
    return answer


def _measure(job: Timing, cell: CellConfig, backend: str, pipe: Connection) -> None:
    torch.set_num_threads(1)
    return_what_is_free()
    try:
        with fence():
            contestant = Contestant.made(job, cell, contenders()[backend], torch.device("cpu"))
            work = contestant.once(job.what)
            work()  # what is made once, at the first call, is none of a step's
            pipe.send(peak_of(work, torch.device("cpu")))
    except Exception as error:
        pipe.send(math.inf if out_of_memory(error) else None)
