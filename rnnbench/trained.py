"""The model that a finished training run left behind, its weights vetted, and the one that it began with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch

from rnnbench.config import Run
from rnnbench.data.task import Task
from rnnbench.errors import UserError
from rnnbench.ledger import RESULT, WEIGHTS, Entry
from rnnbench.models.build import Model, build
from rnnbench.weights import load_tensors


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
    entry = Entry(folder.parent.parent, folder.parent.name, folder.name)
    result = entry.result()
    if result is None or result.get("kind") != "train":
        raise UserError(f"{folder} is not the folder of a finished training run: it has no {RESULT}.")
    if result["status"] not in ("done", "diverged"):
        raise UserError(f"the run in {folder} failed: {result.get('error', '')}; it left no weights.")
    saved = load_tensors(entry.path(WEIGHTS))
    if not isinstance(saved, dict) or not isinstance(saved.get("model"), dict):
        raise UserError(f"{entry.path(WEIGHTS)} does not hold a model's weights.")
    try:
        values = dict(saved["task"])
        task = Task(**values | {"mase_weights": tuple(values["mase_weights"])})
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{entry.path(WEIGHTS)} does not say what task its model is for; train it anew.") from None
    return Finished(Run.from_dict(result["run"]), task, saved, folder)
