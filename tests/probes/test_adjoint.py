"""Adjoints segment by segment: at any length, at any size, and of a model with layers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from rnnbench.cells import Cell, cell_names, make_cell
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models import SequenceModel
from rnnbench.probes.gates import measure_gates
from rnnbench.probes.gradient_flow import (
    log_gradient_flow,
    measure_gradient_flow,
    measure_gradient_share,
    measure_saliency,
)
from rnnbench.probes.lyapunov import measure_lyapunov
from rnnbench.system.machine import PeakMemory

TEXT = Task("many_to_many", "tokens", "symbols", 11, 11, stateful=True, causal=True)
every_probe = pytest.mark.parametrize(
    "probe", [measure_gradient_flow, measure_gates, measure_lyapunov, measure_saliency]
)
Probe = Callable[[SequenceModel, Batch, Task], object]


def text_model(name: str, hidden_size: int = 8, **how: object) -> SequenceModel:
    torch.manual_seed(0)
    return SequenceModel(TEXT, CellConfig(name), ModelConfig(hidden_size=hidden_size, **how))  # type: ignore[arg-type]


def batch(size: int, time: int) -> Batch:
    return Batch(torch.randint(11, (size, time)), torch.randint(11, (size, time)))


def by_taps(model: SequenceModel, data: Batch, loss: Callable[[Tensor], Tensor]) -> NDArray[np.float64]:
    """The mean over samples of log ‖∂ℓ/∂tap‖ at each lag, by autograd through all of the model at once."""
    taps = [
        torch.zeros(*data.x.shape[:2], *cell.state_shape, dtype=torch.float64, requires_grad=True)
        for cell in model.cells
    ]
    out, _ = model.double()(data.x, taps=taps)
    gradient = torch.cat(torch.autograd.grad(loss(out), taps), dim=-1).norm(dim=-1)
    logs: NDArray[np.float64] = gradient.flip(1).log().mean(0).numpy()
    return logs


@pytest.mark.parametrize("name", cell_names())
def test_the_length_of_a_segment_makes_no_difference(name: str) -> None:
    """Cut into segments of 7, or in one piece: the chunk property of gradients, in both precisions."""
    torch.manual_seed(0)
    cell, x, v = make_cell(name, 8, 8), torch.randn(2, 30, 8), torch.randn(8)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 2e-2)):
        cell, x, v = cell.to(dtype), x.to(dtype), v.to(dtype)
        whole, cut = (log_gradient_flow(cell, x, lambda y: y @ v, length=length) for length in (30, 7))  # noqa: B023
        torch.testing.assert_close(cut, whole, rtol=0, atol=tolerance)  # an exact zero is −∞ in both


@pytest.mark.parametrize("name", ["rnn", "lstm", "mingru", "mlstm"])
def test_a_segment_that_is_run_again_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all graphs kept, as for short sequences, and with each built when it is needed."""
    torch.manual_seed(0)
    cell, x = make_cell(name, 8, 8).double(), torch.randn(2, 40, 8, dtype=torch.float64)
    kept = log_gradient_flow(cell, x, lambda y: y.sum(-1), length=7)
    monkeypatch.setattr("rnnbench.probes.adjoint.KEPT", 0)
    torch.testing.assert_close(log_gradient_flow(cell, x, lambda y: y.sum(-1), length=7), kept, rtol=0, atol=1e-9)


