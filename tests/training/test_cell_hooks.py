"""What a cell may add to its training: a penalty, a constraint, groups of parameters, a learned initial state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from support.training import QUIET, Rows
from torch import Tensor, nn

from rnnbench.cells import RNN
from rnnbench.cells.registry import _CELLS
from rnnbench.config import DataConfig, ModelConfig, OptimConfig
from rnnbench.data.datamodule import SequenceDataModule
from rnnbench.errors import UserError
from rnnbench.training.micro_batches import BatchSplit
from rnnbench.training.optimizers import make_optimizer
from rnnbench.training.sequence_module import SequenceModule

STEPS = 9


class Hooked(RNN):
    """Its first state is learned, its biases not decayed and slow; W_hh is penalised and kept within ±0.2."""

    torch_mode = None
    groups: list[dict[str, Any]] | None = None

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.start = nn.Parameter(torch.zeros(hidden_size))

    def initial_state(self, batch: int) -> Tensor:
        return self.start.expand(batch, -1)

    def penalty(self) -> Tensor:
        return 0.1 * self.weight_hh.square().sum()

    def constrain(self) -> None:
        self.weight_hh.clamp_(-0.2, 0.2)

    def parameter_groups(self) -> list[dict[str, Any]]:
        slow = {"params": [self.bias_ih, self.bias_hh], "lr_factor": 0.25, "weight_decay": 0.0}
        return [slow] if self.groups is None else self.groups


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_CELLS, "Hooked", Hooked)


class Watch(L.Callback):
    """The start, before each step and after the last, and whether the step's batch begins a stream."""

    def __init__(self) -> None:
        self.starts: list[Tensor] = []
        self.resets: list[bool] = []

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        self.resets.append(bool(batch.reset))
        self.starts.append(module.model.cells[0].start.detach().clone())


def trained(path: Path, split: BatchSplit | None = None) -> tuple[list[dict[str, float]], SequenceModule, Watch]:
    source = SequenceDataModule(DataConfig(path=str(path), seq_len=64, batch_size=64), steps=STEPS)
    torch.manual_seed(0)
    optim = OptimConfig("sgd", lr=0.5, clip=None, weight_decay=0.01)
    module = SequenceModule(source.task, "Hooked", ModelConfig(8, num_layers=2), optim, STEPS, log_every=1)
    module.split = split
    logger, watch = Rows(), Watch()
    trainer = L.Trainer(max_steps=STEPS, logger=logger, limit_val_batches=0, callbacks=[watch], **QUIET)
    trainer.fit(module, datamodule=source)
    return list(logger.rows.values()), module, watch


def test_the_training_has_them(text_file: Path) -> None:
    """And the same in micro-batches: the penalty counts once, and no loss that is shown includes it."""
    rows, module, watch = trained(text_file)
    torch.manual_seed(0)
    untrained = SequenceModule(module.task, "Hooked", ModelConfig(8, num_layers=2)).model.cells
    for cell, before in zip(module.model.cells, untrained, strict=True):
        assert cell.weight_hh.detach().abs().max() <= 0.2 < before.weight_hh.detach().abs().max()
    penalty = sum(float(cell.penalty().detach()) for cell in untrained)
    assert rows[0]["train/penalty"] == pytest.approx(penalty, rel=1e-5)
    assert rows[0]["train/nll"] == pytest.approx(module.first_loss, rel=1e-6)

    # A learned start moves with each batch that begins a stream, and with no other.
    assert watch.resets.count(True) >= 2
    assert not all(watch.resets)
    for before, after, reset in zip(watch.starts, watch.starts[1:], watch.resets, strict=False):
        assert torch.equal(after, before) is not reset

    parts, _, _ = trained(text_file, BatchSplit(micro_batches=3))
    for row, same in zip(parts, rows, strict=True):
        assert row == pytest.approx(same, rel=1e-4)


def test_groups_of_parameters() -> None:
    cell = Hooked(3, 4)
    config = OptimConfig("adamw", lr=0.1, weight_decay=0.5)
    rest, slow = make_optimizer(cell.parameters(), config, [cell]).param_groups
    assert [len(rest["params"]), rest["lr"], rest["weight_decay"]] == [3, 0.1, 0.5]
    assert [len(slow["params"]), slow["lr"], slow["weight_decay"]] == [2, pytest.approx(0.025), 0.0]
    for groups, message in (
        ([{"params": [cell.bias_ih]}, {"params": [cell.bias_ih]}], "has a parameter twice"),
        ([{"params": [cell.bias_ih], "lr": 1.0}], 'unknown entry of a parameter group of Hooked "lr"'),
        ([{"params": [nn.Parameter(torch.zeros(1))]}], "must have params, a list of parameters of that cell"),
        ([{"lr_factor": 2.0}], "must have params, a list of parameters of that cell"),
    ):
        cell.groups = groups
        with pytest.raises(UserError, match=message):
            make_optimizer(cell.parameters(), config, [cell])
