"""Jacobians of a step against finite differences, products of them against closed forms and 300-digit arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath  # type: ignore[import-untyped]  # sympy's, which torch needs
import numpy as np
import pytest
import torch
from support.cells import SMALL, LinearRNN, randn
from torch import Tensor

from rnnbench.cells import cell_names, make_cell
from rnnbench.cells.adapters import external_names
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models import SequenceModel
from rnnbench.probes import jacobian
from rnnbench.probes.jacobian import jvp, measure_singular_values, step_jacobian, transition_singular_values
from rnnbench.probes.probed_model import subject

NAMES = [*cell_names(), *external_names()]


@pytest.mark.parametrize("name", NAMES)
def test_a_step_against_central_differences(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every entry to 1e-7, at random inputs and states; by forward mode, not the slow way that there is without it."""
    torch.manual_seed(0)
    monkeypatch.setattr(jacobian, "vjp", None)
    cell = make_cell(CellConfig(name, SMALL.get(name, {})), 4, 4).double()
    with torch.no_grad():
        u, s = cell.drive(randn(3, 1, 4))[:, 0], randn(3, *cell.state_shape, seed=1)
        found = step_jacobian(cell, u, s)
        size, step = found.shape[-1], 1e-5
        bumps = step * torch.eye(size, dtype=torch.float64).view(size, *cell.state_shape)
        moved = [torch.stack([cell.step(u, s + sign * bump) for bump in bumps], dim=-1) for sign in (1, -1)]
    differences = ((moved[0] - moved[1]) / (2 * step)).reshape(3, size, size)
    assert float((found - differences).abs().max()) < 1e-7


class TanhWithoutForwardDerivative(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad * (1 - y * y)


class TanhRNN(LinearRNN):
    """s' = tanh(W s + x)."""

    tanh: Callable[[Tensor], Tensor] = staticmethod(torch.tanh)

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return self.tanh(super().step(u, s))


@pytest.mark.parametrize("context", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_without_a_forward_derivative_the_product_is_the_same(context: Callable[[], Any]) -> None:
    weight, u, s, vectors = randn(6, 6), randn(3, 6, seed=1), randn(3, 6, seed=2), randn(3, 6, 4, seed=3)
    new = torch.tanh(s @ weight.t() + u)
    product = (1 - new**2).unsqueeze(-1) * (weight @ vectors)
    for tanh in (torch.tanh, TanhWithoutForwardDerivative.apply):
        cell = TanhRNN(weight)
        cell.tanh = tanh
        with context():
            result = jvp(cell, u, s, vectors)
        torch.testing.assert_close(result, (new, product), rtol=1e-12, atol=1e-14)
        assert not any(part.requires_grad for part in result)


class Forgetful(LinearRNN):
    """s' = W x: no memory at all."""

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return u @ self.weight.t()


def test_a_step_that_does_not_look_at_its_state() -> None:
    cell = Forgetful(randn(3, 3)).requires_grad_(False)
    assert torch.equal(step_jacobian(cell, randn(2, 3), randn(2, 3)), torch.zeros(2, 3, 3, dtype=torch.float64))
    assert bool((transition_singular_values(cell, randn(2, 5, 3), [1, 4]) == -math.inf).all())


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_powers_of_a_matrix(scale: float) -> None:
    """W^k by numpy for a well-conditioned non-normal W, the scale apart: at k = 200 it is 1e-600 or 1e+600."""
    weight, lags = torch.eye(12, dtype=torch.float64) + 0.004 * randn(12, 12), [1, 2, 17, 200]
    found = transition_singular_values(LinearRNN(scale * weight), torch.zeros(2, 200, 12, dtype=torch.float64), lags)
    for lag, logs in zip(lags, found[:, 0].numpy(), strict=True):
        power = np.linalg.matrix_power(weight.numpy(), lag)
        expected = np.log(np.linalg.svd(power, compute_uv=False)) + lag * math.log(scale)
        assert np.abs(logs - expected).max() < 1e-10
    assert torch.equal(found[:, 0], found[:, 1])


def test_an_orthogonal_matrix_keeps_all() -> None:
    cell = LinearRNN(torch.linalg.qr(randn(16, 16))[0])
    assert float(transition_singular_values(cell, randn(2, 500, 16), [1, 100, 500]).abs().max()) < 1e-10


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_products_along_a_trajectory(name: str) -> None:
    """Against the product in 300 digits: exact above 1e-12 of the largest, and not reported below."""
    torch.manual_seed(0)
    cell, x, lags = make_cell(name, 3, 3).double(), 2 * randn(1, 40, 3), [1, 5, 39]
    found = transition_singular_values(cell, x, lags)[:, 0].numpy()
    steps = []
    with torch.no_grad():
        s, u = cell.initial_state(1), cell.drive(x)
        for t in range(40):
            steps.append(mpmath.matrix(step_jacobian(cell, u[:, t], s)[0].tolist()))
            s = cell.step(u[:, t], s)
    with mpmath.workdps(300):
        for lag, logs in zip(lags, found, strict=True):
            product = steps[-1]
            for earlier in steps[-2 : -lag - 1 : -1]:
                product = product * earlier
            values = sorted(float(mpmath.log(value)) for value in mpmath.svd_r(product, compute_uv=False))
            exact = np.array(values[::-1])
            known = exact > exact[0] + math.log(1e-12)
            assert (logs[~known] == -math.inf).all()
            np.testing.assert_allclose(logs[known], exact[known], rtol=0, atol=1e-3)
            assert logs[0] == pytest.approx(exact[0], abs=1e-9)
    assert not known.all()


def test_the_leading_ones_from_any_state() -> None:
    torch.manual_seed(0)
    cell, x, state = make_cell("gru", 3, 5).double(), randn(2, 20, 3), randn(2, 5, seed=5)
    every = transition_singular_values(cell, x, [3, 20])
    assert every.shape == (2, 2, 5)
    assert torch.equal(transition_singular_values(cell, x, [3, 20], count=2), every[..., :2])
    later = transition_singular_values(cell, x[:, 1:], [19], state=cell.step(cell.drive(x)[:, 0], state))
    torch.testing.assert_close(later, transition_singular_values(cell, x, [19], state=state))


def test_what_cannot_be_is_refused() -> None:
    cell, x = make_cell("gru", 3, 5), torch.randn(2, 20, 3)
    for lags in ([], [21], [0]):
        with pytest.raises(UserError, match="lags"):
            transition_singular_values(cell, x, lags)
    with pytest.raises(UserError, match="count must be from 1 to 5"):
        transition_singular_values(cell, x, [1], count=6)


def test_a_models_are_those_of_its_first_layer() -> None:
    """The mean over samples of the logarithms, as many as there are."""
    torch.manual_seed(0)
    task = Task("many_to_one", "values", "values", 3, 2)
    model = SequenceModel(task, CellConfig("lstm"), ModelConfig(hidden_size=4, num_layers=2))
    batch, lags = Batch(torch.randn(3, 40, 3), torch.randn(3, 2)), [1, 4, 16, 32]
    cell, x = subject(model, batch, task).layers()[0]
    expected = transition_singular_values(cell, x, lags).numpy().mean(axis=1)
    np.testing.assert_array_equal(measure_singular_values(model, batch, task, lags, 6), expected[:, :6])
    assert measure_singular_values(model, batch, task, lags, 10).shape == (4, 8)
    large = SequenceModel(task, CellConfig("lstm"), ModelConfig(hidden_size=257))
    with pytest.raises(UserError, match="of up to 512 numbers, this has 514"):
        measure_singular_values(large, batch, task, lags, 6)
