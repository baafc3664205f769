"""What is read back from disk: the resume point of an interrupted run, and the weights of a finished one.

Everything is written whole or not at all, and read as plain tensors: nothing is unpickled.
"""

from __future__ import annotations

import dataclasses
import io
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import torch
import torch.distributed as dist
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from torch import Tensor, nn

from rnnbench.config import Run
from rnnbench.data.source import Source
from rnnbench.data.task import Task
from rnnbench.errors import UserError
from rnnbench.models.build import Model, build
from rnnbench.runs import CHECKPOINT, RESULT, WEIGHTS, RunDirectory, StorageError, write_atomic
from rnnbench.system import signals
from rnnbench.system.signals import Stopped
from rnnbench.throughput.memory import out_of_memory

#: The format of a checkpoint. In the first Lightning counted the steps elsewhere, and a run would resume at 0; the
#: second knew one gradient flow, where there are two now; the third no clock, and validations elsewhere.
FORM = "4"
#: About the seconds between two decisions that rank 0 takes for all processes, and the most batches.
DECISION_SECONDS, DECISION_BATCHES = 0.5, 1000


def load_tensors(path: Path) -> Any:
    """`torch.load` of tensors and plain values alone; a file with anything else in it is refused, not executed.

    Raises:
        UserError: it is not there, damaged, or holds more.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch says of a strange pickle: the refusal below says it better
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None
    except MemoryError:
        raise
    except Exception:  # whatever the unpickler stumbles over in a file that may hold anything
        raise UserError(
            f"{path} was refused: damaged, or more than tensors; it was not executed; delete it to start anew."
        ) from None


# --- interrupted runs -----------------------------------------------------------------------------------------------


class WholeFile(TorchCheckpointIO):
    """How Lightning writes a checkpoint: in memory first, then in the place of the last one once it is on the disk."""

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
    """Saves the run every few seconds, never costing more than a fiftieth of the time, and stops it when asked to.

    `resume_point` chooses what a later start reads.

    Not Lightning's ModelCheckpoint: that one counts steps, and a step takes from a millisecond to a minute here. Where
    a validation or a row of the history is still due after the batch, the next batch is waited for, so that a resumed
    run neither skips nor repeats it. Of several processes (``devices``) rank 0 decides for all, every so many batches.
    """

    def __init__(self, path: Path, run: Run, seconds: float = 5.0, devices: int = 1) -> None:
        self.path, self.run, self.seconds, self.devices = path, run, seconds, devices
        self._saved = self._decided = time.monotonic()
        self._cost = 0.0
        self._interval = self._left = 1  # batches from one decision to the next, and still to come

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        signals.rearm()  # Lightning has put a handler of its own on SIGTERM just now

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._left -= 1
        if self._left:
            return
        decision: Sequence[int] = self._decide(pl_module) if trainer.is_global_zero else (0, 0, 0, 0)
        if self.devices > 1:
            agreed = torch.tensor(decision, device=pl_module.device)
            dist.broadcast(agreed, 0)
            decision = agreed.tolist()
        save, stop, signum, self._left = decision
        if save:
            begin = time.monotonic()
            trainer.save_checkpoint(self.path)  # all processes have to
            self._saved = time.monotonic()
            self._cost = self._saved - begin
        if stop:
            raise Stopped(signum, trainer.global_step if save else None)

    def _decide(self, module: Any) -> tuple[int, int, int, int]:
        """Whether to save and to stop now, the signal that asked for it, and batches until the next decision."""
        signum, wait = signals.asked() or 0, self._next_interval()
        if not signum and time.monotonic() - self._saved < max(self.seconds, 50 * self._cost):
            return 0, 0, 0, wait
        if not (module.row_due or self.run.validates(module.updates)):
            return 1, int(signum > 0), signum, wait
        # Where validations follow each other batch by batch, no next batch is worth waiting for.
        crowded = 2 * self.run.budget.evals > self.run.steps
        return 0, int(signum > 0 and crowded), signum, 1

    def _next_interval(self) -> int:
        if self.devices == 1:
            return 1
        now = time.monotonic()
        seconds_a_batch = max((now - self._decided) / self._interval, 1e-6)
        self._decided, self._interval = now, int(min(max(DECISION_SECONDS / seconds_a_batch, 1), DECISION_BATCHES))
        return self._interval


def resume_point(directory: RunDirectory, fingerprint: str) -> tuple[Path | None, int]:
    """The checkpoint of an interrupted run and its step; (None, 0) where the run begins.

    A file that cannot be read as plain tensors is set aside, and the run begins anew: it comes to the same result.

    Raises:
        UserError: it belongs to other data or to another version.
        StorageError: the file system does not hand it out now.
    """
    path = directory.path(CHECKPOINT)
    if not path.exists():
        return None, 0
    try:
        path.open("rb").close()
        saved = load_tensors(path)
    except OSError as error:
        raise StorageError(
            f"cannot read {path}: {error.strerror}; the run resumes from it once that is mended."
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


def random_state(device: torch.device) -> Tensor:
    """uint8, the state of the CPU's random generator, followed by that of a CUDA ``device``."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return torch.cat(states)


