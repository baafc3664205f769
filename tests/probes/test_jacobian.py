"""Jacobians of a step against finite differences, products of them against closed forms and 300-digit arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath  # type: ignore[import-untyped]  # sympy's, which torch needs
import numpy as np
import pytest
import torch
from support.cells import LinearRNN
from torch import Tensor

from rnnbench.cells import AffineCell, cell_names, make_cell
from rnnbench.cells.adapters import external_names
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models import SequenceModel
from rnnbench.probes import jacobian
from rnnbench.probes.jacobian import jvp, measure_singular_values, step_jacobian, transition_singular_values
from rnnbench.probes.probed_model import subject

#: Small windows and small states: every coordinate is perturbed.
OPTIONS: dict[str, dict[str, Any]] = {
    "transformer": {"window": 3, "heads": 2},
    "tcn": {"levels": 1, "kernel": 2},
    "mamba": {"state_size": 2},
    "s4d": {"state_size": 4},
}


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", [*cell_names(), *external_names()])
def test_a_step_against_central_differences(name: str) -> None:
    """Every entry to 1e-7, at random inputs and states."""
    torch.manual_seed(0)
    cell = make_cell(CellConfig(name, OPTIONS.get(name, {})), 4, 4).double()
    with torch.no_grad():
        u, s = cell.drive(randn(3, 1, 4))[:, 0], randn(3, *cell.state_shape, seed=1)
        found = step_jacobian(cell, u, s)
        size, step = found.shape[-1], 1e-5
        bumps = step * torch.eye(size, dtype=torch.float64).view(size, *cell.state_shape)
        moved = [torch.stack([cell.step(u, s + sign * bump) for bump in bumps], dim=-1) for sign in (1, -1)]
    differences = ((moved[0] - moved[1]) / (2 * step)).reshape(3, size, size)
    assert float((found - differences).abs().max()) < 1e-7


def test_the_step_of_a_min_gru_is_diagonal() -> None:
    cell = make_cell(CellConfig("mingru"), 5, 7).double()
    assert isinstance(cell, AffineCell)
    with torch.no_grad():
        u, s = cell.drive(randn(2, 1, 5))[:, 0], randn(2, 7, seed=1)
        assert torch.equal(step_jacobian(cell, u, s), torch.diag_embed(cell.affine(u)[0]))


class _Tanh(torch.autograd.Function):
    """With a backward only, as strangers write them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad * (1 - y * y)


class Stranger(LinearRNN):
    """s' = tanh(W s + x) by an operation without a forward derivative."""

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        out: Tensor = _Tanh.apply(super().step(u, s))
        return out


class Plain(LinearRNN):
    """The same by torch's own tanh."""

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return torch.tanh(super().step(u, s))


