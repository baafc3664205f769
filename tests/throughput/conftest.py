"""A clock that a test can foretell."""

from __future__ import annotations

import pytest

from rnnbench.throughput.clock import Seconds, WallClock


class Ticks(WallClock):
    """Ten seconds pass between any two looks at it, of which the processor works four."""

    now = Seconds(100.0, 7.0)

    def start(self) -> Seconds:
        self.now = Seconds(self.now.wall + 10.0, self.now.cpu + 4.0)
        return self.now

    mark = start


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()
