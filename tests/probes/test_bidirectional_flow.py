"""Gradient flow of a model that reads both ways: of the cells that read forwards, the other ones' help included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Batch, Task
from rnnbench.models import SequenceModel
from rnnbench.probes.gradient_flow import measure_gradient_flow


@pytest.mark.parametrize("pooling", ["last", "attention"])
def test_finite_differences_of_the_forward_states(pooling: str) -> None:
    torch.manual_seed(2)
    task = Task("many_to_one", "values", "values", 2, 3)
    config = ModelConfig(hidden_size=4, num_layers=2, bidirectional=True, pooling=pooling)  # type: ignore[arg-type]
    model = SequenceModel(task, CellConfig("gru"), config).double()
    x, y = torch.randn(2, 6, 2), torch.randn(2, 3)
    curve = measure_gradient_flow(model, Batch(x, y), task)
    assert len(curve.mean) == 6

    def losses(taps: list[Tensor]) -> Tensor:
        with torch.no_grad():
            return F.mse_loss(model(x.double(), taps=taps)[0], y.double(), reduction="none").mean(-1)

    zero = [torch.zeros(2, 6, 4, dtype=torch.float64) for _ in model.cells]
    squares = torch.zeros(2, 6, dtype=torch.float64)
    for index in (0, 2):
        for t in range(6):
            for unit in range(4):
                plus, minus = ([z.clone() for z in zero] for _ in range(2))
                plus[index][:, t, unit] += 1e-5
                minus[index][:, t, unit] -= 1e-5
                squares[:, 5 - t] += ((losses(plus) - losses(minus)) / 2e-5) ** 2
    assert np.abs(np.exp(curve.mean) - squares.sqrt().log().mean(0).exp().numpy()).max() < 1e-7
