"""Lyapunov exponents against eigenvalues, means of logarithms and determinants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from support.cells import LinearRNN, randn
from torch import Tensor, nn

from rnnbench.cells import AffineCell, cell_names, make_cell
from rnnbench.cells.nonlinear.rnn import RNN
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models import SequenceModel
from rnnbench.probes.jacobian import step_jacobian
from rnnbench.probes.lyapunov import Lyapunov, lyapunov_spectrum, measure_lyapunov


@pytest.mark.parametrize("shear", [0.0, 1.0], ids=["normal", "non-normal"])
def test_a_linear_map_has_its_eigenvalues(shear: float) -> None:
    """W = V (diag(λ) + upper triangle) Vᵀ; ratios of at most 0.8: 200 steps of burn-in leave 0.8^200 = 1e-19."""
    values = torch.tensor([1.25, -1.0, 0.75, 0.5, -0.2], dtype=torch.float64)
    basis = torch.linalg.qr(randn(5, 5))[0]
    cell = LinearRNN(basis @ (values.diag() + shear * randn(5, 5, seed=1).triu(1)) @ basis.t())
    found = lyapunov_spectrum(cell, randn(2, 300, 5), burn_in=200)
    assert np.abs(found.exponents - values.abs().log().numpy()).max() < 1e-10
    assert found.by_sample.shape == (2, 5)  # no more than there are
    orthogonal = lyapunov_spectrum(LinearRNN(torch.linalg.qr(randn(12, 12))[0]), randn(3, 200, 12), exponents=12)
    assert np.abs(orthogonal.exponents).max() < 1e-10


def test_a_random_matrix_has_its_eigenvalues() -> None:
    """Complex pairs turn and never settle: what is left after T steps is a bounded sum of logarithms over T."""
    weight = randn(8, 8) / math.sqrt(8)
    found = lyapunov_spectrum(LinearRNN(weight), randn(1, 1000, 8))
    expected = np.sort(np.log(np.abs(np.linalg.eigvals(weight.numpy()))))[::-1]
    assert np.abs(found.exponents - expected).max() < 10 / 900


def test_a_min_gru_has_the_means_of_its_gates() -> None:
    """Its Jacobians are diagonal. Opened apart, a unit from the next, by 2: burn-in then leaves nothing."""
    torch.manual_seed(0)
    cell = make_cell("mingru", 3, 6).double()
    assert isinstance(cell, AffineCell)
    cell.gates()["write"][0].data.copy_(torch.arange(6) * 2.0 - 4)
    x = randn(2, 300, 3)
    found = lyapunov_spectrum(cell, x, exponents=4, burn_in=100)
    with torch.no_grad():
        gates = cell.affine(cell.drive(x))[0][:, 100:].log().mean(1).sort(descending=True).values[:, :4]
    assert np.abs(found.by_sample - gates.numpy()).max() < 1e-10


@pytest.mark.parametrize(("gain", "sign"), [(0.9, -1), (1.5, 1)])
def test_the_edge_of_chaos(gain: float, sign: int) -> None:
    """h' = tanh(W h), W ~ N(0, g²/N): chaos sets in at g = 1 for large N (Sompolinsky, Crisanti & Sommers 1988).

    A small network a little above it may still come to rest on a point or a cycle, where λ₁ = 0 to rounding.
    """
    size = 128
    cell = RNN(1, size).double()
    for parameter in cell.parameters():
        nn.init.zeros_(parameter)
    weight = gain / math.sqrt(size) * randn(size, size)
    cell.weight_hh.data.copy_(weight)
    x, state = torch.zeros(1, 500, 1, dtype=torch.float64), randn(1, size, seed=1)
    largest = float(lyapunov_spectrum(cell, x, exponents=1, state=state, burn_in=200).exponents[0])
    assert sign * largest > 0.01
    if gain < 1:  # the state dies out and W is what is left of the Jacobian; 300 steps of a complex pair
        assert largest == pytest.approx(float(torch.linalg.eigvals(weight).abs().max().log()), abs=0.01)


@pytest.mark.parametrize("name", ["lstm", "gru", "torch:LSTM"])
def test_all_of_them_add_up_to_the_determinant(name: str) -> None:
    """log|det J| is the sum of log|R_ii| at every step, whatever Q."""
    torch.manual_seed(0)
    cell, x = make_cell(name, 3, 5).double(), randn(2, 50, 3)
    state = 0.5 * randn(2, *cell.state_shape, seed=1)
    found = lyapunov_spectrum(cell, x, exponents=100, state=state, burn_in=10)
    logs = []
    with torch.no_grad():
        s = state
        for u in cell.drive(x).unbind(1):
            logs.append(np.linalg.slogdet(step_jacobian(cell, u, s).numpy())[1])
            s = cell.step(u, s)
    assert np.abs(found.by_sample.sum(1) - np.mean(logs[10:], axis=0)).max() < 1e-9


@pytest.mark.parametrize("name", [*cell_names(), "torch:LSTM"])
def test_every_cell_has_a_spectrum(name: str) -> None:
    """In descending order, without the global generator; in float32 nearly that of float64.

    What a relu or a window has lost is −∞ in both.
    """
    options: dict[str, Any] = {"window": 8} if name == "transformer" else {}
    torch.manual_seed(0)
    cell = make_cell(CellConfig(name, options), 8, 8).requires_grad_(False)
    x, before = randn(2, 60, 8), torch.random.get_rng_state()
    with torch.inference_mode():  # as inside Lightning's evaluation
        single = lyapunov_spectrum(cell, x.float(), exponents=3)
        double = lyapunov_spectrum(cell.double(), x * 1.0, exponents=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (double.by_sample < math.inf).all()
    assert (double.by_sample[:, 1:] <= double.by_sample[:, :-1]).all()
    np.testing.assert_allclose(single.exponents, double.exponents, rtol=0, atol=1e-3)


def test_a_window_forgets_all() -> None:
    """J^W = 0. As long as the first entries are still seen the exponents are finite; after that they are −∞."""
    cell = make_cell(CellConfig("tcn", {"levels": 1, "kernel": 3}), 2, 4).double()  # W = 5
    assert (lyapunov_spectrum(cell, randn(1, 40, 2), exponents=20).exponents == -math.inf).all()
    assert (lyapunov_spectrum(cell, randn(1, 4, 2), exponents=3).exponents > -5).all()


def test_what_waits_a_step_is_lost_and_what_is_kept_is_not() -> None:
    """A QRNN's state is 5H numbers, of which only c goes on; a relu RNN keeps no more than its units that are on."""
    torch.manual_seed(0)
    qrnn = lyapunov_spectrum(make_cell("qrnn", 3, 6).double(), randn(2, 100, 3), exponents=30).by_sample
    assert ((qrnn > -5).sum(1) == 6).all()
    assert (qrnn[:, 6:] == -math.inf).all()
    relu = LinearRNN(torch.linalg.qr(randn(6, 6))[0])
    relu.step = lambda u, s: torch.relu(s) @ relu.weight.t() + u  # type: ignore[method-assign]
    x = torch.ones(1, 50, 6, dtype=torch.float64)
    x[..., :2] = -100.0  # two units are never on, the others always
    x[..., 2:] = 100.0
    found = lyapunov_spectrum(relu, x, state=x[:, 0]).exponents
    inner = relu.weight.detach()[2:, 2:]
    # Its eigenvalues are complex pairs, so to some 1/T; their product, the determinant, less so.
    assert found[:4].sum() == pytest.approx(float(torch.linalg.slogdet(inner)[1]), abs=1e-9)
    assert (found[4:] == -math.inf).all()


