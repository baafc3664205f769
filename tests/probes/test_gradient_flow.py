"""Gradient flow against closed forms and finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import pytest
import torch
from support.cells import SMALL, LinearRNN, randn
from torch import Tensor
from torch.distributions import Bernoulli, Categorical
from torch.nn import functional as F

from rnnbench.catalog import Shape
from rnnbench.cells import AffineCell, Cell, cell_names, make_cell
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Batch, Task
from rnnbench.models import SequenceModel
from rnnbench.probes.curve import fit
from rnnbench.probes.gradient_flow import log_gradient_flow, measure_gradient_flow, shuffled
from rnnbench.probes.probed_model import subject

TEXT = Task("many_to_many", "tokens", "symbols", 11, 11, stateful=True, causal=True)


def text_model(name: str, hidden_size: int = 8, layers: int = 1) -> SequenceModel:
    torch.manual_seed(0)
    options = SMALL.get(name, {})
    return SequenceModel(TEXT, CellConfig(name, options), ModelConfig(hidden_size=hidden_size, num_layers=layers))


# --- one cell, in closed form ---------------------------------------------------------------------------------------


def test_linear_rnn_with_known_singular_values() -> None:
    """W = U diag(σ) Uᵀ, ℓ = v·s_T: ∂ℓ/∂s_{T−k} = (Wᵀ)^k v, so G(k)² = Σ σ_i^{2k} (u_i·v)²."""
    basis, _ = torch.linalg.qr(randn(6, 6))
    sigma = torch.tensor([1.1, 1.0, 0.9, 0.7, 0.4, 0.1], dtype=torch.float64)
    cell, v = LinearRNN(basis @ sigma.diag() @ basis.t()), randn(6, seed=1)
    norms = log_gradient_flow(cell, randn(4, 60, 6), lambda y: y @ v).exp()
    k = torch.arange(60, dtype=torch.float64)[:, None]
    closed = ((sigma**k * (basis.t() @ v)) ** 2).sum(1).sqrt()
    torch.testing.assert_close(norms, closed.expand(4, 60), rtol=1e-10, atol=0)


def test_orthogonal_rnn_preserves() -> None:
    logs = log_gradient_flow(LinearRNN(torch.linalg.qr(randn(8, 8))[0]), randn(2, 500, 8), lambda y: y.sum(-1))
    assert float((logs - logs[:, :1]).abs().max()) < 1e-12
    assert fit(logs.mean(0).numpy()).half_life == math.inf


def test_a_leak_is_exponential() -> None:
    """s' = a·s + u forgets with half-life ln 2 / −ln a, whatever the input."""

    class Leak(AffineCell):
        def drive(self, x: Tensor) -> Tensor:
            return x

        def affine(self, u: Tensor) -> tuple[Tensor, Tensor]:
            return torch.full_like(u, 0.9), u

        def initial_state(self, batch: int) -> Tensor:
            return torch.zeros(batch, self.hidden_size, dtype=torch.float64)

    line = fit(log_gradient_flow(Leak(3, 3), randn(2, 100, 3), lambda y: y.sum(-1)).mean(0).numpy())
    assert line.half_life == pytest.approx(math.log(2) / -math.log(0.9), rel=1e-9)
    assert line.r2 == pytest.approx(1.0)


def test_a_default_rnn_vanishes_far_below_float32() -> None:
    """The reason for float64: at lag 255 a default tanh RNN is far below the smallest float32."""
    torch.manual_seed(0)
    norms = log_gradient_flow(make_cell("rnn", 16, 64).double(), randn(2, 256, 16), lambda y: y.sum(-1)).exp()
    assert 0 < float(norms[:, -1].max()) < torch.finfo(torch.float32).tiny


# --- whole models, by finite differences ----------------------------------------------------------------------------


def differences(
    model: SequenceModel,
    x: Tensor,
    losses: Callable[[Tensor, Tensor], Tensor],
    cells: Sequence[int] | None = None,
    step: float = 1e-5,
) -> Tensor:
    """‖∂ℓ/∂s‖ over these cells' states, (B, T) with lag 0 first, by central differences in every coordinate.

    losses: the model's outputs and the index of each one's sample → a loss each.
    """
    batch, time = x.shape[:2]
    shapes = [cell.state_shape for cell in model.cells]
    squares = torch.zeros(batch, time, dtype=torch.float64)
    for index in range(len(shapes)) if cells is None else cells:
        size = time * math.prod(shapes[index])
        # One row of the batch for each sample, coordinate and direction.
        bumps = step * torch.eye(size, dtype=torch.float64).view(size, time, *shapes[index])
        rows = torch.cat((bumps, -bumps)).repeat(batch, *([1] * (1 + len(shapes[index]))))
        taps = [torch.zeros(len(rows), time, *shape, dtype=torch.float64) for shape in shapes]
        taps[index] = rows
        samples = torch.arange(batch).repeat_interleave(2 * size)
        with torch.no_grad():
            values = losses(model(x[samples], taps=taps)[0], samples).view(batch, 2, time, -1)
        squares += ((values[:, 0] - values[:, 1]) / (2 * step)).square().sum(-1).flip(1)
    return squares.sqrt()


