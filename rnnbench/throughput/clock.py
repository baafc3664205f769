"""Clocks: marks taken between pieces of work, and the seconds between them, by the wall and by the processor."""

from __future__ import annotations

import itertools
import math
import os
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile


class Seconds(NamedTuple):
    """How long a piece of work took.

    Args:
        wall: By the wall.
        cpu: Of the processor, all threads together, which other processes on the machine take less from; NaN where a
            GPU did the work.
    """

    wall: float
    cpu: float

    def over(self, count: float) -> Seconds:
        """Each of so many."""
        return Seconds(self.wall / count, self.cpu / count)


def together(parts: Iterable[Seconds]) -> Seconds:
    """Their sum."""
    return Seconds(*map(math.fsum, zip(*parts, strict=True)))


class DeviceClock(ABC):
    """A turn is `start`, work, `mark`, work, `mark`, …, `seconds`."""

    @abstractmethod
    def start(self) -> Any:
        """A mark, once all work that was asked for before is done."""

    @abstractmethod
    def mark(self) -> Any:
        """A mark after the work that was asked for so far."""

    @abstractmethod
    def seconds(self, marks: Sequence[Any]) -> list[Seconds]:
        """Between each mark and the next; waits until the last is reached."""


class WallClock(DeviceClock):
    """Of a CPU, where a call returns when its work is done."""

    def start(self) -> Seconds:
        return Seconds(time.perf_counter(), time.process_time())

    mark = start

    def seconds(self, marks: Sequence[Seconds]) -> list[Seconds]:
        return [Seconds(end.wall - begin.wall, end.cpu - begin.cpu) for begin, end in itertools.pairwise(marks)]


class EventClock(DeviceClock):
    """Of a GPU: events in the stream, so that nothing waits in the middle of what is timed.

    Where Python cannot hand over kernels as fast as the GPU does them, its waiting counts, as it does in a training.
    """

    def start(self) -> torch.cuda.Event:
        torch.cuda.synchronize()
        return self.mark()

    def mark(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self, marks: Sequence[torch.cuda.Event]) -> list[Seconds]:
        marks[-1].synchronize()
        return [Seconds(1e-3 * begin.elapsed_time(end), math.nan) for begin, end in itertools.pairwise(marks)]


def clock_of(device: torch.device) -> DeviceClock:
    """The clock for a device's work."""
    return EventClock() if device.type == "cuda" else WallClock()


#: Names that are kept, those that take longest.
KEPT = 4


def kernels_of(work: Callable[[], object], device: torch.device) -> str:
    """``aten::mkldnn_rnn_layer 61 %, aten::addmm 20 %, …``: what took how much of some work's time.

    On a GPU its kernels, their template arguments left out; on a CPU torch's operations, each without those it calls.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else it prints two lines of its own
    gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]
    with profile(activities=activities, acc_events=True) as profiler:
        work()
        if gpu:
            torch.cuda.synchronize()
    spent: Counter[str] = Counter()
    for event in profiler.events() or ():
        on_device = event.device_type == torch.autograd.DeviceType.CUDA
        if on_device == gpu:
            # torch.compile's graphs have hashes for names.
            name = "compiled code" if "CompiledFxGraph" in event.name else event.name
            name = name.partition("<")[0].removeprefix("void ")
            spent[name] += event.self_device_time_total if gpu else event.self_cpu_time_total
    whole = sum(spent.values())
    return ", ".join(f"{name} {time / whole:.0%}" for name, time in spent.most_common(KEPT) if time > 0)
