"""budget.keep best: the weights of the best validation, chosen without a look at the test part."""

from __future__ import annotations

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
