"""Gradient flow against closed forms and finite differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from support.cells import LinearRNN
from torch import Tensor
from torch.nn import functional as F

from rnnbench.cells import AffineCell, Cell, cell_names, make_cell
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Batch, Task
from rnnbench.models import SequenceModel
from rnnbench.probes.curve import effective_horizon, falls_to, fit, judge, share_beyond
from rnnbench.probes.flops import cost_per_token
from rnnbench.probes.gradient_flow import FlowCurve, gradient_flow, measure_gradient_flow, shuffled
from rnnbench.probes.probed_model import subject

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
    assert fit(norms.log().mean(0).numpy()).half_life == math.inf


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
    line = fit(norms.log().mean(0).numpy())
    assert line.half_life == pytest.approx(math.log(2) / -math.log(0.9), rel=1e-9)
    assert line.r2 == pytest.approx(1.0)


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


# --- what a curve says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("half_life", [0.5, 3.0, 100.0, 1e4])
def test_the_numbers_of_an_exponential(half_life: float) -> None:
    """G(k) = e² 2^{−k/τ}: every number in closed form, up to the rounding of what lies on a border."""
    curve, ratio = 2.0 - LAGS * math.log(2) / half_life, 2 ** (-1 / half_life)
    line = fit(curve)
    assert line.half_life == pytest.approx(half_life, rel=1e-6)
    assert line.slope == pytest.approx(-math.log(2) / half_life)
    assert line.r2 == pytest.approx(1.0)
    assert (line.first, line.last) == (1, min(199, math.floor(12 * math.log2(10) * half_life)))
    for share in (0.5, 0.01):
        exact = -half_life * math.log2(share)
        assert falls_to(curve, share) == (math.inf if exact > 199 else math.ceil(exact - 1e-9))
    assert effective_horizon(curve) == min(199, math.floor(half_life * math.log2(100)))
    for lag in (0, 10, 100, 198):
        closed = (ratio ** (lag + 1) - ratio**200) / (1 - ratio**200)
        assert share_beyond(curve, lag) == pytest.approx(closed, rel=1e-9)


def test_the_numbers_of_a_flat_curve() -> None:
    flat = np.full(200, -3.0)
    line = fit(flat)
    assert (line.slope, line.r2, line.half_life) == (0.0, 1.0, math.inf)
    assert falls_to(flat, 0.5) == falls_to(flat, 0.01) == math.inf
    assert falls_to(flat, 1.0) == 0
    assert effective_horizon(flat) == 199
    assert [share_beyond(flat, lag) for lag in (0, 99, 198)] == pytest.approx([199 / 200, 0.5, 1 / 200])


def test_a_growing_curve_never_falls() -> None:
    """Its maximum is the last lag, after which none was measured: censored, not 0."""
    assert fit(0.01 * LAGS).half_life == math.inf
    assert falls_to(0.01 * LAGS, 0.5) == math.inf
    assert effective_horizon(0.01 * LAGS) == 199
    steep = 3.0 * LAGS
    assert falls_to(steep, 0.5) == math.inf
    assert effective_horizon(steep, math.exp(-7)) == 199
    assert share_beyond(steep, 198) == pytest.approx(1 - math.exp(-3))


def test_growth_then_decay() -> None:
    """Up by 2^{1/5} a lag to lag 40, then down by 2^{−1/8}: counted from the maximum on, in lags from the end."""
    up, down = math.log(2) / 5, math.log(2) / 8
    curve = np.where(LAGS <= 40, up * LAGS, 40 * up - down * (LAGS - 40)) - 7.0
    assert curve[0] - curve.max() < math.log(0.01), "the beginning is no fall: the test shows nothing else"
    assert falls_to(curve, 0.4) == 40 + math.ceil(8 * math.log2(2.5))
    assert falls_to(curve, 0.01) == 40 + math.ceil(8 * math.log2(100))
    assert effective_horizon(curve) == 40 + math.floor(8 * math.log2(100))
    weights = np.exp(curve)
    assert share_beyond(curve, 100) == pytest.approx(float(weights[101:].sum() / weights.sum()))
    assert falls_to(curve[:50], 0.4) == math.inf


def test_borders_belong_to_the_share() -> None:
    """Fallen to a share is at most that share of the maximum; the horizon is the last lag with at least it."""
    for share in (0.5, 0.01):
        exactly = np.array([0.0, math.log(share), -50.0])
        above = np.array([0.0, np.nextafter(math.log(share), 0.0), -50.0])
        below = np.array([0.0, np.nextafter(math.log(share), -1e9), -50.0])
        assert [falls_to(curve, share) for curve in (exactly, above, below)] == [1, 2, 1]
        assert [effective_horizon(curve, share) for curve in (exactly, above, below)] == [1, 1, 0]


def test_a_share_of_what_was_not_measured_is_none() -> None:
    assert share_beyond(np.zeros(11), 10) is None
    assert share_beyond(np.zeros(12), 10) == pytest.approx(1 / 12)
    ends = np.array([0.0, 0.0, -math.inf, -math.inf])
    assert (share_beyond(ends, 0), share_beyond(ends, 1)) == (0.5, 0.0)
    assert (falls_to(ends, 0.01), effective_horizon(ends)) == (2, 1)
    assert share_beyond(np.array([-2000.0, -2000.0]), 0) == 0.5, "however small"


def test_the_fit_stops_where_rounding_begins() -> None:
    """Below G(k)/G(0) = 1e−12, which is 27.6 nats, a curve is noise: what is there must not change the fit."""
    noisy = -1.0 * LAGS
    noisy[29:] = -28.0
    line = fit(noisy)
    assert line.half_life == pytest.approx(math.log(2))
    assert (line.first, line.last) == (1, 27)


def test_the_fit_is_the_least_squares_line_of_its_range() -> None:
    """Against scipy: with the first lag left out or not, and up to a last one."""
    curve = -0.05 * LAGS + np.random.default_rng(0).normal(0, 0.5, len(LAGS))
    curve[0] = 3.0
    for start, end in ((1, None), (0, None), (5, None), (1, 60), (10, 12)):
        line, last = fit(curve, start, end), 199 if end is None else end
        theirs = scipy.stats.linregress(LAGS[start : last + 1], curve[start : last + 1])
        assert (line.first, line.last) == (start, last)
        assert (line.slope, line.r2) == pytest.approx((theirs.slope, theirs.rvalue**2))


def test_a_curve_that_is_gone_at_once_is_fitted_over_its_first_two_lags() -> None:
    for second, half_life in ((-40.0, math.log(2) / 40), (-math.inf, 0.0)):
        line = fit(np.array([0.0, second, -math.inf, -math.inf]))
        assert (line.first, line.last) == (0, 1)
        assert line.half_life == pytest.approx(half_life, rel=1e-12)
        assert line.r2 == 0.0, "a line goes through any two points: this one is not to be shown as a good fit"


def test_horizon_of_a_late_bump() -> None:
    bump = -LAGS.copy()
    bump[50] = 0.0
    assert effective_horizon(bump) == 50
    assert falls_to(bump, 0.01) == 5


def test_scalars() -> None:
    """Of two samples' curve that halves every 3 lags, 150 long, one of them dead at the end."""
    dead = np.where(np.arange(150) > 140, 0.5, 0.0)
    mean = -np.arange(150) * math.log(2) / 3
    part = np.concatenate(([-math.inf], mean[1:]))
    flow = FlowCurve(mean, np.ones(150), dead, {"h": mean, "c": part, "never": np.full(150, -math.inf)})
    scalars = flow.scalars()
    ratio = 2 ** (-1 / 3)
    assert scalars == pytest.approx({
        "lags": 149, "half_lag": 3, "hundredth_lag": 20, "horizon": 19,
        **{f"beyond_{lag}": (ratio ** (lag + 1) - ratio**150) / (1 - ratio**150) for lag in (10, 32, 100)},
        "max_gain": 1.0, "decades": -100 / 3 * math.log10(2), "log10_gain_at_last_lag": -149 / 3 * math.log10(2),
        "dead_share": 0.5, "half_life": 3.0, "half_life_r2": 1.0, "half_life_first": 1, "half_life_last": 119,
        "half_lag_h": 3, "hundredth_lag_h": 20, "half_lag_c": 4, "hundredth_lag_c": 21,
    }, rel=1e-6)  # fmt: skip
    assert all(isinstance(value, int | float) for value in scalars.values())
    short = FlowCurve(mean[:20], np.ones(20), np.zeros(20)).scalars()
    assert {key for key in short if key.startswith("beyond")} == {"beyond_10"}
    assert (short["decades"], short["hundredth_lag"]) == (pytest.approx(-19 / 3 * math.log10(2)), math.inf)
    curves = flow.curves("flow")
    assert set(curves) == {"flow", "flow_sd", "flow_dead", "flow_h", "flow_c", "flow_never"}
    assert [name for name, curve in curves.items() if curve.dtype != np.float32] == ["flow"]
    assert curves["flow"].dtype == np.float64
    assert set(FlowCurve(mean, np.ones(150), np.zeros(150)).curves("flow")) == {"flow", "flow_sd"}


