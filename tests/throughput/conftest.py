"""A clock with known times, small ceilings, and no measurement of memory."""

from __future__ import annotations

import pytest

from rnnbench.throughput.clock import Seconds, WallClock
from rnnbench.throughput.cost import SIZES


class Ticks(WallClock):
    """Ten seconds pass between any two marks, of which the processor works four."""

    now = Seconds(100.0, 7.0)

    def start(self) -> Seconds:
        self.now = Seconds(self.now.wall + 10.0, self.now.cpu + 4.0)
        return self.now

    mark = start


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture(autouse=True)
def small_ceilings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rates of the device are not tested here."""
    monkeypatch.setitem(SIZES, "cpu", 64)


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peak memory, which takes a process a contestant, is tested in test_memory.py."""
    monkeypatch.setattr("rnnbench.throughput.selection.fresh_peak", lambda *_: None)
