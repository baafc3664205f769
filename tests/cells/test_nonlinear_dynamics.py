"""The nonlinear cells with dynamics: against torchrecurrent or a transcription of the paper, and their properties."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from support.parity import assert_parity, reading_the_state
from torch import Tensor

from rnnbench.backends import run
from rnnbench.cells import Cell, make_cell
from rnnbench.errors import UserError

B, T, I, H = 3, 11, 5, 8

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("indrnn", {}),
    ("antisymmetric", {}),
    ("antisymmetric", {"gated": True, "epsilon": 0.5, "gamma": 0.2}),
    ("cornn", {}),
    ("cornn", {"dt": 0.3, "gamma": 1.5, "epsilon": 0.4}),
    ("lem", {}),
    ("lem", {"dt": 0.6}),
    ("exprnn", {}),
    ("slstm", {}),
    ("slstm", {"heads": 4}),
]
every_variant = pytest.mark.parametrize(
    ("name", "options"), VARIANTS, ids=[name + "".join(f"-{v}" for v in options.values()) for name, options in VARIANTS]
)


def build(name: str, options: dict[str, Any], dtype: torch.dtype = torch.float64) -> Cell:
    """A cell some way from its initialisation, so that nothing is special."""
    torch.manual_seed(1)
    cell = make_cell(name, I, H, **options).to(dtype)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return cell


def skew(triangle: Tensor) -> Tensor:
    upper = torch.zeros(H, H, dtype=triangle.dtype)
    upper[torch.ones(H, H).triu(1).bool()] = triangle
    return upper - upper.t()


# --- the other side: a step (x, state) → state on the cell's own parameters, written another way --------------------


def indrnn(p: dict[str, Tensor], cell: Any) -> Callable[[Tensor, Tensor], Tensor]:
    external = pytest.importorskip("torchrecurrent").IndRNNCell(I, H, nonlinearity="relu").double()
    weights = {"weight_ih": p["weight_ih"], "vector_u": p["weight_hh"], "bias_ih": p["bias"], "bias_hh": torch.zeros(H)}
    return lambda x, s: torch.func.functional_call(external, weights, (x, s))


def antisymmetric(p: dict[str, Tensor], cell: Any) -> Callable[[Tensor, Tensor], Tensor]:
    package = pytest.importorskip("torchrecurrent")
    kind = package.GatedAntisymmetricRNNCell if cell.gated else package.AntisymmetricRNNCell
    external = kind(I, H, epsilon=cell.epsilon, gamma=cell.gamma).double()
    upper = skew(p["weight_hh"]).triu(1)
    weights = {"weight_ih": p["weight_ih"], "weight_hh": upper, "bias_ih": p["bias"], "bias_hh": torch.zeros(H)}
    return lambda x, s: torch.func.functional_call(external, weights, (x, s))


def cornn(p: dict[str, Tensor], cell: Any) -> Callable[[Tensor, Tensor], Tensor]:
    coRNNCell = pytest.importorskip("torchrecurrent").coRNNCell
    external = coRNNCell(I, H, dt=cell.dt, gamma=cell.gamma, epsilon=cell.epsilon).double()
    W_y, W_z = p["weight_hh"].chunk(2, dim=1)
    none = torch.zeros(H, dtype=torch.float64)
    weights = {"weight_ih": p["weight_ih"], "weight_hh": W_y, "weight_ch": W_z}
    weights |= {"bias_ih": p["bias"], "bias_hh": none, "bias_ch": none}
    return lambda x, s: torch.stack(torch.func.functional_call(external, weights, (x, (s[:, 0], s[:, 1]))), dim=1)


def lem(p: dict[str, Tensor], cell: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """The paper's equation 3: torchrecurrent's LEMCell makes y' from the old z, not from z'."""
    V_1, V_2, V_z, V_y = p["weight_ih"].chunk(4)
    W_1, W_2, W_z = p["weight_hh"].chunk(3)
    b_1, b_2, b_z, b_y = p["bias"].chunk(4)

    def step(x: Tensor, s: Tensor) -> Tensor:
        y, z = s[:, 0], s[:, 1]
        dt_z = cell.dt * torch.sigmoid(y @ W_1.t() + x @ V_1.t() + b_1)
        dt_y = cell.dt * torch.sigmoid(y @ W_2.t() + x @ V_2.t() + b_2)
        z = (1 - dt_z) * z + dt_z * torch.tanh(y @ W_z.t() + x @ V_z.t() + b_z)
        y = (1 - dt_y) * y + dt_y * torch.tanh(z @ p["weight_zy"].t() + x @ V_y.t() + b_y)
        return torch.stack((y, z), dim=1)

    return step


def exprnn(p: dict[str, Tensor], cell: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """exp(A) by the eigenvalues of the Hermitian iA; modrelu by its two cases."""
    values, vectors = torch.linalg.eigh(1j * skew(p["weight_hh"]))
    rotation = (vectors @ torch.diag(torch.exp(-1j * values)) @ vectors.mH).real

    def step(x: Tensor, h: Tensor) -> Tensor:
        v = x @ p["weight_ih"].t() + h @ rotation.t()
        return torch.where(v >= 0, (v + p["bias"]).clamp(min=0), (v - p["bias"]).clamp(max=0))

    return step


def slstm(p: dict[str, Tensor], cell: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """The unstabilised form (eqs. 8–13): c and n themselves, which with m are c eᵐ and n eᵐ. m' is kept beside them."""
    W, b = p["weight_ih"].chunk(4), p["bias"].chunk(4)
    R = [torch.block_diag(*gate.chunk(cell.heads)) for gate in p["weight_hh"].chunk(4)]

    def step(x: Tensor, s: Tensor) -> Tensor:
        h, m = s[:, 0], s[:, 3]
        c, n = s[:, 1] * m.exp(), s[:, 2] * m.exp()
        i, f, z, o = (x @ W[k].t() + h @ R[k].t() + b[k] for k in range(4))
        c = torch.sigmoid(f) * c + i.exp() * torch.tanh(z)
        n = torch.sigmoid(f) * n + i.exp()
        m = torch.max(m + torch.log(torch.sigmoid(f)), i)
        return torch.stack((torch.sigmoid(o) * c / n, c * (-m).exp(), n * (-m).exp(), m), dim=1)

    return step


