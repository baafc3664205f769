"""Clocks: marks taken between pieces of work, and the seconds between them, by the wall and by the processor."""

from __future__ import annotations

import itertools
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch


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


class Clock(ABC):
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


class WallClock(Clock):
    """Of a CPU, where a call returns when its work is done."""

    def start(self) -> Seconds:
        return Seconds(time.perf_counter(), time.process_time())

    mark = start

    def seconds(self, marks: Sequence[Seconds]) -> list[Seconds]:
        return [Seconds(end.wall - begin.wall, end.cpu - begin.cpu) for begin, end in itertools.pairwise(marks)]


class EventClock(Clock):
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


def clock_of(device: torch.device) -> Clock:
    """The clock for a device's work."""
    return EventClock() if device.type == "cuda" else WallClock()
