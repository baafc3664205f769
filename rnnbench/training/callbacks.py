"""What happens around the steps of a run: clock, progress report, history."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import PassThroughProfiler

from rnnbench.runs import Progress, RunDirectory, Start
from rnnbench.tracking import WandbMirror
from rnnbench.training.sequence_module import SequenceModule


class HistoryLogger(Logger):
    """Lightning's logger interface onto the ledger's history, and through it onto Weights & Biases.

    Every row says how many updates the module has made by then and how many tokens it has read, which is what runs are
    compared at; a validation's row too, where Lightning's own count of steps is one behind.
    """

    def __init__(self, directory: RunDirectory, mirror: WandbMirror, module: SequenceModule) -> None:
        super().__init__()
        self.directory, self.mirror, self.module = directory, mirror, module

    @property
    def name(self) -> str:
        return self.directory.study

    @property
    def version(self) -> str:
        return self.directory.id

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing to do: `run.yaml` has them."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        row = {"step": self.module.updates, "tokens": float(self.module.tokens)}
        row |= {key: value for key, value in metrics.items() if key != "epoch"}
        self.directory.append(row)
        self.mirror.row(row)


class NoProfiler(PassThroughProfiler):
    """Lightning opens a profiler's context around each of its forty hooks a step: this one takes no time."""

    _nothing = nullcontext("")

    def profile(self, action_name: str) -> AbstractContextManager[str]:  # type: ignore[override]
        return self._nothing


class StepClock(L.Callback):
    """Step times from one step's end to the next one's: the Trainer's own share is in them, validation is not.

    On a CPU each step is timed, by the wall and by the processor's time, which other processes on the machine take less
    from. A GPU runs behind the host, so there the time of a stretch of steps between two
    synchronisations is shared out among them.

    The clock is in every checkpoint, so that a resumed run has the times of all its steps and the seconds of all its
    processes. What a killed process did after its last checkpoint is done again, and only the second time counts.

    Args:
        every: Steps in such a stretch.
        interrupted: Whether something else takes time after that many steps; `restart` says when it is over.
        start: When this process began with the run; of a resumed run, from then on, as `Start` says.
    """

    def __init__(
        self,
        every: int = 20,
        interrupted: Callable[[int], bool] = lambda step: False,
        start: Start | None = None,
    ) -> None:
        self.every, self.interrupted, self.start = every, interrupted, start or Start()
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []
        self._begin = self._cpu_begin = 0.0
        self._stretch = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.restart()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._stretch += 1
        if pl_module.device.type == "cuda":
            # Validation and probes come after this hook: never let a stretch reach over them.
            if self._stretch < self.every and not self.interrupted(trainer.global_step):
                return
            torch.cuda.synchronize()
        self._share_out()

    def _share_out(self) -> None:
        """End the stretch: each of its steps has taken as long as the others."""
        now, cpu = time.perf_counter(), time.process_time()
        self.seconds += [(now - self._begin) / self._stretch] * self._stretch
        self.cpu_seconds += [(cpu - self._cpu_begin) / self._stretch] * self._stretch
        self._begin, self._cpu_begin, self._stretch = now, cpu, 0

    def _complete(self) -> None:
        """End a stretch that is shorter than others, on a GPU, so that every step so far has its time."""
        if self._stretch:
            torch.cuda.synchronize()
            self._share_out()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._complete()

    def state_dict(self) -> dict[str, Any]:
        self._complete()
        times = {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds}
        return {
            **{name: torch.tensor(values, dtype=torch.float64) for name, values in times.items()},
            "started": self.start.stamp,
            "elapsed": self.start.seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds, self.cpu_seconds = state_dict["seconds"].tolist(), state_dict["cpu_seconds"].tolist()
        self.start = self.start.resumed(state_dict["started"], state_dict["elapsed"])

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.restart()

    def restart(self) -> None:
        """The next step begins now."""
        self._begin, self._cpu_begin = time.perf_counter(), time.process_time()

    def median(self) -> float:
        """Seconds a step, the first tenth (warm-up) left out."""
        return _steady_median(self.seconds)

    def cpu_median(self) -> float:
        """The same of the processor's time, of all threads together."""
        return _steady_median(self.cpu_seconds)


def _steady_median(seconds: list[float]) -> float:
    steady = seconds[len(seconds) // 10 :]
    return float(np.median(steady)) if steady else float("nan")


class Reporter(L.Callback):
    """Tells the launcher how far the run is, a few times a second at the most."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total = progress, total
        self._last = 0.0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        if now - self._last > 0.25:
            self._last = now
            self.progress(trainer.global_step, self.total, "train")