@pytest.mark.parametrize("context", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_without_a_forward_derivative_the_product_is_the_same(context: Callable[[], Any]) -> None:
    weight, u, s, vectors = randn(6, 6), randn(3, 6, seed=1), randn(3, 6, seed=2), randn(3, 6, 4, seed=3)
    with context():
        forward, reverse = (jvp(kind(weight), u, s, vectors) for kind in (Plain, Stranger))
    new = torch.tanh(s @ weight.t() + u)
    product = (1 - new**2).unsqueeze(-1) * (weight @ vectors)
    for result in (forward, reverse):
        torch.testing.assert_close(result, (new, product), rtol=1e-12, atol=1e-14)
        assert not any(part.requires_grad for part in result)


def test_registered_cells_have_a_forward_derivative(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of torch's own modules, too: none of them takes the slow way."""

    def never(*args: Any) -> Any:
        raise AssertionError("reverse mode")

    monkeypatch.setattr(jacobian, "vjp", never)
    for name in [*cell_names(), *external_names()]:
        cell = make_cell(CellConfig(name, OPTIONS.get(name, {})), 4, 4).double()
        step_jacobian(cell, cell.drive(randn(1, 1, 4))[:, 0], cell.initial_state(1))


class Forgetful(LinearRNN):
    """s' = W x: no memory at all."""

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return u @ self.weight.t()


def test_a_step_that_does_not_look_at_its_state() -> None:
    cell = Forgetful(randn(3, 3)).requires_grad_(False)
    assert torch.equal(step_jacobian(cell, randn(2, 3), randn(2, 3)), torch.zeros(2, 3, 3, dtype=torch.float64))
    assert bool((transition_singular_values(cell, randn(2, 5, 3), [1, 4]) == -math.inf).all())


LAGS = [0, 1, 2, 17, 200]


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_powers_of_a_matrix(scale: float) -> None:
    """W^k by numpy for a well-conditioned non-normal W, the scale apart: at k = 200 it is 1e-600 or 1e+600."""
    weight = torch.eye(12, dtype=torch.float64) + 0.004 * randn(12, 12)
    found = transition_singular_values(LinearRNN(scale * weight), torch.zeros(2, 200, 12, dtype=torch.float64), LAGS)
    for lag, logs in zip(LAGS, found[0].numpy(), strict=True):
        power = np.linalg.matrix_power(weight.numpy(), lag)
        expected = np.log(np.linalg.svd(power, compute_uv=False)) + lag * math.log(scale)
        assert np.abs(logs - expected).max() < 1e-10
    assert torch.equal(found[0], found[1])


def test_a_symmetric_matrix_at_any_ratio() -> None:
    """σ_i(W^k) = |λ_i|^k: at k = 1000 the largest is 1e+2000, the smallest 1e-2000."""
    basis, _ = torch.linalg.qr(randn(6, 6))
    values = torch.tensor([100.0, -50.0, 1.0, 0.9, -0.1, 0.01], dtype=torch.float64)
    cell = LinearRNN(basis @ values.diag() @ basis.t())
    found = transition_singular_values(cell, torch.zeros(1, 1000, 6, dtype=torch.float64), [10, 1000])
    for lag, logs in zip([10, 1000], found[0], strict=True):
        # To the matrix's own condition: the last of its values, 1e-4 of the first, is known to 1e-12 of itself.
        torch.testing.assert_close(logs, lag * values.abs().log(), rtol=0, atol=lag * 1e-11)


def test_an_orthogonal_matrix_keeps_all() -> None:
    cell = LinearRNN(torch.linalg.qr(randn(16, 16))[0])
    found = transition_singular_values(cell, randn(2, 500, 16), [1, 100, 500])
    assert float(found.abs().max()) < 1e-10


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_products_along_a_trajectory(name: str) -> None:
    """All singular values, over hundreds of orders, against the product in 300 digits."""
    torch.manual_seed(0)
    cell, x = make_cell(CellConfig(name), 3, 3).double(), 2 * randn(1, 60, 3)
    lags = [1, 5, 59]
    found = transition_singular_values(cell, x, lags)[0].numpy()
    steps = []
    with torch.no_grad():
        s, u = cell.initial_state(1), cell.drive(x)
        for t in range(60):
            steps.append(mpmath.matrix(step_jacobian(cell, u[:, t], s)[0].tolist()))
            s = cell.step(u[:, t], s)
    with mpmath.workdps(300):
        for lag, logs in zip(lags, found, strict=True):
            product = steps[-1]
            for earlier in steps[-2 : -lag - 1 : -1]:
                product = product * earlier
            expected = sorted(float(mpmath.log(value)) for value in mpmath.svd_r(product, compute_uv=False))[::-1]
            assert np.abs(logs - expected).max() < 1e-9
    assert found[-1, 0] - found[-1, -1] > 40  # beyond what an SVD of the product itself could see: 1/ε is e³⁶


def test_the_leading_ones_in_the_order_asked_for() -> None:
    cell, x = make_cell(CellConfig("gru"), 3, 5).double(), randn(2, 20, 3)
    every = transition_singular_values(cell, x, [3, 20])
    assert every.shape == (2, 2, 5)
    assert torch.equal(transition_singular_values(cell, x, [20, 3], count=2), every.flip(1)[..., :2])
    state = randn(2, 5, seed=5)
    begun = transition_singular_values(cell, x[:, 1:], [19], state=cell.step(cell.drive(x)[:, 0], state))
    torch.testing.assert_close(begun, transition_singular_values(cell, x, [19], state=state))


def test_what_cannot_be_is_refused() -> None:
    cell, x = make_cell(CellConfig("gru"), 3, 5), torch.randn(2, 20, 3)
    for lags in ([], [21], [-1]):
        with pytest.raises(UserError, match="lags"):
            transition_singular_values(cell, x, lags)
    with pytest.raises(UserError, match="count must be from 1 to 5"):
        transition_singular_values(cell, x, [1], count=6)


# --- of a whole model -------------------------------------------------------------------------------------------------


def test_a_models_leading_ones_are_those_of_its_first_layer() -> None:
    """The mean over samples of the logarithms, as of the product that no rounding spoils. Below 1e−12 of the largest
    they are not told, even where that is so of one sample alone.
    """
    torch.manual_seed(0)
    task = Task("many_to_one", "values", "values", 3, 2)
    model = SequenceModel(task, CellConfig("lstm"), ModelConfig(hidden_size=4, num_layers=2))
    batch = Batch(torch.randn(3, 40, 3), torch.randn(3, 2))
    lags = [1, 4, 16, 32]
    found = measure_singular_values(model, batch, task, lags, 6)
    cell, x = subject(model, batch, task).layers()[0]
    exact = transition_singular_values(cell, x, lags, 6).numpy()
    known = exact > exact[..., :1] + math.log(1e-12)
    assert known[:, 0].all()
    assert not known[:, -1].any(axis=0).all()
    expected = np.where(known, exact, -math.inf).mean(axis=0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found[:, 0], exact[..., 0].mean(axis=0), rtol=0, atol=1e-10)


def test_a_models_singular_values_leave_the_range_of_a_float64() -> None:
    """A relu RNN whose units are on and halve: 2^−k after k steps."""
    task = Task("many_to_one", "values", "values", 2, 1)
    model = SequenceModel(task, CellConfig("irnn"), ModelConfig(hidden_size=2)).double()
    with torch.no_grad():
        for name, weight in model.cells[0].named_parameters():
            weight.copy_((0.5 if name == "weight_hh" else 1.0) * torch.eye(2) if weight.dim() == 2 else torch.zeros(2))
        for parameter in model.input.parameters():
            parameter.copy_(torch.eye(2) if parameter.dim() == 2 else torch.zeros(2))
    found = measure_singular_values(model, Batch(torch.ones(1, 1500, 2), torch.ones(1, 1)), task, [1, 1500], 2)
    np.testing.assert_allclose(found, -math.log(2) * np.array([[1.0, 1.0], [1500.0, 1500.0]]), rtol=1e-12)
