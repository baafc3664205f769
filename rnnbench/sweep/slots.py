"""A process at work for a sweep, and what its end says where it could not say so itself."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from rnnbench.ledger import Start
from rnnbench.machine import oom_kills
from rnnbench.sweep.places import Place
from rnnbench.sweep.tasks import Source, Task

#: Seconds that a process has, once told to stop, for its checkpoint.
GRACE = 20.0


@dataclass
class Slot:
    """A process at work: on a task, or (task None) on the data that several tasks share."""

    process: BaseProcess
    pipe: Connection
    source: Source
    task: Task | None
    place: Place
    start: Start = field(default_factory=Start)
    starved_before: int = field(default_factory=oom_kills)
    ended: tuple[str, str] | None = None
    told_to_stop: float | None = None
    overdue: bool = False
    step: tuple[int, int] = (0, 0)

    def mind_the_time(self, limit: float | None) -> None:
        """Stop a task that has taken longer than that many seconds, and kill who does not heed."""
        now = time.monotonic()
        if limit is not None and self.task is not None and now - self.start.clock > limit:
            self.overdue = True
            self.end()
        if self.told_to_stop is not None and now - self.told_to_stop > GRACE:
            self.process.kill()

    def end(self) -> None:
        """Ask the process for a checkpoint and its end."""
        if self.told_to_stop is None:
            self.told_to_stop = time.monotonic()
            self.process.terminate()

    def death(self) -> tuple[str, str]:
        """What is said of a process that said nothing itself: its status, and a sentence."""
        code = self.process.exitcode or 0
        if code == -signal.SIGKILL and oom_kills() > self.starved_before:
            return "starved", "killed by the kernel, as no memory was left"
        if code < 0:
            return "died", f"its process was ended by {signal.Signals(-code).name}"
        return "died", f"its process ended with code {code}"