@pytest.mark.parametrize(("peak", "gain"), [(math.log(130.0), 130.0), (-5.0, 1.0), (1000.0, math.inf)])
def test_the_largest_gain_is_where_the_curve_is_highest(peak: float, gain: float) -> None:
    """Wherever it is, and without end where no float64 holds it."""
    flow = FlowCurve(np.array([3.0, 3.0 + peak, -2.0, -9.0]), np.zeros(4), np.zeros(4))
    assert flow.scalars()["max_gain"] == pytest.approx(gain)


def test_a_share_of_dead_samples_is_that_of_the_last_lag() -> None:
    """Also where no sample has a gradient at lag 0, from which all else is told: a pooled loss sees earlier states."""
    dead = np.array([0.5, 0.25, 0.125])
    assert FlowCurve(np.array([0.0, -1.0, -2.0]), np.zeros(3), dead).scalars()["dead_share"] == 0.125
    later = FlowCurve(np.array([-math.inf, 0.0, -1.0]), np.zeros(3), np.array([1.0, 0.25, 0.25]))
    assert later.scalars() == {"dead_share": 0.25}


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_curve_that_is_no_number_has_no_scalars(wrong: float) -> None:
    mean = np.array([0.0, -1.0, wrong])
    assert FlowCurve(mean, np.zeros(3), np.zeros(3)).scalars() == {}
    assert judge([mean, np.zeros(3), np.zeros(3)]) == judge([np.zeros(3), np.zeros(3)])


