"""A batch in parts: the losses, gradients and states of the whole batch."""

from __future__ import annotations

from typing import Any

import lightning
import pytest
import torch
from support.training import QUIET, Rows
from torch import Tensor

from rnnbench.config import CellConfig, DataConfig, ModelConfig, OptimConfig
from rnnbench.data.datamodule import SequenceDataModule
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models import build
from rnnbench.models.loss import loss
from rnnbench.training.micro_batches import BatchSplit, in_parts
from rnnbench.training.sequence_module import SequenceModule

STEPS = 8


def trained(
    data: DataConfig, cell: str, model: ModelConfig, split: BatchSplit | None
) -> tuple[list[dict[str, float]], Any]:
    """A row for each of the first steps, and the module."""
    source = SequenceDataModule(data, steps=STEPS)
    torch.manual_seed(0)
    module = SequenceModule(source.task, cell, model, OptimConfig(lr=0.01, clip=0.1), STEPS, log_every=1)
    module.split = split
    logger = Rows()
    trainer = lightning.Trainer(max_steps=STEPS, logger=logger, limit_val_batches=0, **QUIET)
    trainer.fit(module, datamodule=source)
    return list(logger.rows.values()), module


TASKS = {
    "text, its state carried": ("kjv", 12, "lstm", ModelConfig(16, num_layers=2)),
    "several states": ("kjv", 12, "mlstm", ModelConfig(16)),
    "masked unevenly": ("dyck", 14, "gru", ModelConfig(16)),
    "all steps count": ("copy", 5, "gru", ModelConfig(16)),
    "both ways, lengths": ("parity", 14, "lstm", ModelConfig(16, bidirectional=True)),
    "written": ("reversal", 10, "gru", ModelConfig(16, bidirectional=True)),
    "series": ("mackey_glass", 12, "rnn", ModelConfig(16, pooling="attention")),
}


@pytest.mark.parametrize("name", TASKS)
def test_the_training_is_the_whole_batchs(name: str) -> None:
    data_name, seq_len, cell, model = TASKS[name]
    data = DataConfig(name=data_name, seq_len=seq_len, batch_size=7)
    whole, one = trained(data, cell, model, None)
    parts, other = trained(data, cell, model, BatchSplit(micro_batches=3))
    assert len(whole) == STEPS
    for row, same in zip(parts, whole, strict=True):
        assert row == pytest.approx(same, rel=2e-5)
    first = whole[0]["train/mse" if one.task.predicts == "values" else "train/nll"]
    assert one.first_loss == pytest.approx(first, rel=1e-6), "before any update"
    assert other.first_loss == pytest.approx(first, rel=2e-5), "of all parts together"
    if one.task.stateful:
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(one._carry, other._carry, strict=True))
        assert len(one._carry[0]) == 7


def music(masks: Tensor) -> tuple[Task, Batch]:
    """Pieces of several lengths, bits a step."""
    generator = torch.Generator().manual_seed(0)
    size, time = masks.shape
    x = torch.rand(size, time, 6, generator=generator)
    y = (torch.rand(size, time, 6, generator=generator) > 0.5).float()
    task = Task("many_to_many", "values", "bits", 6, 6)
    return task, Batch(x, y, mask=masks, lengths=masks.sum(1).clamp(min=1))


@pytest.mark.parametrize("devices", [1, 2])
def test_shares_are_of_what_is_scored(devices: int) -> None:
    """Pieces of 9, 0, 2, 1, 9 scored steps, one part without any: over all processes the whole's gradient."""
    lengths = torch.tensor([9, 0, 2, 1, 9])
    task, batch = music(torch.arange(9) < lengths[:, None])
    torch.manual_seed(0)
    model = build(task, CellConfig("gru"), ModelConfig(8)).double()
    batch = batch._replace(x=batch.x.double(), y=batch.y.double())
    loss(model.predict(batch)[0], batch, task).backward()
    wanted = [p.grad for p in model.parameters()]
    model.zero_grad()
    total, lasts = torch.zeros((), dtype=torch.float64), []
    for rank in range(devices):
        split = BatchSplit(devices, rank, 4 // devices)

        def backward(value: Tensor, last: bool) -> None:
            lasts.append(last)
            value.backward()

        total += in_parts(model, batch, None, task, split, backward)[0]
    whole = loss(model.predict(batch)[0], batch, task).detach()
    assert float(total) == pytest.approx(float(whole), rel=1e-6)
    for parameter, gradient in zip(model.parameters(), wanted, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad / devices, gradient)
    assert lasts == ([False, True] * 2 if devices == 2 else [False, False, False, True])
    parts = [batch.rows(rows) for rows in BatchSplit(micro_batches=4).parts(5)]
    assert any(int(part.mask.sum()) == 0 for part in parts if part.mask is not None), "no part is empty: nothing shown"


@pytest.mark.parametrize(("rows", "devices", "micro"), [(7, 1, 3), (7, 2, 3), (32, 5, 2), (3, 3, 1), (6, 1, 6)])
def test_every_row_is_somebodys_and_no_share_is_twice_another(rows: int, devices: int, micro: int) -> None:
    shares = [BatchSplit(devices, rank, micro) for rank in range(devices)]
    parts = [part for share in shares for part in share.parts(rows)]
    assert [i for part in parts for i in range(rows)[part]] == list(range(rows))
    sizes = [share.shard(rows).stop - share.shard(rows).start for share in shares]
    assert max(sizes) - min(sizes) <= 1
    assert all(part.stop > part.start for part in parts)


def test_more_parts_than_rows_are_refused() -> None:
    with pytest.raises(UserError, match="2 sequences cannot be divided among 3 micro-batches; take fewer"):
        BatchSplit(micro_batches=3).parts(2)
    with pytest.raises(UserError, match="7 sequences cannot be divided among 4 devices × 2 micro-batches"):
        BatchSplit(4, 0, 2).check(7)
