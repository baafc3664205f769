"""Checkpoints: where an interrupted run is resumed from, written whole, decided by one process for all."""

from __future__ import annotations

import io
import os
import sys
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from rnnbench.config import Run
from rnnbench.errors import UserError
from rnnbench.runs import CHECKPOINT, RunDirectory, StorageError, write_atomic
from rnnbench.system import signals
from rnnbench.system.signals import Stopped
from rnnbench.throughput.memory import out_of_memory
from rnnbench.training.sequence_module import SequenceModule
from rnnbench.training.weights import load_tensors

#: Of a checkpoint. In the first form Lightning counted the steps elsewhere: a run would go on from 0. The second knew
#: one gradient flow, where there are two now; the third no clock, and validations elsewhere.
FORM = "4"


class WholeFile(TorchCheckpointIO):
    """How Lightning writes a checkpoint: in memory first, then in the place of the last one once it is on the disk.

    Args:
        directory: The run's, to be ours still.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Raises `StorageError` where the disk is full or refuses, and `Busy`; the last checkpoint stands then."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        self.directory.check()
        self.directory.sync()
        write_atomic(Path(path), buffer.getvalue())


class ResumePoint(L.Callback):
    """Saves where to go on from, every few seconds, never costing more than a fiftieth of the time.

    Not Lightning's ModelCheckpoint: that one counts steps, and a step takes from a millisecond to a minute here. Where
    a validation or a row of the history is still due after the batch, the next batch is waited for, so that a resumed
    run neither skips nor repeats it. A request to stop (`rnnbench.system.signals`) is heeded here, too.
    """

    def __init__(self, path: Path, run: Run, seconds: float = 5.0) -> None:
        self.path, self.run, self.seconds = path, run, seconds
        self._last = time.monotonic()
        self._cost = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        signals.rearm()  # Lightning has put a handler of its own on SIGTERM just now

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        signum = signals.asked()
        if signum is None and not self.is_time():
            return
        if self.complete(pl_module):
            self.save(trainer)
            if signum is not None:
                raise Stopped(signum, trainer.global_step)
        elif signum is not None and self.crowded:
            raise Stopped(signum)

    def is_time(self) -> bool:
        """Have the seconds passed, and is it not too dear?"""
        return time.monotonic() - self._last >= max(self.seconds, 50 * self._cost)

    def complete(self, pl_module: L.LightningModule) -> bool:
        """Is nothing due any more after this batch?"""
        assert isinstance(pl_module, SequenceModule)
        return not (pl_module.row_due or self.run.validates(pl_module.updates))

    @property
    def crowded(self) -> bool:
        """Do validations follow each other batch by batch, so that no next one is worth waiting for?"""
        return 2 * self.run.budget.evals > self.run.steps

    def save(self, trainer: L.Trainer) -> None:
        """Write the checkpoint; of several processes all have to."""
        begin = time.monotonic()
        trainer.save_checkpoint(self.path)
        self._last = time.monotonic()
        self._cost = self._last - begin


def resume_point(directory: RunDirectory, fingerprint: str) -> tuple[Path | None, int]:
    """The checkpoint of an interrupted run and its step, vetted: opened as plain tensors, never unpickled.

    What cannot be read so is set aside, and the run begins anew: it comes to the same result.

    Raises:
        UserError: it belongs to other data or to another version.
        StorageError: the file system will not hand it out now.
    """
    path = directory.path(CHECKPOINT)
    if not path.exists():
        return None, 0
    try:
        path.open("rb").close()
        saved = load_tensors(path)
    except OSError as error:
        raise StorageError(
            f"cannot read {path}: {error.strerror}; the run goes on from it once that is mended."
        ) from None
    except UserError as error:
        if error.__context__ is not None and out_of_memory(error.__context__):
            raise error.__context__ from None  # there is nothing wrong with the file
        saved = None
    if not isinstance(saved, dict) or not isinstance(saved.get("rnnbench"), dict) or "global_step" not in saved:
        refused = path.with_name(path.name + ".refused")
        path.replace(refused)
        print(
            f"rnnbench: {path} is damaged or no checkpoint of rnnbench; it was not executed but set aside as "
            f"{refused.name}, and the run begins anew.",
            file=sys.stderr,
        )
        return None, 0
    if saved["rnnbench"].get("data_sha256") != fingerprint:
        raise UserError(f"{path} belongs to other data (the file has changed since); delete it to start the run anew.")
    if saved["rnnbench"].get("form") != FORM:
        raise UserError(f"{path} is of another version of rnnbench; delete it to start the run anew.")
    return path, int(saved["global_step"])


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
        signum = signals.asked()
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