# --- samples without a gradient -------------------------------------------------------------------------------------

B, H, T, AT = 16, 6, 150, 100  # three stretches of 64, 64 and 22; AT is in the middle one
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
    """Positive inputs, but for some samples at the instant AT, which turns off all of their units."""
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
    """One of 16 relu RNNs has exactly no gradient before the instant at which its units are off."""
    model, batch, lag = relu_model(), switched_off(3), T - 1 - AT
    norms, flow = by_hand(model, batch), measure_gradient_flow(model, batch, ONE)
    assert [bool((norms[:, k] == 0).any()) for k in (lag, lag + 1)] == [False, True]
    assert bool((norms[3, lag + 1 :] == 0).all())
    living = [i for i in range(B) if i != 3]
    assert bool((norms[living] > 0).all())
    logs = norms.log().numpy()
    np.testing.assert_allclose(flow.mean[: lag + 1], logs[:, : lag + 1].mean(0), atol=1e-9)
    np.testing.assert_allclose(flow.mean[lag + 1 :], logs[living, lag + 1 :].mean(0), atol=1e-9)
    np.testing.assert_allclose(flow.sd[: lag + 1], logs[:, : lag + 1].std(0), atol=1e-9)
    np.testing.assert_allclose(flow.sd[lag + 1 :], logs[living, lag + 1 :].std(0), atol=1e-9)
    assert flow.dead.tolist() == [0.0] * (lag + 1) + [1 / B] * (T - lag - 1)
    assert flow.mean.min() > -50, "a logarithm of the smallest number, −708, is in no mean"
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
    assert scalars["horizon"] <= lag
    assert scalars["beyond_100"] == 0
    assert math.isfinite(scalars["half_life"])
    assert scalars["half_life_last"] <= lag


