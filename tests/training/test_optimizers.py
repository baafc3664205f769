"""Learning-rate schedules against closed forms, gradient clipping against torch's own functions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from support.training import QUIET
from torch import nn

from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, Run
from rnnbench.data.datamodule import SequenceDataModule
from rnnbench.errors import UserError
from rnnbench.models.loss import loss
from rnnbench.training import module_for
from rnnbench.training.optimizers import make_optimizer, make_schedule


@pytest.mark.parametrize("warmup", [0.0, 0.1])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear"])
def test_schedules_against_closed_forms(schedule: Any, warmup: float) -> None:
    """Step i of N, w of them warm-up: (i + 1)/w, then with p = (i − w)/(N − w): 1, (1 + cos πp)/2 or 1 − p."""
    config = OptimConfig("sgd", lr=0.5, schedule=schedule, warmup=warmup)
    optimizer = make_optimizer([nn.Parameter(torch.zeros(1))], config)
    schedule_, steps, rising = make_schedule(optimizer, config, 200), 200, round(200 * warmup)
    found = []
    for _ in range(steps + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if schedule_ is not None:
            schedule_.step()
    middle = (steps + rising) // 2
    closed = {"constant": (1, 1, 1), "cosine": (1, 0.5, 0), "linear": (1, 0.5, 0)}[schedule]
    assert [found[rising], found[middle], found[steps]] == pytest.approx([0.5 * value for value in closed])
    assert found[:rising] == pytest.approx([0.5 * (i + 1) / rising for i in range(rising)])
    quarter = (steps - rising) // 4
    if schedule == "cosine":
        assert found[rising + quarter] == pytest.approx(0.5 * 0.5 * (1 + math.cos(math.pi / 4)))
    assert found[rising:] == sorted(found[rising:], reverse=True)


def test_a_schedule_without_a_length_is_refused() -> None:
    """Its learning rate would be zero from the second step on."""
    optimizer = make_optimizer([nn.Parameter(torch.zeros(1))], OptimConfig())
    with pytest.raises(UserError, match="total_steps"):
        make_schedule(optimizer, OptimConfig(schedule="cosine"), 0)
    assert make_schedule(optimizer, OptimConfig(), 0) is None


@pytest.mark.parametrize("clip_by", ["norm", "value"])
def test_clipping_is_torchs(text_file: Path, clip_by: str) -> None:
    """The gradients of a step are those of torch's own two functions, and the norm kept is that before."""
    run = Run(
        cell=CellConfig("gru"),
        model=ModelConfig(hidden_size=16),
        data=DataConfig(path=str(text_file), seq_len=16, batch_size=4),
        optim=OptimConfig(clip=0.01, clip_by=clip_by),  # type: ignore[arg-type]
        budget=BudgetConfig(steps=30, evals=3),
    )
    data = SequenceDataModule(run.data, run.seed, 1)
    modules = []
    for _ in range(2):
        torch.manual_seed(0)
        modules.append(module_for(run, data.task))
    plain, module = modules
    batch = data.source.train_batch(0)
    loss(plain.model.predict(batch)[0], batch, data.task).backward()
    expected = [p.grad.clone() for p in plain.parameters()]
    before = torch.nn.utils.get_total_norm(expected)
    assert float(before) > 0.01, "nothing is clipped: the test shows nothing"
    lightning.Trainer(max_steps=1, logger=False, limit_val_batches=0, **QUIET).fit(module, data)
    if clip_by == "value":
        torch.nn.utils.clip_grad_value_(list(plain.parameters()), 0.01)
        assert max(float(g.abs().max()) for g in expected) > 0.01, "nothing is clipped: the test shows nothing"
    else:
        torch.nn.utils.clip_grads_with_norm_(list(plain.parameters()), 0.01, before)
    for parameter, theirs in zip(module.parameters(), plain.parameters(), strict=True):
        assert torch.equal(parameter.grad, theirs.grad)
    assert module.gradient_norms().tolist() == [float(before)]
