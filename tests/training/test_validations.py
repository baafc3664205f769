"""Validations: as many as asked for, the last of the final weights; the best one decides which weights are kept."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig, Run
from rnnbench.runs import HISTORY, WEIGHTS, RunDirectory
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


# --- budget.keep best ------------------------------------------------------------------------------------------

STEPS, EVALS = 120, 6


#: 4,000 letters without order: what is learned of them beyond their frequencies is learned by heart.
NOISE = "".join("abcdefgh"[i] for i in torch.randint(8, (4000,), generator=torch.Generator().manual_seed(0)))

Finished = tuple[dict[str, Any], dict[str, Tensor], dict[int, float]]


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNBENCH_DATA", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def kept(_own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The training that both tests look at."""
    return finished(NOISE, tmp_path_factory.mktemp("kept"), "best")


def finished(text: str, folder: Path, keep: Literal["last", "best"], steps: int = STEPS) -> Finished:
    """A training's metrics, weights, and the validations' bpc by step."""
    path = folder / "noise.txt"
    path.write_text(text)
    run = Run(
        cell=CellConfig("gru"),
        model=ModelConfig(hidden_size=48, dropout=0.1),
        data=DataConfig(path=str(path), seq_len=20, batch_size=8),
        optim=OptimConfig(lr=0.02),
        budget=BudgetConfig(steps=steps, evals=EVALS * steps // STEPS, keep=keep),
        probes=ProbeConfig(gradient_flow=False),
    )
    metrics = train(run, folder / "runs", wandb="disabled")["metrics"]
    directory = RunDirectory(folder / "runs", "single", run.id)
    rows = [json.loads(line) for line in directory.path(HISTORY).read_text().splitlines()]
    validations = {row["step"]: row["val/bpc"] for row in rows if "val/bpc" in row}
    return metrics, torch.load(directory.path(WEIGHTS), weights_only=True)["model"], validations


def equal(some: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return some.keys() == other.keys() and all(torch.equal(some[name], other[name]) for name in some)


def test_the_weights_are_those_of_the_best_validation(kept: Finished, tmp_path: Path) -> None:
    """The very ones, and the very figures, of a training that ended there."""
    metrics, weights, validations = kept
    assert len(validations) == EVALS
    best = min(validations, key=lambda step: validations[step])
    assert best < max(validations) == STEPS, "the last validation was the best: the test shows nothing"
    stopped, there, _ = finished(NOISE, tmp_path, "last", steps=best)
    assert equal(weights, there)
    for name in ("val/bpc", "test/bpc", "test/bpc_stateless", "train/bpc"):
        assert metrics[name] == stopped[name], name


def test_the_test_part_has_no_say(kept: Finished, tmp_path: Path) -> None:
    """Another test part, which what is learned by heart does better on: the same weights, validations and rest."""
    metrics, weights, validations = kept
    cut = len(NOISE) * 19 // 20
    other, others, again = finished(NOISE[:cut] + NOISE[: len(NOISE) - cut], tmp_path, "best")
    assert equal(weights, others)
    assert validations == again
    assert other["test/bpc"] != metrics["test/bpc"]
    for name in ("val/bpc", "train/bpc"):
        assert other[name] == metrics[name], name