REFERENCES: dict[str, Callable[[dict[str, Tensor], Any], Callable[[Tensor, Tensor], Tensor]]] = {
    "indrnn": indrnn,
    "antisymmetric": antisymmetric,
    "cornn": cornn,
    "lem": lem,
    "exprnn": exprnn,
    "slstm": slstm,
}


@every_variant
def test_parity(name: str, options: dict[str, Any]) -> None:
    """Outputs, last state and all gradients, to 1e-8 in float64."""
    cell = build(name, options)
    x = torch.randn(B, T, I, dtype=torch.float64)
    state = torch.randn(B, *cell.state_shape, dtype=torch.float64) / 2
    if name == "slstm":
        state[:, 2] = 1 + state[:, 2].abs()  # n ≥ 1: what a sequence can lead to
    step = reading_the_state(REFERENCES[name](dict(cell.named_parameters()), cell))
    assert_parity(cell, step, x, state, rtol=1e-8)


@every_variant
def test_named_matrices_are_views_that_the_recurrence_uses(name: str, options: dict[str, Any]) -> None:
    """Each is square, and a change of any changes the run."""
    cell = build(name, options)
    x, state = torch.randn(B, 3, I, dtype=torch.float64), torch.randn(B, *cell.state_shape, dtype=torch.float64)
    before = run(cell, x, state)[1]
    for matrix in cell.recurrent_matrices():
        assert matrix.shape == (H, H)
        with torch.no_grad():
            matrix += 0.1
        after = run(cell, x, state)[1]
        assert not torch.allclose(before, after)
        before = after


# --- what is computed once a run ------------------------------------------------------------------------------------

ONCE = [("exprnn", {}, "rotation"), ("antisymmetric", {}, "matrix"), ("slstm", {"heads": 2}, "_with_zeros")]


