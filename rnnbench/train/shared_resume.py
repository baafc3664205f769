"""When several processes save or stop: one decides, all do it after the same batch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.distributed as dist

from rnnbench import stopping
from rnnbench.config import Run
from rnnbench.stopping import Stopped
from rnnbench.train.checkpoints import ResumePoint

#: What the first process may say: go on, save, save and stop, stop without.
GO_ON, SAVE, STOP, LEAVE = range(4)
#: Seconds between two words of its, about, and the most batches.
EVERY, MOST = 0.5, 1000


class SharedResumePoint(ResumePoint):
    """`ResumePoint` for a run of several processes: what to do is rank 0's to say, every so many batches."""

    def __init__(self, path: Path, run: Run, seconds: float = 5.0) -> None:
        super().__init__(path, run, seconds)
        self._batches = self._left = 1  # from one word to the next, and still to come
        self._told = time.monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._left -= 1
        if self._left:
            return
        said = self._decision(pl_module) if trainer.is_global_zero else [0, 0, 0]
        word = torch.tensor(said, device=pl_module.device)
        dist.broadcast(word, 0)
        what, self._left, signum = word.tolist()
        if what in (SAVE, STOP):
            self.save(trainer)
        if what in (STOP, LEAVE):
            raise Stopped(signum, trainer.global_step if what == STOP else None)

    def _decision(self, pl_module: L.LightningModule) -> list[int]:
        """What to do now, batches until the next word, and the signal that asked to stop."""
        signum = stopping.asked()
        now = time.monotonic()
        a_batch = (now - self._told) / self._batches
        self._told, self._batches = now, int(min(max(EVERY / max(a_batch, 1e-6), 1), MOST))
        what = GO_ON
        if signum is not None or self.is_time():
            if self.complete(pl_module):
                what = SAVE if signum is None else STOP
            elif signum is not None and self.crowded:
                what = LEAVE
            else:
                self._batches = 1
        return [what, self._batches, signum or 0]
