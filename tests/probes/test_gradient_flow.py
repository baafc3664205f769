"""Gradient flow against closed forms and finite differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from support.cells import LinearRNN
from torch import Tensor
from torch.nn import functional as F

from rnnbench.cells import AffineCell, cell_names, make_cell
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Batch, Task
from rnnbench.models import SequenceModel
from rnnbench.probes.curve import effective_horizon, empirical_half_life, fit_half_life
from rnnbench.probes.flops import cost_per_token
from rnnbench.probes.gradient_flow import gradient_flow, measure_gradient_flow

LAGS = np.arange(200.0)


def test_linear_rnn_with_known_singular_values() -> None:
    """W = U diag(σ) Uᵀ, ℓ = v·s_T: ∂ℓ/∂s_{T−k} = (Wᵀ)^k v, so G(k)² = Σ σ_i^{2k} (u_i·v)²."""
    torch.manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))
    sigma = torch.tensor([1.1, 1.0, 0.9, 0.7, 0.4, 0.1], dtype=torch.float64)
    cell, v = LinearRNN(basis @ sigma.diag() @ basis.t()), torch.randn(6, dtype=torch.float64)
    norms = gradient_flow(cell, torch.randn(4, 60, 6, dtype=torch.float64), lambda y: y @ v)
    k = torch.arange(60, dtype=torch.float64)[:, None]
    closed = ((sigma**k * (basis.t() @ v)) ** 2).sum(1).sqrt()
    torch.testing.assert_close(norms, closed.expand(4, 60), rtol=1e-10, atol=0)


def test_orthogonal_rnn_preserves() -> None:
    torch.manual_seed(0)
    q, _ = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64))
    norms = gradient_flow(LinearRNN(q), torch.randn(2, 500, 8, dtype=torch.float64), lambda y: y.sum(-1))
    assert float((norms / norms[:, :1] - 1).abs().max()) < 1e-12
    assert fit_half_life(norms.log().mean(0).numpy())[0] == math.inf


def test_a_leak_is_exponential() -> None:
    """s' = a·s + u forgets with half-life ln 2 / −ln a, whatever the input."""

    class Leak(AffineCell):
        def drive(self, x: Tensor) -> Tensor:
            return x

        def affine(self, u: Tensor) -> tuple[Tensor, Tensor]:
            return torch.full_like(u, 0.9), u

        def initial_state(self, batch: int) -> Tensor:
            return torch.zeros(batch, self.hidden_size, dtype=torch.float64)

    norms = gradient_flow(Leak(3, 3), torch.randn(2, 100, 3, dtype=torch.float64), lambda y: y.sum(-1))
    half_life, r2 = fit_half_life(norms.log().mean(0).numpy())
    assert half_life == pytest.approx(math.log(2) / -math.log(0.9), rel=1e-9)
    assert r2 == pytest.approx(1.0)