@pytest.mark.parametrize(("name", "options", "method"), ONCE)
def test_what_depends_on_parameters_alone_is_computed_once_a_run(
    name: str, options: dict[str, Any], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, not T times; nothing outlives the run, and the next one sees new parameters."""
    cell, calls = build(name, options), []
    once = getattr(type(cell), method)
    monkeypatch.setattr(type(cell), method, lambda self: calls.append(1) or once(self))
    x = torch.randn(B, T, I, dtype=torch.float64)
    y, _ = run(cell, x, backend="loop")
    assert len(calls) == 1
    assert not [key for key, value in vars(cell).items() if isinstance(value, Tensor)]
    copy.deepcopy(cell)
    y.sum().backward()
    with torch.no_grad():
        cell.weight_hh += 0.5
    again, _ = run(cell, x, backend="loop")
    again.sum().backward()  # a graph of its own: the first one's is freed
    assert len(calls) == 2
    assert not torch.allclose(y, again)


@pytest.mark.parametrize(("name", "options", "method"), ONCE)
def test_step_is_the_same_inside_and_outside_of_a_run(name: str, options: dict[str, Any], method: str) -> None:
    """Also in a run within a run, and after one that raised."""
    cell = build(name, options)
    x, state = torch.randn(B, T, I, dtype=torch.float64), cell.initial_state(B).double()
    u = cell.drive(x)[:, 0]
    outside = cell.step(u, state)
    with cell.unrolled():
        assert torch.equal(cell.step(u, state), outside)
        with torch.no_grad():
            run(cell, x, backend="loop")
        inside = cell.step(u, state)
        assert inside.requires_grad
        assert torch.equal(inside, outside)
    with pytest.raises(RuntimeError), cell.unrolled():
        cell.step(u[:, :-1], state)
    assert not [key for key, value in vars(cell).items() if isinstance(value, Tensor)]


# --- what the papers are about -----------------------------------------------------------------------------


def test_indrnn_starts_between_forgetting_and_keeping() -> None:
    u = make_cell("indrnn", I, 1000).weight_hh
    assert 0 <= u.min() < 0.05
    assert 0.95 < u.max() <= 1


def test_indrnn_gradient_through_time_is_a_power() -> None:
    """∂h_T/∂h_0 = diag(u)^T while every unit is active: the paper's equation 7."""
    cell = make_cell("indrnn", I, H).double()
    with torch.no_grad():
        cell.bias.fill_(10.0)
    x, h = torch.rand(1, T, I, dtype=torch.float64), torch.rand(1, H, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda s: run(cell, x, s)[1][0], h)[:, 0]
    torch.testing.assert_close(jacobian, torch.diag(cell.weight_hh.detach() ** T), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.3])
def test_antisymmetric_jacobian(gamma: float) -> None:
    """(J − I)/ε = diag(tanh′)(W − Wᵀ − γI): eigenvalues are imaginary at γ = 0, and left of that at γ > 0."""
    cell = build("antisymmetric", {"epsilon": 0.25, "gamma": gamma})
    for h in (torch.zeros(1, H, dtype=torch.float64), torch.randn(1, H, dtype=torch.float64)):
        u = cell.drive(torch.randn(1, I, dtype=torch.float64))
        jacobian = torch.autograd.functional.jacobian(lambda s, u=u: cell.step(u, s)[0], h)[:, 0]
        values = torch.linalg.eigvals((jacobian - torch.eye(H, dtype=torch.float64)) / 0.25)
        assert values.imag.abs().max() > 0.1
        if gamma == 0:
            assert values.real.abs().max() < 1e-12
        else:
            assert values.real.max() < -1e-3
            assert values.real.min() >= -gamma


def test_cornn_without_drive_or_damping_keeps_its_energy() -> None:
    """Symplectic Euler keeps γ y² + z² − Δt γ y z exactly; damped, the oscillators come to rest."""
    dt, gamma = 0.3, 1.7
    x, state = torch.zeros(B, 400, I, dtype=torch.float64), torch.randn(B, 2, H, dtype=torch.float64)
    energies = []
    for epsilon in (0.0, 0.5):
        cell = make_cell("cornn", I, H, dt=dt, gamma=gamma, epsilon=epsilon).double()
        torch.nn.init.zeros_(cell.weight_hh)
        torch.nn.init.zeros_(cell.bias)
        y, z = run(cell, x, state, return_states=True)[1].unbind(2)
        energies.append(gamma * y**2 + z**2 - dt * gamma * y * z)
    torch.testing.assert_close(energies[0], energies[0][:, :1].expand(-1, 400, -1), rtol=0, atol=1e-12)
    assert energies[1][:, -1].max() < 1e-12


def test_lem_stays_in_the_unit_box() -> None:
    """Each state is a convex combination of the old one and a tanh, whatever the weights."""
    cell = build("lem", {})
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter *= 20
    x = 10 * torch.randn(B, 200, I, dtype=torch.float64)
    states = run(cell, x, 2 * torch.rand(B, 2, H, dtype=torch.float64) - 1, return_states=True)[1]
    assert 0.9 < states.abs().max() <= 1 + 1e-12


