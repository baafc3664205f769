"""Gradient flow for each thing that a task predicts: the loss of the last step, against finite differences."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical

from rnnbench.catalog import Shape
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Batch, Task
from rnnbench.models import SequenceModel
from rnnbench.probes.gradient_flow import measure_gradient_flow

B, T, H, O = 3, 6, 4, 3
STEP = 1e-5


def last_losses(out: Tensor, y: Tensor, task: Task) -> Tensor:
    """One a sample, written out: −log p of a class, of independent bits, or the mean squared error."""
    if task.shape == "many_to_many":
        out, y = out[:, -1], y[:, -1]
    if task.predicts == "values":
        return (out - y).square().sum(-1) / O
    if task.predicts == "bits":
        return -Bernoulli(logits=out).log_prob(y).sum(-1)
    return -Categorical(logits=out).log_prob(y)


@pytest.mark.parametrize("shape", ["many_to_one", "many_to_many"])
@pytest.mark.parametrize("predicts", ["labels", "bits", "values"])
def test_the_curve_is_finite_differences(shape: Shape, predicts: Literal["labels", "bits", "values"]) -> None:
    torch.manual_seed(1)
    task = Task(shape, "values", predicts, 2, O)
    model = SequenceModel(task, CellConfig("gru"), ModelConfig(hidden_size=H)).double()
    size = (B, T) if shape == "many_to_many" else (B,)
    x = torch.randn(B, T, 2)
    y = torch.randint(O, size) if predicts == "labels" else torch.rand(*size, O).round()
    curve = measure_gradient_flow(model, Batch(x, y), task)

    def losses(t: int, unit: int, bump: float) -> Tensor:
        tap = torch.zeros(B, T, H, dtype=torch.float64)
        tap[:, t, unit] = bump
        with torch.no_grad():
            return last_losses(model(x.double(), taps=[tap])[0], y if predicts == "labels" else y.double(), task)

    norms = torch.zeros(T, B, dtype=torch.float64)
    for t in range(T):
        slopes = [(losses(t, unit, STEP) - losses(t, unit, -STEP)) / (2 * STEP) for unit in range(H)]
        norms[T - 1 - t] = torch.stack(slopes).norm(dim=0)
    logs = norms.log().numpy()
    assert np.abs(curve.mean - logs.mean(1)).max() < 1e-6
    assert np.abs(curve.sd - logs.std(1)).max() < 1e-6