#: Small windows and small states: every coordinate is perturbed.
OPTIONS: dict[str, dict[str, Any]] = {
    "transformer": {"window": 3},
    "tcn": {"levels": 1, "kernel": 2},
    "mamba": {"state_size": 2},
    "s4d": {"state_size": 4},
}


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", cell_names())
def test_untrained_model_agrees_with_finite_differences(name: str, layers: int) -> None:
    """Every coordinate of every state of the whole model, layer below included, by central differences."""
    if (name, layers) == ("tcn", 2):
        pytest.skip("where the first layer's relu gives 0 the second's is at its kink: there is no derivative")
    torch.manual_seed(3)
    time, step = 9, 1e-6
    task = Task("many_to_many", "tokens", "symbols", 11, 11, stateful=True, causal=True)
    model = SequenceModel(task, CellConfig(name, OPTIONS.get(name, {})), ModelConfig(hidden_size=8, num_layers=layers))
    model = model.double()
    if name == "irnn":  # its input weights are 1e-3, and its relus' kinks as near: half of its units on, half off
        for cell in model.cells:
            dict(cell.named_parameters())["bias_hh"].data.copy_(torch.tensor([0.3, -0.3] * 4))
    x, y = torch.randint(11, (2, time)), torch.randint(11, (2, time))
    curve = measure_gradient_flow(model, Batch(x, y), task)

    squares = torch.zeros(2, time, dtype=torch.float64)
    shapes = [cell.state_shape for cell in model.cells]
    for layer, shape in enumerate(shapes):
        size = time * math.prod(shape)
        # One row of the batch for each sample, coordinate and direction.
        bumps = step * torch.eye(size, dtype=torch.float64).view(size, time, *shape)
        rows = torch.cat((bumps, -bumps)).repeat(2, *([1] * (1 + len(shape))))
        taps = [torch.zeros(len(rows), time, *other, dtype=torch.float64) for other in shapes]
        taps[layer] = rows
        samples = torch.arange(2).repeat_interleave(2 * size)
        with torch.no_grad():
            out = model(x[samples], taps=taps)[0][:, -1]
        losses = F.cross_entropy(out, y[samples, -1], reduction="none").view(2, 2, time, -1)
        slopes = (losses[:, 0] - losses[:, 1]) / (2 * step)
        squares += slopes.square().sum(-1).flip(1)
    measured = np.exp(curve.mean)
    expected = squares.sqrt().log().mean(0).exp().numpy()
    assert np.abs(measured - expected).max() < 1e-7


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


def test_a_default_rnn_vanishes_far_below_float32() -> None:
    """The reason for float64: at lag 255 a default tanh RNN is far below the smallest float32."""
    torch.manual_seed(0)
    cell = make_cell("rnn", 16, 64).double()
    norms = gradient_flow(cell, torch.randn(2, 256, 16, dtype=torch.float64), lambda y: y.sum(-1))
    assert 0 < float(norms[:, -1].max()) < torch.finfo(torch.float32).tiny


@pytest.mark.parametrize("half_life", [0.5, 3.0, 100.0, 1e4])
def test_half_lives_of_an_exponential(half_life: float) -> None:
    curve = 2.0 - LAGS * math.log(2) / half_life
    fitted, r2 = fit_half_life(curve)
    assert fitted == pytest.approx(half_life, rel=1e-6)
    assert r2 == pytest.approx(1.0)
    found = empirical_half_life(curve)
    assert found == math.inf if half_life > len(LAGS) else found == math.ceil(half_life - 1e-9)


def test_the_fit_stops_where_rounding_begins() -> None:
    """Below G(k)/G(0) = 1e−12 a curve is noise: what is there must not change the fit."""
    curve = -1.0 * LAGS
    noisy = curve.copy()
    noisy[29:] = -28.0
    assert fit_half_life(noisy)[0] == pytest.approx(math.log(2), rel=0.02)


def test_growing_and_flat_curves_have_no_half_life() -> None:
    assert fit_half_life(0.01 * LAGS)[0] == math.inf
    assert fit_half_life(0.0 * LAGS)[0] == math.inf
    assert empirical_half_life(0.01 * LAGS) == math.inf


def test_horizon() -> None:
    """ln 100 / (ln 2 / 3) = 19.93 steps: the last lag at or above a hundredth is 19."""
    assert effective_horizon(-LAGS * math.log(2) / 3) == 19
    bump = -LAGS.copy()
    bump[50] = 0.0
    assert effective_horizon(bump) == 50


def test_flops_of_an_lstm() -> None:
    """Forward: two operations a weight; backward twice that; the embedding is a lookup and costs none."""
    task = Task("many_to_many", "tokens", "symbols", 30, 30, stateful=True, causal=True)
    for name, gates in (("rnn", 1), ("lstm", 4), ("gru", 3)):
        model = SequenceModel(task, CellConfig(name), ModelConfig(hidden_size=16))
        assert cost_per_token(model, task).flops == 6 * (gates * 16 * 32 + 16 * 30)
