"""A seed decides the initial weights and the order of the data; a seed of the data takes the order from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run
from rnnbench.data.datamodule import SequenceDataModule
from rnnbench.runs import WEIGHTS, RunDirectory
from rnnbench.training import SequenceModule, one_run, train


class Beginning(NamedTuple):
    """Of a training: its initial weights, its first batches, and its last weights."""

    weights: dict[str, Tensor]
    batches: list[Tensor]
    last: dict[str, Tensor]


@pytest.fixture(params=["text", "adding", "digits"])
def run(request: pytest.FixtureRequest, text_file: Path) -> Run:
    """Of text that is rolled, of sequences that are drawn, and of those that are shuffled."""
    data = {
        "text": DataConfig(path=str(text_file), seq_len=16, batch_size=4),
        "adding": DataConfig("adding", seq_len=8, batch_size=4),
        "digits": DataConfig("digits", batch_size=4),
    }[request.param]
    return Run(
        cell=CellConfig("gru"),
        model=ModelConfig(hidden_size=8),
        data=data,
        budget=BudgetConfig(steps=3, evals=1, val_tokens=100),
        probes=ProbeConfig(gradient_flow=False),
        seed=1,
    )


def beginning(run: Run, root: Path, monkeypatch: pytest.MonkeyPatch) -> Beginning:
    found: list[Any] = []

    def noted(run: Run, data: SequenceDataModule, module: SequenceModule, *more: Any) -> None:
        found.append({name: value.clone() for name, value in module.model.state_dict().items()})
        found.append([data.source.train_batch(step).x for step in range(3)])
        fit(run, data, module, *more)

    fit = one_run.fit
    with monkeypatch.context() as patch:
        patch.setattr(one_run, "fit", noted)
        train(run, root, wandb="disabled")
    last = torch.load(RunDirectory(root, "single", run.id).path(WEIGHTS), weights_only=True)["model"]
    return Beginning(*found, last)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def read_alike(one: Beginning, other: Beginning) -> bool:
    return all(map(torch.equal, one.batches, other.batches))


def begun(run: Run, seed: int, data_seed: int | None, root: Path, monkeypatch: pytest.MonkeyPatch) -> Beginning:
    return beginning(dataclasses.replace(run, seed=seed, data_seed=data_seed), root, monkeypatch)


def test_a_data_seed_moves_the_order_alone(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, other = (begun(run, 1, data_seed, tmp_path, monkeypatch) for data_seed in (None, 2))
    assert same(plain.weights, other.weights)
    assert not read_alike(plain, other)
    assert not same(plain.last, other.last)


@pytest.mark.parametrize("run", ["text"], indirect=True)
def test_a_seed_moves_both_and_lends_its_order(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order that a seed of the data gives is that of a run with this seed, whatever its weights."""
    one, two, mixed = (begun(run, *seeds, tmp_path, monkeypatch) for seeds in ((1, None), (2, None), (2, 1)))
    assert not same(one.weights, two.weights)
    assert not read_alike(one, two)
    assert same(mixed.weights, two.weights)
    assert read_alike(mixed, one)