class Switched(LinearRNN):
    """s' = W (x ⊙ s)."""

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return (u * s) @ self.weight.t()


@pytest.mark.parametrize(("mixed", "lost"), [(False, 2), (True, 1)])
def test_what_is_lost_at_different_times_adds_up(mixed: bool, lost: int) -> None:
    """A unit switched off twice is lost once, and another a second direction; each Jacobian is short of one at most.

    Where W mixes the units, what a later switch would take is not among what the first has left: one is lost in all.
    """
    x = torch.ones(2, 50, 6, dtype=torch.float64)
    for t, unit in ((20, 0), (30, 3), (40, 0)):
        x[0, t, unit] = 0.0
    cell = Switched(torch.linalg.qr(randn(6, 6))[0] if mixed else torch.eye(6, dtype=torch.float64))
    found = lyapunov_spectrum(cell, x, exponents=6).by_sample
    assert (found[0, : 6 - lost] > -1).all()
    assert (found[0, 6 - lost :] == -math.inf).all()
    assert np.abs(found[1]).max() < 1e-12  # another trajectory's switches do not matter


def test_a_stabiliser_is_no_memory() -> None:
    """An sLSTM's (c, n, m) and (c e^−δ, n e^−δ, m + δ) say the same, and the next time m' = i even δ is gone.

    So H of its 4H directions are lost. Its first step, from m = −1e30 on, loses more, and that is not to count.
    """
    torch.manual_seed(0)
    found = lyapunov_spectrum(make_cell("slstm", 8, 8).double(), randn(2, 300, 8), exponents=32).by_sample
    assert (found[:, :24] > -10).all()
    assert (found[:, 24:] == -math.inf).all()


