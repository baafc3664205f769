"""Text from a trained character model, one symbol at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from rnnbench.config import Run
from rnnbench.data.task import Task
from rnnbench.data.text.vocabulary import Vocabulary
from rnnbench.errors import UserError
from rnnbench.ledger import RESULT, WEIGHTS, Entry
from rnnbench.models import SequenceModel, build
from rnnbench.weights import load_tensors


def load(folder: Path) -> tuple[SequenceModel, Vocabulary]:
    """The model and vocabulary of a finished run.

    Raises:
        UserError: no finished run there, weights that are not plain tensors, or a run that is not a character model.
    """
    entry = Entry(folder.parent.parent, folder.parent.name, folder.name)
    result = entry.result()
    if result is None or result.get("kind") != "train":
        raise UserError(f"{folder} is not the folder of a finished training run: it has no {RESULT}.")
    if result["status"] == "failed":
        raise UserError(f"the run in {folder} failed: {result.get('error', '')}; there is nothing to generate from.")
    run = Run.from_dict(result["run"])
    saved = load_tensors(entry.path(WEIGHTS))
    if not isinstance(saved, dict) or not isinstance(saved.get("model"), dict):
        raise UserError(f"{entry.path(WEIGHTS)} does not hold a model's weights.")
    task = _task(saved)
    if task is None or not (task.stateful and task.predicts == "symbols" and saved.get("vocabulary")):
        raise UserError(f"the run in {folder} is not a character model; only those generate text.")
    vocabulary = Vocabulary(saved["vocabulary"])
    model = build(task, run.cell, run.model)
    assert isinstance(model, SequenceModel)
    try:
        model.load_state_dict(saved["model"])
    except RuntimeError:
        raise UserError(f"{entry.path(WEIGHTS)} does not fit the model that run.yaml describes.") from None
    return model.eval(), vocabulary


def _task(saved: dict[str, Any]) -> Task | None:
    """The task that the weights were made for, None where they do not say it."""
    try:
        values = dict(saved["task"])
        return Task(**values | {"mase_weights": tuple(values["mase_weights"])})
    except (KeyError, TypeError, ValueError):
        return None


def write(
    model: SequenceModel,
    vocabulary: Vocabulary,
    prompt: str,
    length: int,
    temperature: float = 0.8,
    top_k: int | None = None,
    seed: int = 0,
) -> Iterator[str]:
    """Yield ``length`` symbols that go on from a prompt.

    Each is drawn from softmax(logits / temperature) over the ``top_k`` likeliest; temperature 0 takes the likeliest.
    The unknown symbol is never written.
    """
    generator = torch.Generator().manual_seed(seed)
    x = vocabulary.encode(prompt)[None]
    state = None
    for _ in range(length):
        with torch.inference_mode():
            out, state = model(x, state)
        logits = out[0, -1].double()
        logits[0] = -torch.inf
        if temperature == 0:
            index = int(logits.argmax())
        else:
            if top_k is not None and top_k < len(logits):
                logits[logits < logits.topk(top_k).values[-1]] = -torch.inf
            index = int(torch.multinomial((logits / temperature).softmax(0), 1, generator=generator))
        yield vocabulary.symbols[index]
        x = torch.tensor([[index]])