def test_float32_keeps_what_it_cannot_hold() -> None:
    """A default RNN's gradient after 400 steps is 1e−90 of what it was; in float32 it agrees with float64's."""
    torch.manual_seed(0)
    cell, x, v = make_cell("rnn", 16, 64), torch.randn(4, 400, 16), torch.randn(64)
    single = log_gradient_flow(cell, x, lambda y: y @ v)
    double = log_gradient_flow(cell.double(), x.double(), lambda y: y @ v.double())
    assert float(double[:, -1].max()) < math.log(torch.finfo(torch.float32).tiny)
    torch.testing.assert_close(single, double, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_three_thousand_steps_beyond_float64(gain: float) -> None:
    """s' = gain · s + u over 3 000 steps: 2^±3000, which no float64 holds, is a line with the slope ln gain."""

    class Scaled(Cell):
        def drive(self, x: Tensor) -> Tensor:
            return x

        def step(self, u: Tensor, s: Tensor) -> Tensor:
            return gain * s + u

        def initial_state(self, batch: int) -> Tensor:
            return torch.zeros(batch, 1)

    curve = log_gradient_flow(Scaled(1, 1), torch.zeros(1, 3_000, 1), lambda y: y.sum(-1))
    line = math.log(gain) * torch.arange(3_000, dtype=torch.float64)
    torch.testing.assert_close(curve[0], line, rtol=1e-12, atol=1e-12)


def test_memory_does_not_grow_with_length() -> None:
    """3 000 steps of an LSTM take some 20 MiB; kept whole, their graph takes 110."""
    torch.manual_seed(0)
    cell, v = make_cell("lstm", 32, 128), torch.randn(128)
    log_gradient_flow(cell, torch.randn(4, 100, 32), lambda y: y @ v)
    peak = PeakMemory("cpu")  # of now on: earlier tests may have had more
    before = peak.mib()
    curve = log_gradient_flow(cell, torch.randn(4, 3_000, 32), lambda y: y @ v)
    assert curve.shape == (4, 3_000)
    assert bool(curve.isfinite().all())
    assert peak.mib() - before < 55


def test_layers_of_a_long_model_are_one_piece() -> None:
    """What goes down from the second layer to the first crosses the borders of segments like everything else."""
    model, data = text_model("gru", num_layers=3, norm="rms", residual=True), batch(2, 200)
    curve = measure_gradient_flow(model, data, TEXT)
    expected = by_taps(model, data, lambda out: F.cross_entropy(out[:, -1], data.y[:, -1], reduction="sum"))
    np.testing.assert_allclose(curve.mean, expected, rtol=0, atol=1e-9)


def test_an_averaged_loss_hides_what_vanishes() -> None:
    """The mean over time gives every state a loss near by: flat, where the last step's loss is down 1e−20."""
    model, data = text_model("rnn", 64), batch(4, 150)
    last = measure_gradient_flow(model, data, TEXT).scalars()
    average = measure_gradient_flow(model, data, TEXT, average=True)
    assert last["log10_gain_at_last_lag"] < -20
    assert abs(average.scalars()["log10_gain_at_last_lag"]) < 1


@pytest.mark.parametrize("masked", [False, True])
def test_an_averaged_loss_is_of_the_steps_that_are_scored(masked: bool) -> None:
    """Also where one sample has a whole segment of steps that are not."""
    model, data = text_model("gru"), batch(3, 150)
    mask = torch.ones(3, 150, dtype=torch.bool)
    if masked:
        mask = torch.rand(3, 150) < 0.5
        mask[0, :70], mask[:, -1] = False, True
    average = measure_gradient_flow(model, data._replace(mask=mask) if masked else data, TEXT, average=True)

    def loss(out: Tensor) -> Tensor:
        losses = F.cross_entropy(out.transpose(1, 2), data.y, reduction="none")
        return ((losses * mask).sum(1) / mask.sum(1)).sum()

    np.testing.assert_allclose(average.mean, by_taps(model, data, loss), atol=1e-9)


def test_an_average_needs_a_target_at_every_step() -> None:
    task = Task("many_to_one", "values", "values", 1, 1)
    model = SequenceModel(task, CellConfig("rnn"), ModelConfig(hidden_size=4))
    with pytest.raises(UserError, match="target at every step"):
        measure_gradient_flow(model, Batch(torch.randn(2, 5, 1), torch.randn(2, 1)), task, average=True)


@every_probe
def test_the_last_step_of_a_probe_batch_is_scored(probe: Probe) -> None:
    """Where it is not, training does not lower its loss."""
    model = text_model("gru", 4)
    mask = torch.tensor([[True, False, True], [True, True, True]])
    probe(model, batch(2, 3)._replace(mask=mask), TEXT)
    with pytest.raises(UserError, match=r"whose last step is scored, and of 1 of these 2 it is not"):
        probe(model, batch(2, 3)._replace(mask=mask.flip(0).roll(1, 1)), TEXT)


@every_probe
def test_a_probe_batch_has_one_length(probe: Probe) -> None:
    task = Task("many_to_one", "values", "values", 1, 1)
    model = SequenceModel(task, CellConfig("gru"), ModelConfig(hidden_size=4))
    x, y = torch.randn(2, 5, 1), torch.randn(2, 1)
    probe(model, Batch(x, y, lengths=torch.tensor([5, 5])), task)
    with pytest.raises(UserError, match=r"sequences of one length, got \[5, 3\]"):
        probe(model, Batch(x, y, lengths=torch.tensor([5, 3])), task)


def test_saliency_is_the_gradient_of_the_inputs() -> None:
    torch.manual_seed(0)
    task = Task("many_to_one", "values", "values", 3, 1)
    model = SequenceModel(task, CellConfig("lstm"), ModelConfig(hidden_size=8, num_layers=2))
    x, y = torch.randn(2, 150, 3), torch.randn(2, 1)
    curve = measure_saliency(model, Batch(x, y), task)
    embedded = model.double().input(x.double()).detach().requires_grad_()
    out = model.readout(model.stack(embedded)[0][:, -1])
    (gradient,) = torch.autograd.grad((out - y.double()).square().sum(), embedded)
    np.testing.assert_allclose(curve.mean, gradient.norm(dim=-1).flip(1).log().mean(0).numpy(), atol=1e-9)


def test_a_sample_without_a_gradient_has_no_share_of_it() -> None:
    """One of three relu RNNs has all its units off at the last step: the shares are the mean of the other two's."""
    torch.manual_seed(0)
    task = Task("many_to_one", "values", "values", 4, 2)
    model = SequenceModel(task, CellConfig("irnn"), ModelConfig(hidden_size=4)).double()
    with torch.no_grad():
        for name, weight in model.cells[0].named_parameters():
            if name.startswith("weight"):
                weight.copy_(0.9 * torch.eye(4))
        for parameter in model.input.parameters():
            parameter.copy_(torch.eye(4) if parameter.dim() == 2 else torch.zeros(4))
    x, y = 1 + torch.rand(3, 20, 4), torch.randn(3, 2)
    x[1, -1] = -1e6
    share = measure_gradient_share(model, Batch(x, y), task)
    each = [measure_gradient_share(model, Batch(x[i : i + 1], y[i : i + 1]), task) for i in range(3)]
    np.testing.assert_allclose(share, np.mean([each[0], each[2]], axis=0), rtol=1e-12)
    assert share[0] > 0.06, "a third of 1/20 each would have come from the one without"
    assert np.isnan(each[1]).all()


@pytest.mark.parametrize("name", ["rnn", "lstm", "mingru", "mlstm"])
@pytest.mark.parametrize("layers", [1, 2])
def test_share_of_the_gradient_by_lag(name: str, layers: int) -> None:
    """Against separate weights for every time step, sample by sample, by plain backpropagation."""
    time = 6
    model, data = text_model(name, num_layers=layers), batch(3, time)
    share = measure_gradient_share(model, data, TEXT)
    assert share.sum() == pytest.approx(1.0)

    twin = model.double()
    twin.stack.backend = "loop"
    weights = {f"layers.{key}": value for key, value in twin.stack.layers.named_parameters()}
    expected = torch.zeros(time, dtype=torch.float64)
    for sample in range(3):
        copies = [{key: value.detach().clone().requires_grad_() for key, value in weights.items()} for _ in range(time)]
        x, state = twin.input(data.x[sample : sample + 1]).detach(), None
        for t in range(time):
            y, state = functional_call(twin.stack, copies[t], (x[:, t : t + 1], state))
        loss = F.cross_entropy(twin.readout(y[:, -1]), data.y[sample, -1:])
        leaves = [weight for copy in copies for weight in copy.values()]
        gradients = iter(torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True))
        norms = [math.sqrt(sum(float(next(gradients).square().sum()) for _ in copy)) for copy in copies]
        expected += torch.tensor(norms[::-1], dtype=torch.float64) / sum(norms) / 3
    np.testing.assert_allclose(share, expected.numpy(), rtol=1e-8)