@pytest.mark.parametrize("name", cell_names())
def test_untrained_model_agrees_with_finite_differences(name: str) -> None:
    """Every coordinate of every state of the whole model, layer below included."""
    # Where a TCN's first layer's relu gives 0 the second's is at its kink: there is no derivative.
    model = text_model(name, layers=1 if name == "tcn" else 2).double()
    if name == "irnn":  # its input weights are 1e-3, and its relus' kinks as near: half of its units on, half off
        for cell in model.cells:
            dict(cell.named_parameters())["bias_hh"].data.copy_(torch.tensor([0.3, -0.3] * 4))
    torch.manual_seed(3)
    x, y = torch.randint(11, (2, 9)), torch.randint(11, (2, 9))
    measured = np.exp(measure_gradient_flow(model, Batch(x, y), TEXT).mean)
    norms = differences(model, x, lambda out, i: F.cross_entropy(out[:, -1], y[i, -1], reduction="none"), step=1e-6)
    assert np.abs(measured - norms.log().mean(0).exp().numpy()).max() < 1e-7


def last_losses(out: Tensor, y: Tensor, task: Task) -> Tensor:
    """One a sample, written out: −log p of a class, of independent bits, or the mean squared error."""
    if task.shape == "many_to_many":
        out, y = out[:, -1], y[:, -1]
    if task.predicts == "values":
        return (out - y).square().mean(-1)
    if task.predicts == "bits":
        return -Bernoulli(logits=out).log_prob(y).sum(-1)
    return -Categorical(logits=out).log_prob(y)


@pytest.mark.parametrize("shape", ["many_to_one", "many_to_many"])
@pytest.mark.parametrize("predicts", ["labels", "bits", "values"])
def test_each_tasks_own_loss(shape: Shape, predicts: Literal["labels", "bits", "values"]) -> None:
    torch.manual_seed(1)
    task = Task(shape, "values", predicts, 2, 3)
    model = SequenceModel(task, CellConfig("gru"), ModelConfig(hidden_size=4)).double()
    size = (3, 6) if shape == "many_to_many" else (3,)
    x, y = torch.randn(3, 6, 2), torch.randint(3, size) if predicts == "labels" else torch.rand(*size, 3).round()
    curve = measure_gradient_flow(model, Batch(x, y), task)
    y = y if predicts == "labels" else y.double()
    logs = differences(model, x.double(), lambda out, i: last_losses(out, y[i], task)).log().numpy()
    assert np.abs(curve.mean - logs.mean(0)).max() < 1e-6
    assert np.abs(curve.sd - logs.std(0)).max() < 1e-6


@pytest.mark.parametrize("pooling", ["last", "attention"])
def test_a_bidirectional_model_by_its_forward_states(pooling: str) -> None:
    """Of the cells that read forwards, what goes through the others included."""
    torch.manual_seed(2)
    task = Task("many_to_one", "values", "values", 2, 3)
    config = ModelConfig(hidden_size=4, num_layers=2, bidirectional=True, pooling=pooling)  # type: ignore[arg-type]
    model = SequenceModel(task, CellConfig("gru"), config).double()
    x, y = torch.randn(2, 6, 2), torch.randn(2, 3)
    curve = measure_gradient_flow(model, Batch(x, y), task)
    assert len(curve.mean) == 6
    norms = differences(model, x.double(), lambda out, i: last_losses(out, y.double()[i], task), cells=(0, 2))
    assert np.abs(np.exp(curve.mean) - norms.log().mean(0).exp().numpy()).max() < 1e-7


