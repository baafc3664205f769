"""Small runs, quiet Trainers, what they log, and trainings that are cut short at a known step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import Logger

from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig, Run
from rnnbench.data.text.streams import TextData
from rnnbench.runs import CHECKPOINT, RunDirectory
from rnnbench.training import train
from rnnbench.training.checkpoints import ResumePoint, load_tensors


def text_run(
    path: Path | str,
    cell: str = "gru",
    steps: int = 20,
    evals: int = 2,
    batch_size: int = 8,
    probes: ProbeConfig | None = None,
    optim: OptimConfig | None = None,
    **model: Any,
) -> Run:
    """A small model on a text, without probes unless some are named; ``model``: more of its `ModelConfig`."""
    return Run(
        cell=CellConfig(cell),
        model=ModelConfig(**{"hidden_size": 16, **model}),
        data=DataConfig(path=str(path), seq_len=16, batch_size=batch_size),
        optim=optim or OptimConfig(),
        budget=BudgetConfig(steps=steps, evals=evals),
        probes=probes or ProbeConfig(gradient_flow=False),
    )


#: Options of a `lightning.Trainer` that prints and writes nothing.
QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "devices": 1,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


class Rows(Logger):
    """Keeps what is logged, by step."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[int, dict[str, float]] = {}

    name = version = "rows"

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None: ...

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        assert step is not None
        self.rows.setdefault(step, {}).update(metrics)


class PowerCut(Exception):
    """Nobody catches it."""


def train_until(
    step: int,
    run: Run,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception] = PowerCut,
    source: Any = TextData,
) -> dict[str, Any]:
    """Train with a checkpoint after every batch, until the batch of a step cannot be read; returns the checkpoint."""
    draw = source.train_batch

    def failing(self: Any, at: int) -> Any:
        if at == step:
            raise error
        return draw(self, at)

    with monkeypatch.context() as patch:
        patch.setattr(source, "train_batch", failing)
        patch.setattr(ResumePoint, "_cost", property(lambda self: 0.0, lambda self, value: None), raising=False)
        with pytest.raises(error):
            train(run, root, wandb="disabled", checkpoint_seconds=0.0)
    saved: dict[str, Any] = load_tensors(RunDirectory(root, "single", run.id).path(CHECKPOINT))
    return saved
