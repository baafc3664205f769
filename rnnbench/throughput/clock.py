"""Device clocks: marks taken between pieces of work, and the seconds between them, of wall time and processor time."""

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
    """Wall time, and processor time of all threads, on which other processes have less influence; NaN on a GPU."""

    wall: float
    cpu: float

    def over(self, count: float) -> Seconds:
        """Each of so many."""
        return Seconds(self.wall / count, self.cpu / count)


def together(parts: Iterable[Seconds]) -> Seconds:
    """Their sum."""
    return Seconds(*map(math.fsum, zip(*parts, strict=True)))


class DeviceClock(ABC):
    """Times a turn: `start`, work, `mark`, work, `mark`, …, `seconds`."""

    @abstractmethod
    def start(self) -> Any:
        """A mark, once all earlier work is done."""

    @abstractmethod
    def mark(self) -> Any:
        """A mark after the work that was asked for so far."""

    @abstractmethod
    def seconds(self, marks: Sequence[Any]) -> list[Seconds]:
        """Between each mark and the next; waits until the last is reached."""

    def time(self, *works: Callable[[], object]) -> tuple[Seconds, ...]:
        """Of each work, one after the other."""
        marks = [self.start()]
        for work in works:
            work()
            marks.append(self.mark())
        return tuple(self.seconds(marks))


class WallClock(DeviceClock):
    """Of a CPU, where a call returns when its work is done."""

    def start(self) -> Seconds:
        return Seconds(time.perf_counter(), time.process_time())

    mark = start

    def seconds(self, marks: Sequence[Seconds]) -> list[Seconds]:
        return [Seconds(end.wall - begin.wall, end.cpu - begin.cpu) for begin, end in itertools.pairwise(marks)]


class EventClock(DeviceClock):
    """Of a GPU: events in the stream, so that nothing waits in the middle of what is timed.

    Where Python launches kernels more slowly than the GPU runs them, the waiting counts, as it does in a training.
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


def kernels_of(work: Callable[[], object], device: torch.device, count: int = 4) -> str:
    """``aten::mkldnn_rnn_layer 61 %, aten::addmm 20 %, …``: the kernels that take most of some work's time.

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
    total = sum(spent.values())
    return ", ".join(f"{name} {time / total:.0%}" for name, time in spent.most_common(count) if time > 0)