def test_the_model_is_left_alone() -> None:
    task = Task("many_to_one", "values", "values", 1, 2)
    model = SequenceModel(task, CellConfig("lstm"), ModelConfig(hidden_size=4, dropout=0.5)).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.inference_mode():  # as inside Lightning's evaluation
        curve = measure_gradient_flow(model, Batch(torch.randn(3, 20, 1), torch.randn(3, 2)), task)
    assert len(curve.mean) == 20
    assert np.isfinite(curve.mean).all()
    assert model.training
    assert all(p.grad is None and p.dtype == torch.float32 for p in model.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


# --- samples without a gradient -------------------------------------------------------------------------------------

B, H, T, AT = 16, 6, 150, 100  # three segments of 64, 64 and 22; AT is in the middle one
ONE = Task("many_to_one", "values", "values", H, 3)


def relu_model() -> SequenceModel:
    """A relu RNN whose units are on where its inputs are positive; a step shrinks and mixes gradients."""
    torch.manual_seed(0)
    model = SequenceModel(ONE, CellConfig("irnn"), ModelConfig(hidden_size=H)).double()
    (cell,) = model.cells
    weights = dict(cell.named_parameters())
    with torch.no_grad():
        weights["weight_ih"].fill_(0.1)
        weights["weight_hh"].copy_(0.9 * torch.eye(H) + 0.02 * torch.randn(H, H))
        for parameter in model.input.parameters():
            parameter.copy_(torch.eye(H) if parameter.dim() == 2 else torch.zeros(H))
    return model


def switched_off(*samples: int) -> Batch:
    """Positive inputs, but for some samples at the time step AT, which turns off all of their units."""
    torch.manual_seed(1)
    x, y = 1 + torch.rand(B, T, H), torch.randn(B, 3)
    x[list(samples), AT] = -1e6
    return Batch(x, y)


def by_hand(model: SequenceModel, batch: Batch) -> Tensor:
    """‖∂ℓ_T/∂h_t‖ of a relu RNN by a loop and autograd, (B, T), lag 0 first."""
    w = {name: value.detach() for name, value in model.cells[0].named_parameters()}
    x, h, states = batch.x.double(), torch.zeros(B, H, dtype=torch.float64), []
    for t in range(T):
        h = torch.relu(x[:, t] @ w["weight_ih"].t() + w["bias_ih"] + h @ w["weight_hh"].t() + w["bias_hh"])
        h.requires_grad_()
        states.append(h)
    loss = F.mse_loss(model.readout(h), batch.y.double(), reduction="none").mean(1).sum()
    gradients = torch.autograd.grad(loss, states, allow_unused=True, materialize_grads=True)
    return torch.stack(gradients, dim=1).norm(dim=-1).flip(1)


def test_a_sample_without_a_gradient_is_counted_and_enters_no_mean() -> None:
    """One of 16 relu RNNs has exactly no gradient before the time step at which its units are off."""
    model, batch, lag = relu_model(), switched_off(3), T - 1 - AT
    norms, flow = by_hand(model, batch), measure_gradient_flow(model, batch, ONE)
    living = [i for i in range(B) if i != 3]
    assert bool((norms[3, lag + 1 :] == 0).all() and (norms[living] > 0).all() and (norms[3, : lag + 1] > 0).all())
    logs = norms.log().numpy()
    for measured, expected in ((flow.mean, np.mean), (flow.sd, np.std)):
        np.testing.assert_allclose(measured[: lag + 1], expected(logs[:, : lag + 1], axis=0), atol=1e-9)
        np.testing.assert_allclose(measured[lag + 1 :], expected(logs[living, lag + 1 :], axis=0), atol=1e-9)
    assert flow.dead.tolist() == [0.0] * (lag + 1) + [1 / B] * (T - lag - 1)
    assert flow.scalars()["dead_share"] == 1 / B
    assert flow.curves("flow")["flow_dead"].max() == pytest.approx(1 / B)


def test_where_all_samples_are_dead_there_is_no_gradient() -> None:
    model, lag = relu_model(), T - 1 - AT
    flow = measure_gradient_flow(model, switched_off(*range(B)), ONE)
    assert np.isfinite(flow.mean[: lag + 1]).all()
    assert (flow.mean[lag + 1 :] == -math.inf).all()
    assert (flow.sd[lag + 1 :] == 0).all()
    assert flow.dead.tolist() == [0.0] * (lag + 1) + [1.0] * (T - lag - 1)
    scalars = flow.scalars()
    assert (scalars["dead_share"], scalars["decades"]) == (1.0, -math.inf)
    assert scalars["log10_gain_at_last_lag"] == -math.inf
    assert scalars["half_lag"] <= scalars["hundredth_lag"] <= lag + 1
    assert max(scalars["horizon"], scalars["half_life_last"]) <= lag
    assert scalars["beyond_100"] == 0
    assert math.isfinite(scalars["half_life"])


def test_without_any_gradient_only_the_dead_are_reported() -> None:
    model = relu_model()
    with torch.no_grad():
        model.readout.weight.zero_()
    flow = measure_gradient_flow(model, switched_off(), ONE)
    assert (flow.mean == -math.inf).all()
    assert flow.scalars() == {"dead_share": 1.0}


# --- parts of a state -----------------------------------------------------------------------------------------------


def lstm_step(cell: Cell, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """As in the books, with torch's order of the gates: input, forget, candidate, output."""
    w = dict(cell.named_parameters())
    i, f, g, o = (x @ w["weight_ih"].t() + w["bias_ih"] + h @ w["weight_hh"].t() + w["bias_hh"]).chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def test_the_parts_of_an_lstms_state() -> None:
    """Two layers over two segments: ∂ℓ/∂h and ∂ℓ/∂c of a loop in which each state has its own perturbation."""
    model, time = text_model("lstm", 5, 2).double(), 80
    x, y = torch.randint(11, (3, time)), torch.randint(11, (3, time))
    flow = measure_gradient_flow(model, Batch(x, y), TEXT)

    reads = model.input(x).detach()
    bumps = torch.zeros(2, 2, time, 3, 5, dtype=torch.float64, requires_grad=True)  # part, layer, t, sample, unit
    state = [[torch.zeros(3, 5, dtype=torch.float64) for _ in range(2)] for _ in range(2)]
    for t in range(time):
        out = reads[:, t]
        for layer, cell in enumerate(model.cells):
            h, c = lstm_step(cell, out, *state[layer])
            out = h + bumps[0, layer, t]
            state[layer] = [out, c + bumps[1, layer, t]]
    loss = F.cross_entropy(model.readout(out), y[:, -1], reduction="sum")
    (gradient,) = torch.autograd.grad(loss, bumps)
    norms = gradient.square().sum(dim=(1, 4)).sqrt().flip(1).log().numpy()  # (2, T, B): both layers together
    assert set(flow.parts) == {"h", "c"}
    np.testing.assert_allclose(flow.parts["h"], norms[0].mean(-1), atol=1e-9)
    assert flow.parts["c"][0] == -math.inf, "the last step's loss reaches h alone"
    np.testing.assert_allclose(flow.parts["c"][1:], norms[1, 1:].mean(-1), atol=1e-9)
    np.testing.assert_allclose(flow.mean, np.logaddexp(2 * norms[0], 2 * norms[1]).mean(-1) / 2, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in cell_names() if make_cell(name, 8, 8).parts])
def test_the_whole_consists_of_its_parts(name: str) -> None:
    """‖∂ℓ/∂s‖² = Σ ‖∂ℓ/∂part‖², sample by sample and lag by lag; every part has a name."""
    model = text_model(name, layers=2)
    names = model.cells[0].parts
    assert all(cell.state_shape[0] == len(names) == len(set(names)) > 1 for cell in model.cells)
    batch = Batch(torch.randint(11, (2, 70)), torch.randint(11, (2, 70)))
    for segment in subject(model, batch, TEXT).adjoints():
        parts = torch.stack([segment.log_norms(part) for part in range(len(names))])
        assert bool(parts.isfinite().any())
        torch.testing.assert_close(torch.logsumexp(2 * parts, dim=0) / 2, segment.log_norms(), rtol=0, atol=1e-10)
    assert set(measure_gradient_flow(model, batch, TEXT).parts) == set(names)


# --- noise ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [torch.arange(6 * 20).view(6, 20), torch.randn(6, 20, 3)], ids=["tokens", "values"])
def test_noise_is_the_same_steps_in_another_order(x: Tensor) -> None:
    y, lengths = torch.randint(5, (6, 20)), torch.full((6,), 20)
    before = torch.get_rng_state()
    batch = Batch(x, y, lengths=lengths)
    noise = shuffled(batch)
    assert torch.equal(torch.get_rng_state(), before)
    assert (noise.x.shape, noise.x.dtype) == (x.shape, x.dtype)
    assert sorted(noise.x.flatten(0, 1).tolist()) == sorted(x.flatten(0, 1).tolist())
    assert not torch.equal(noise.x, x)
    kept = [step in noise.x[i].tolist() for i, row in enumerate(x.tolist()) for step in row]
    assert sum(kept) < len(kept) / 2, "steps go from sample to sample"
    assert torch.equal(noise.y, y)
    assert noise.lengths is lengths
    torch.manual_seed(7)
    assert torch.equal(shuffled(batch).x, noise.x), "the same for every model and seed"


def test_noise_hides_the_order() -> None:
    """On a batch of which all steps are alike nothing changes; on another one the curve is another one."""
    model, y = text_model("lstm"), torch.randint(11, (4, 30))
    for x, alike in ((torch.full((4, 30), 3), True), (torch.randint(11, (4, 30)), False)):
        batch = Batch(x, y)
        curves = [measure_gradient_flow(model, b, TEXT).mean for b in (batch, shuffled(batch))]
        assert np.array_equal(*curves) if alike else np.abs(curves[0] - curves[1]).max() > 1e-3