def test_where_the_loss_has_no_gradient_the_dead_are_all_that_is_told() -> None:
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
    """Two layers over two stretches: ∂ℓ/∂h and ∂ℓ/∂c of a loop in which each state has a bump of its own."""
    torch.manual_seed(0)
    time, task = 80, Task("many_to_many", "tokens", "symbols", 11, 11, stateful=True, causal=True)
    model = SequenceModel(task, CellConfig("lstm"), ModelConfig(hidden_size=5, num_layers=2)).double()
    x, y = torch.randint(11, (3, time)), torch.randint(11, (3, time))
    flow = measure_gradient_flow(model, Batch(x, y), task)

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
def test_the_whole_is_made_of_its_parts(name: str) -> None:
    """‖∂ℓ/∂s‖² = Σ ‖∂ℓ/∂part‖², sample by sample and lag by lag; every part has a name."""
    torch.manual_seed(0)
    task = Task("many_to_many", "tokens", "symbols", 11, 11, stateful=True, causal=True)
    model = SequenceModel(task, CellConfig(name), ModelConfig(hidden_size=8, num_layers=2))
    names = model.cells[0].parts
    assert all(cell.state_shape[0] == len(names) == len(set(names)) > 1 for cell in model.cells)
    batch = Batch(torch.randint(11, (4, 70)), torch.randint(11, (4, 70)))
    for piece in subject(model, batch, task).adjoints():
        parts = torch.stack([piece.log_norms(part) for part in range(len(names))])
        assert bool(parts.isfinite().any())
        torch.testing.assert_close(torch.logsumexp(2 * parts, dim=0) / 2, piece.log_norms(), rtol=0, atol=1e-10)
    assert set(measure_gradient_flow(model, batch, task).parts) == set(names)


# --- noise ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [torch.arange(6 * 20).view(6, 20), torch.randn(6, 20, 3)], ids=["tokens", "values"])
def test_noise_is_the_same_steps_in_another_order(x: Tensor) -> None:
    y, lengths = torch.randint(5, (6, 20)), torch.full((6,), 20)
    before = torch.get_rng_state()
    batch = Batch(x, y, lengths=lengths)
    noise = shuffled(batch)
    assert torch.equal(torch.get_rng_state(), before)
    assert noise.x.shape == x.shape
    assert noise.x.dtype == x.dtype
    assert sorted(noise.x.flatten(0, 1).tolist()) == sorted(x.flatten(0, 1).tolist())
    assert not torch.equal(noise.x, x)
    kept = [step in noise.x[i].tolist() for i, row in enumerate(x.tolist()) for step in row]
    assert sum(kept) < len(kept) / 2, "steps go from sample to sample"
    assert torch.equal(noise.y, y)
    assert noise.lengths is lengths
    torch.manual_seed(7)
    assert torch.equal(shuffled(batch).x, noise.x), "the same for every model and seed"


def test_noise_hides_what_the_order_tells() -> None:
    """On a batch of which all steps are alike nothing changes; on another one the curve is another one."""
    torch.manual_seed(0)
    task = Task("many_to_many", "tokens", "symbols", 11, 11, stateful=True, causal=True)
    model = SequenceModel(task, CellConfig("lstm"), ModelConfig(hidden_size=8))
    y = torch.randint(11, (4, 30))
    alike, other = Batch(torch.full((4, 30), 3), y), Batch(torch.randint(11, (4, 30)), y)
    of_alike, of_other = (
        [measure_gradient_flow(model, b, task).mean for b in (c, shuffled(c))] for c in (alike, other)
    )
    assert np.array_equal(*of_alike)
    assert np.abs(of_other[0] - of_other[1]).max() > 1e-3


def test_flops_of_an_lstm() -> None:
    """Forward: two operations a weight; backward twice that; the embedding is a lookup and costs none."""
    task = Task("many_to_many", "tokens", "symbols", 30, 30, stateful=True, causal=True)
    for name, gates in (("rnn", 1), ("lstm", 4), ("gru", 3)):
        model = SequenceModel(task, CellConfig(name), ModelConfig(hidden_size=16))
        assert cost_per_token(model, task).flops == 6 * (gates * 16 * 32 + 16 * 30)
