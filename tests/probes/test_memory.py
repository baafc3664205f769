"""Only what of a state is memory is measured: a mask that an LSTM carries in its state changes no probe."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from support.cells import randn
from torch import Tensor
from torch.nn import functional as F

from rnnbench.cells import LSTM
from rnnbench.cells.registry import _CELLS
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Batch, Task
from rnnbench.models.build import SequenceModel, state_size
from rnnbench.probes.curve import Curve, judge
from rnnbench.probes.gradient_flow import measure_gradient_flow
from rnnbench.probes.jacobian import measure_singular_values
from rnnbench.probes.lyapunov import measure_lyapunov

TASK = Task("many_to_many", "values", "values", 5, 1)


class Carrying(LSTM):
    """An LSTM whose h is masked on its way back, by a mask that travels in the state: s = [h; c; mask]."""

    torch_mode = None
    parts = ()

    @property
    def state_shape(self) -> tuple[int, ...]:
        return (3, self.hidden_size)

    def initial_state(self, batch: int) -> Tensor:
        return F.pad(super().initial_state(batch)[:, :2], (0, 0, 0, 1), value=1.0)

    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        h, c, mask = s.unbind(-2)
        new, gates = super().gated_step(u, torch.stack((mask * h, c), dim=-2))
        return torch.cat((new, mask.unsqueeze(-2)), dim=-2), gates

    def read(self, s: Tensor, u: Tensor) -> Tensor:
        return s.select(-2, 0)


class Declaring(Carrying):
    """The same, and it says what of its state is memory."""

    def memory(self, s: Tensor) -> Tensor:
        return s[..., :2, :].flatten(-2)


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> dict[str, SequenceModel]:
    """The LSTM and the two that carry a mask, with the same weights."""
    built = {}
    for name, cls in (("lstm", LSTM), ("carrying", Carrying), ("declaring", Declaring)):
        monkeypatch.setitem(_CELLS, name, cls)
        torch.manual_seed(0)
        built[name] = SequenceModel(TASK, CellConfig(name), ModelConfig(hidden_size=4))
    return built


def test_a_mask_in_the_state_is_no_memory(models: dict[str, SequenceModel]) -> None:
    """The LSTM's gradient vanishes, to a mask it does not: unless it is said what is memory, it hides that."""
    batch = Batch(randn(4, 110, 5), randn(4, 110, 1, seed=1))
    flows = {name: measure_gradient_flow(copy.deepcopy(model), batch, TASK) for name, model in models.items()}
    plain, hidden, declared = (flow.scalars() for flow in flows.values())
    assert plain["half_life"] < 3 < hidden["half_life"]
    assert {name: declared[name] for name in plain if "_lag_" not in name} == pytest.approx(
        {name: value for name, value in plain.items() if "_lag_" not in name}, rel=1e-6
    )
    verdicts = [judgement.verdict for flow in flows.values() if (judgement := judge([flow.mean, flow.mean]))]
    assert verdicts[0] == verdicts[2] == "vanishing"
    assert state_size(models["lstm"]) == state_size(models["declaring"]) == 8 < state_size(models["carrying"])
    measures: tuple[Callable[[SequenceModel], Curve], ...] = (
        lambda model: measure_lyapunov(model, batch, TASK, 8).exponents,
        lambda model: measure_singular_values(model, batch, TASK, [1, 4], 8),
    )
    for measure in measures:
        one, two = measure(models["lstm"]), measure(models["declaring"])
        assert one.shape == two.shape
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-8)
    assert measure_lyapunov(models["carrying"], batch, TASK, 1).exponents == pytest.approx(0.0, abs=1e-4)