def test_exprnn_stays_orthogonal_in_training() -> None:
    cell = make_cell("exprnn", I, H).double()
    optimiser = torch.optim.Adam(cell.parameters(), lr=0.1)
    x, start = torch.randn(B, T, I, dtype=torch.float64), cell.rotation().detach()
    for _ in range(3):
        optimiser.zero_grad()
        run(cell, x)[0].square().mean().backward()
        optimiser.step()
    rotation = cell.rotation()
    assert (rotation - start).abs().max() > 0.05
    assert (rotation @ rotation.t() - torch.eye(H)).abs().max() < 1e-12
    assert abs(torch.linalg.det(rotation) - 1) < 1e-12


def test_exprnn_without_input_or_bias_keeps_the_norm() -> None:
    """modrelu with b = 0 is the identity, so that only the rotation is left, forwards and backwards."""
    cell = make_cell("exprnn", I, H).double()
    torch.nn.init.zeros_(cell.bias)
    h = torch.randn(B, H, dtype=torch.float64, requires_grad=True)
    states = run(cell, torch.zeros(B, 100, I, dtype=torch.float64), h, return_states=True)[1]
    torch.testing.assert_close(states.norm(dim=-1), h.norm(dim=-1)[:, None].expand(-1, 100), rtol=0, atol=1e-12)
    g = torch.randn(B, H, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(states[:, -1], h, g)
    torch.testing.assert_close(gradient.norm(dim=-1), g.norm(dim=-1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [7, 8])
def test_exprnn_starts_as_rotations_of_pairs(size: int) -> None:
    rotation = make_cell("exprnn", I, size).double().rotation().detach()
    off = rotation.clone()
    for k in range(0, size - 1, 2):
        block = rotation[k : k + 2, k : k + 2]
        assert block[0, 0] == pytest.approx(block[1, 1])
        assert block[0, 1] == pytest.approx(-block[1, 0])
        off[k : k + 2, k : k + 2] = 0
    if size % 2:
        assert off[-1, -1] == pytest.approx(1)
        off[-1, -1] = 0
    assert off.abs().max() < 1e-12


def test_slstm_from_its_initial_state_is_the_paper() -> None:
    """No c / n of 0 / 0, and what m stands for at first has no influence: the unstabilised form from c = n = 0."""
    cell = build("slstm", {})
    x = torch.randn(B, T, I, dtype=torch.float64)
    step, state = slstm(dict(cell.named_parameters()), cell), torch.zeros(B, 4, H, dtype=torch.float64)
    expected = []
    for t in range(T):
        state = step(x[:, t], state)
        expected.append(state[:, 0])
    torch.testing.assert_close(run(cell, x)[0], torch.stack(expected, dim=1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1, 1000])
def test_slstm_normaliser_never_falls_below_one(scale: float) -> None:
    """What the guard max(n, 1) relies on; where exp(i) overflows or vanishes in float32 all stays finite."""
    cell = build("slstm", {}, torch.float32)
    x = (scale * torch.randn(B, 200, I)).requires_grad_()
    y, states = run(cell, x, return_states=True)
    assert states[:, :, 2].min() >= 1
    assert states.isfinite().all()
    assert y.abs().max() <= 1
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient.isfinite().all()


def test_slstm_is_finite_in_states_that_no_sequence_leads_to() -> None:
    """c / n where both are 0 and nothing is written, exp(−1000) being 0."""
    cell = build("slstm", {})
    u = torch.full((1, 4 * H), -1000.0, dtype=torch.float64)
    s = torch.zeros(1, 4, H, dtype=torch.float64, requires_grad=True)
    after = cell.step(u, s.index_fill(1, torch.tensor(3), 2000.0))
    (gradient,) = torch.autograd.grad(after.sum(), s)
    assert after.isfinite().all()
    assert gradient.isfinite().all()


def test_slstm_heads_do_not_hear_each_other() -> None:
    cell = build("slstm", {"heads": 4})
    s = torch.randn(1, 4, H, dtype=torch.float64)
    u = cell.drive(torch.randn(1, I, dtype=torch.float64))
    jacobian = torch.autograd.functional.jacobian(lambda s: cell.step(u, s)[0, 0], s)[:, 0, 0]
    own = torch.block_diag(*torch.ones(4, 2, 2)).bool()
    assert jacobian[~own].abs().max() == 0
    assert jacobian[own].abs().min() > 0


@pytest.mark.parametrize("heads", [0, 3])
def test_slstm_refuses_heads_that_do_not_divide(heads: int) -> None:
    with pytest.raises(UserError, match=f"{heads} heads do not divide hidden_size 8"):
        make_cell("slstm", I, 8, heads=heads)