def restore_random_state(state: Tensor, device: torch.device) -> None:
    """Set a `random_state`; one saved on another kind of device restores the CPU's generator alone."""
    state = state.cpu()
    size = torch.get_rng_state().numel()
    torch.set_rng_state(state[:size].clone())
    if device.type == "cuda" and state.numel() > size:
        torch.cuda.set_rng_state(state[size:].clone(), device)


# --- finished runs --------------------------------------------------------------------------------------------------


def save_weights(path: Path, model: nn.Module, source: Source) -> None:
    """A model's state dict, the task that it is for, the symbols that its indices stand for, and a prompt."""
    vocabularies = {"vocabulary": source.vocabulary, "targets": source.targets}
    symbols = {name: list(one.symbols) if one is not None else None for name, one in vocabularies.items()}
    about = {"task": dataclasses.asdict(source.task), "prompt": source.prompt, **symbols}
    buffer = io.BytesIO()
    torch.save({"model": model.state_dict(), **about}, buffer)
    write_atomic(path, buffer.getvalue())


class Finished(NamedTuple):
    """A training run that did not fail. saved: what its weights' file holds, a mapping of tensors and plain values."""

    run: Run
    task: Task
    saved: dict[str, Any]
    folder: Path

    def trained(self) -> Model:
        """The model with its final weights, in evaluation mode; a `UserError` where they do not fit it."""
        model = build(self.task, self.run.cell, self.run.model, self.run.data.seq_len)
        try:
            model.load_state_dict(self.saved["model"])
        except RuntimeError:
            raise UserError(f"{self.folder / WEIGHTS} does not fit the model that run.yaml describes.") from None
        return model.eval()

    def untrained(self) -> Model:
        """The model as it was before the first step: the run's seed drew it."""
        torch.manual_seed(self.run.seed)
        return build(self.task, self.run.cell, self.run.model, self.run.data.seq_len).eval()


def finished(folder: Path) -> Finished:
    """What a finished run's folder holds.

    Raises:
        UserError: no finished training run there, one that failed, or weights that are not plain tensors.
    """
    folder = folder.resolve()
    directory = RunDirectory(folder.parent.parent, folder.parent.name, folder.name)
    result, path = directory.result(), directory.path(WEIGHTS)
    if result is None or result.get("kind") != "train":
        raise UserError(f"{folder} is not the folder of a finished training run: it has no {RESULT}.")
    if result["status"] not in ("done", "diverged"):
        raise UserError(f"the run in {folder} failed: {result.get('error', '')}; it left no weights.")
    saved = load_tensors(path)
    if not isinstance(saved, dict) or not isinstance(saved.get("model"), dict):
        raise UserError(f"{path} does not hold a model's weights.")
    try:
        values = dict(saved["task"])
        task = Task(**values | {"mase_weights": tuple(values["mase_weights"])})
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path} does not say what task its model is for; train it anew.") from None
    return Finished(Run.from_dict(result["run"]), task, saved, folder)
