"""Validations: as many as asked for, the last of the final weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from rnnbench.config import BudgetConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig, Run
from rnnbench.runs import WEIGHTS, RunDirectory
from rnnbench.training import train


def make_run(text_file: Path, budget: BudgetConfig) -> Run:
    """Of a model that gets better with every update, so early is it."""
    return Run(
        model=ModelConfig(hidden_size=16),
        data=DataConfig(path=str(text_file), seq_len=16, batch_size=8),
        budget=budget,
        probes=ProbeConfig(gradient_flow=False),
    )


def validations(directory: RunDirectory) -> list[int]:
    return [row["step"] for row in directory.history() if "val/bpc" in row]


@pytest.mark.parametrize(
    ("steps", "evals", "steps_validated"),
    [(11, 4, [2, 5, 8, 11]), (73, 2, [36, 73]), (3, 7, [1, 2, 3])],
)
@pytest.mark.parametrize("micro_batches", [1, 3])
def test_the_history_has_each_at_its_step(
    text_file: Path, tmp_path: Path, steps: int, evals: int, steps_validated: list[int], micro_batches: int
) -> None:
    run = make_run(text_file, BudgetConfig(steps=steps, evals=evals, val_tokens=200))
    train(run, tmp_path, wandb="disabled", micro_batches=micro_batches)
    rows = RunDirectory(tmp_path, "single", run.id).history()
    assert [row["step"] for row in rows if "val/bpc" in row] == steps_validated
    assert all(row["tokens"] == row["step"] * 16 * 8 for row in rows)


def test_the_last_is_of_the_final_weights(text_file: Path, tmp_path: Path) -> None:
    """Of a training that ends at its best the weights kept are the last; its score is the evaluation's own."""
    budget = BudgetConfig(steps=11, evals=4, val_tokens=10**6)
    weights: list[dict[str, Any]] = []
    for keep in ("last", "best"):
        run = make_run(text_file, dataclasses.replace(budget, keep=keep))  # type: ignore[arg-type]
        result = train(run, tmp_path, wandb="disabled")
        directory = RunDirectory(tmp_path, "single", run.id)
        scores = [row["val/bpc"] for row in directory.history() if "val/bpc" in row]
        assert scores == sorted(scores, reverse=True), "it gets no better at the end: the test shows nothing"
        assert scores[-1] == result["metrics"]["val/bpc"]
        weights.append(torch.load(directory.path(WEIGHTS), weights_only=True)["model"])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_training_that_is_stopped_early_validates_no_more(text_file: Path, tmp_path: Path) -> None:
    """The loss is found not to be finite after 50 updates; speed and norms are those of the updates that were made."""
    run = make_run(text_file, BudgetConfig(steps=300, evals=10))
    run = dataclasses.replace(run, optim=OptimConfig(name="sgd", lr=1e38, clip=None))
    result = train(run, tmp_path, wandb="disabled")
    metrics = result["metrics"]
    assert result["status"] == "diverged"
    assert validations(RunDirectory(tmp_path, "single", run.id)) == [30]
    tokens = metrics["throughput/tokens_per_second"] * metrics["throughput/step_ms"] / 1e3
    assert tokens == pytest.approx(16 * 8), "of an update"