def test_a_trajectory_that_overflows_is_nan() -> None:
    cell = RNN(2, 4, nonlinearity="relu")
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.fill_(1e9)
    assert np.isnan(lyapunov_spectrum(cell, torch.ones(1, 50, 2)).exponents).all()
    assert np.isnan(Lyapunov(np.array([[0.5], [np.nan]])).exponents).all(), "it is not left out of a mean"
    lost = Lyapunov(np.array([[3.0, -math.inf, -math.inf], [-1.0, -2.0, -math.inf]]))
    assert lost.exponents.tolist() == [1.0, -2.0, -math.inf], "a lost direction enters no mean"


def test_what_cannot_be_is_refused() -> None:
    cell, x = make_cell("gru", 2, 3), torch.randn(1, 10, 2)
    with pytest.raises(UserError, match="exponents"):
        lyapunov_spectrum(cell, x, exponents=0)
    for burn_in in (-1, 10):
        with pytest.raises(UserError, match="burn_in must leave a step of the 10"):
            lyapunov_spectrum(cell, x, burn_in=burn_in)


TASK = Task("many_to_one", "values", "values", 2, 1)


def model(**options: Any) -> SequenceModel:
    torch.manual_seed(0)
    return SequenceModel(TASK, CellConfig("gru"), ModelConfig(hidden_size=4, num_layers=2, **options))


@pytest.mark.parametrize("options", [{}, {"residual": True, "norm": "layer", "dropout": 0.5}], ids=["plain", "blocks"])
def test_two_layers_have_the_spectrum_of_the_whole(options: dict[str, Any]) -> None:
    """Against QR of the Jacobian of all states together, by autograd through the whole stack, in numpy.

    Their sums over all are equal at every step, for the joint Jacobian is block triangular; each, to some 1/T.
    """
    net, x = model(**options), randn(1, 100, 2).float()
    found = measure_lyapunov(net, Batch(x, torch.zeros(1, 1)), TASK, exponents=8)
    assert net.training  # and all else as it was
    assert all(parameter.dtype == torch.float32 for parameter in net.parameters())

    twin = net.double().eval()
    reads = twin.input(x.double()).detach()
    s, q, logs = torch.zeros(8, dtype=torch.float64), np.linalg.qr(randn(8, 8).numpy())[0], []
    for t in range(100):

        def step(s: Tensor, t: int = t) -> Tensor:
            return torch.cat(twin.stack(reads[:, t : t + 1], [part[None] for part in s.split(4)])[1], dim=1)[0]

        q, r = np.linalg.qr(torch.autograd.functional.jacobian(step, s).numpy() @ q)
        logs.append(np.log(np.abs(np.diag(r))))
        s = step(s).detach()
    joint = np.sort(np.mean(logs[10:], axis=0))[::-1]
    assert found.exponents.sum() == pytest.approx(joint.sum(), abs=1e-9)
    assert np.abs(found.exponents - joint).max() < 5 / 90
