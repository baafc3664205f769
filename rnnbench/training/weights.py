"""Tensors to and from disk: written whole or not at all, read without unpickling anything else."""

from __future__ import annotations

import dataclasses
import io
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from rnnbench.config import Run
from rnnbench.data.source import Source
from rnnbench.data.task import Task
from rnnbench.errors import UserError
from rnnbench.models.build import Model, build
from rnnbench.runs import RESULT, WEIGHTS, RunDirectory, write_atomic


def save_weights(path: Path, model: nn.Module, source: Source) -> None:
    """A model's state dict, the task that it was made for, the symbols that its indices stand for, and a prompt."""
    vocabularies = {"vocabulary": source.vocabulary, "targets": source.targets}
    symbols = {name: list(one.symbols) if one is not None else None for name, one in vocabularies.items()}
    about = {"task": dataclasses.asdict(source.task), "prompt": source.prompt, **symbols}
    buffer = io.BytesIO()
    torch.save({"model": model.state_dict(), **about}, buffer)
    write_atomic(path, buffer.getvalue())


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


class Finished(NamedTuple):
    """A training run that did not fail. saved: what its weights' file holds, a mapping of tensors and plain values."""

    run: Run
    task: Task
    saved: dict[str, Any]
    folder: Path

    def trained(self) -> Model:
        """The model with the weights that training ended with, in evaluation mode.

        Raises:
            UserError: they do not fit it.
        """
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
    result = directory.result()
    if result is None or result.get("kind") != "train":
        raise UserError(f"{folder} is not the folder of a finished training run: it has no {RESULT}.")
    if result["status"] not in ("done", "diverged"):
        raise UserError(f"the run in {folder} failed: {result.get('error', '')}; it left no weights.")
    saved = load_tensors(directory.path(WEIGHTS))
    if not isinstance(saved, dict) or not isinstance(saved.get("model"), dict):
        raise UserError(f"{directory.path(WEIGHTS)} does not hold a model's weights.")
    try:
        values = dict(saved["task"])
        task = Task(**values | {"mase_weights": tuple(values["mase_weights"])})
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{directory.path(WEIGHTS)} does not say what task its model is for; train it anew.") from None
    return Finished(Run.from_dict(result["run"]), task, saved, folder)
