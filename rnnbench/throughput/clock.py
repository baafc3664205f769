"""Clocks: marks taken between pieces of work, and the seconds between them."""

from __future__ import annotations

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch


class Clock(ABC):
    """A turn is `start`, work, `mark`, work, `mark`, …, `seconds`."""

    @abstractmethod
    def start(self) -> Any:
        """A mark, once all work that was asked for before is done."""

    @abstractmethod
    def mark(self) -> Any:
        """A mark after the work that was asked for so far."""

    @abstractmethod
    def seconds(self, marks: Sequence[Any]) -> list[float]:
        """Between each mark and the next; waits until the last is reached."""


class WallClock(Clock):
    """Of a CPU, where a call returns when its work is done."""

    def start(self) -> float:
        return time.perf_counter()

    mark = start

    def seconds(self, marks: Sequence[float]) -> list[float]:
        return [end - begin for begin, end in itertools.pairwise(marks)]


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

    def seconds(self, marks: Sequence[torch.cuda.Event]) -> list[float]:
        marks[-1].synchronize()
        return [1e-3 * begin.elapsed_time(end) for begin, end in itertools.pairwise(marks)]


def clock_of(device: torch.device) -> Clock:
    """The clock for a device's work."""
    return EventClock() if device.type == "cuda" else WallClock()
