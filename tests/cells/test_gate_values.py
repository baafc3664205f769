"""What each cell says that its gates are at, against its paper's equations, its own derivatives and torch's modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from support.cells import shaken
from torch import Tensor, nn

from rnnbench.backends import run
from rnnbench.cells import AffineCell, Cell, adapt, cell_names

B, T, I, H = 3, 9, 5, 8
Gates = dict[str, Tensor]


def build(name: str, **options: Any) -> Cell:
    return shaken(name, I, H, **options)


def time_steps(cell: Cell) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x (B, T, I), drives, the states before each step and those after it, all as (B·T, …) rows."""
    x = torch.randn(B, T, I, dtype=torch.float64)
    first = cell.initial_state(B)
    with torch.no_grad():
        _, after = run(cell, x, first, "loop", return_states=True)
        before = torch.cat((first[:, None], after[:, :-1]), dim=1)
        x, u, before, after = (part.flatten(0, 1) for part in (x, cell.drive(x), before, after))
    return x, u, before, after


# --- the next state out of the gates, by the papers' equations ------------------------------------------------------


def candidate(cell: Any, x: Tensor, h: Tensor) -> Tensor:
    """tanh of the third block of rows, as all LSTMs have it."""
    rows = slice(2 * H, 3 * H)
    bias = cell.bias if hasattr(cell, "bias") else cell.bias_ih + cell.bias_hh
    return torch.tanh(x @ cell.weight_ih[rows].T + h @ cell.weight_hh[rows].T + bias[rows])


def lstm(cell: Any, x: Tensor, s: Tensor, gates: Gates) -> Tensor:
    h, c = s.unbind(1)
    c = gates["forget"] * c + gates["input"] * candidate(cell, x, h)
    return torch.stack((gates["output"] * torch.tanh(c), c), dim=1)


def lstm_cifg(cell: Any, x: Tensor, s: Tensor, gates: Gates) -> Tensor:
    return lstm(cell, x, s, {**gates, "input": 1 - gates["forget"]})


def gru(cell: Any, x: Tensor, h: Tensor, gates: Gates) -> Tensor:
    W, R, b_i, b_h = (p[2 * H :] for p in (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh))
    n = torch.tanh(x @ W.T + b_i + gates["reset"] * (h @ R.T + b_h))
    return (1 - gates["update"]) * n + gates["update"] * h


def gru_v1(cell: Any, x: Tensor, h: Tensor, gates: Gates) -> Tensor:
    n = torch.tanh(x @ cell.weight_ih[2 * H :].T + cell.bias[2 * H :] + (gates["reset"] * h) @ cell.weight_hn.T)
    return gates["update"] * h + (1 - gates["update"]) * n


def mgu(cell: Any, x: Tensor, h: Tensor, gates: Gates) -> Tensor:
    n = torch.tanh(x @ cell.weight_ih[H:].T + cell.bias[H:] + (gates["forget"] * h) @ cell.weight_hn.T)
    return (1 - gates["forget"]) * h + gates["forget"] * n


def ugrnn(cell: Any, x: Tensor, h: Tensor, gates: Gates) -> Tensor:
    c = torch.tanh(x @ cell.weight_ih[:H].T + h @ cell.weight_hh[:H].T + cell.bias[:H])
    return gates["update"] * h + (1 - gates["update"]) * c


def minimal_rnn(cell: Any, x: Tensor, h: Tensor, gates: Gates) -> Tensor:
    return gates["update"] * h + (1 - gates["update"]) * torch.tanh(x @ cell.weight_ih.T + cell.bias[:H])


def janet(cell: Any, x: Tensor, h: Tensor, gates: Gates) -> Tensor:
    shifted = torch.sigmoid(torch.logit(gates["forget"]) - 1)
    g = torch.tanh(x @ cell.weight_ih[H:].T + h @ cell.weight_hh[H:].T + cell.bias[H:])
    return gates["forget"] * h + (1 - shifted) * g


def lem(cell: Any, x: Tensor, s: Tensor, gates: Gates) -> Tensor:
    y, z = s.unbind(1)
    V, b = cell.weight_ih.chunk(4), cell.bias.chunk(4)
    z = z + cell.dt * gates["step_z"] * (torch.tanh(x @ V[2].T + y @ cell.weight_hh[2 * H :].T + b[2]) - z)
    y = y + cell.dt * gates["step_y"] * (torch.tanh(x @ V[3].T + z @ cell.weight_zy.T + b[3]) - y)
    return torch.stack((y, z), dim=1)


def slstm(cell: Any, x: Tensor, s: Tensor, gates: Gates) -> Tensor:
    """But for the stabiliser, which the equations of the paper's section 2.2 do without: the last state's is kept."""
    h, c, n, m = s.unbind(1)
    c = gates["forget"] * c + gates["input"] * candidate(cell, x, h)
    n = gates["forget"] * n + gates["input"]
    return torch.stack((gates["output"] * c / n, c, n, m), dim=1)


def antisymmetric(cell: Any, x: Tensor, h: Tensor, gates: Gates) -> Tensor:
    M, V, b = cell.matrix(), cell.weight_ih[H:], cell.bias[H:]
    return h + cell.epsilon * gates["input"] * torch.tanh(h @ M.T + x @ V.T + b)


NextState = Callable[[Any, Tensor, Tensor, Gates], Tensor]
EQUATIONS: dict[str, NextState] = {"lstm": lstm, "lstm_peephole": lstm}
EQUATIONS |= {
    equations.__name__: equations
    for equations in (lstm_cifg, gru, gru_v1, mgu, ugrnn, minimal_rnn, janet, lem, slstm, antisymmetric)
}
OPTIONS: dict[str, dict[str, Any]] = {"lem": {"dt": 1.7}, "antisymmetric": {"gated": True, "epsilon": 0.3}}


@pytest.mark.parametrize("name", list(EQUATIONS))
def test_gates_make_the_next_state(name: str) -> None:
    cell = build(name, **OPTIONS.get(name, {}))
    x, u, before, after = time_steps(cell)
    with torch.no_grad():
        rebuilt = EQUATIONS[name](cell, x, before, cell.gate_values(u, before))
    kept = slice(3) if name == "slstm" else slice(None)
    torch.testing.assert_close(rebuilt[:, kept], after[:, kept], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["lstm", "lstm_peephole", "lstm_layernorm", "lstm_cifg", "slstm"])
def test_the_forget_gate_is_the_derivative_of_the_memory(name: str) -> None:
    """∂c'/∂c at a fixed h; where peepholes look at c it is f only with them shut."""
    cell = build(name)
    if name == "lstm_peephole":
        nn.init.zeros_(cell.peephole)
    _, u, before, _ = time_steps(cell)
    before.requires_grad_()
    (slope,) = torch.autograd.grad(cell.step(u, before)[:, 1].sum(), before)
    torch.testing.assert_close(slope[:, 1], cell.gate_values(u, before)["forget"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["mingru", "minlstm", "sru", "qrnn", "hgrn", "rglru", "lru", "s4d", "mamba"])
def test_a_linear_cell_s_decay_is_its_jacobian(name: str) -> None:
    """Each entry of the state of the recurrence, itself or as a complex number, shrinks by just that factor."""
    cell = build(name)
    assert isinstance(cell, AffineCell)
    _, u, before, after = time_steps(cell)
    other = before + torch.randn_like(before)
    if cell.delay:  # what waits is an input
        other[:, -cell.delay :] = before[:, -cell.delay :]
    with torch.no_grad():
        moved, decay = cell.step(u, other) - after, cell.gate_values(u, before)["decay"]
    start = other - before
    if cell.complex_state:
        start, moved = start.norm(dim=-1), moved.norm(dim=-1)
    if name == "qrnn":
        start, moved = start[:, :H], moved[:, :H]
    assert decay.shape == start.shape
    torch.testing.assert_close(moved.abs(), decay * start.abs(), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("name", "gate"), [("sru", "reset"), ("qrnn", "output"), ("mlstm", "output")])
def test_gates_of_what_is_read(name: str, gate: str) -> None:
    """h = o ⊙ c', or r ⊙ c' + (1 − r) ⊙ α x: the gate is ∂h/∂c'."""
    cell: Any = build(name)
    _, u, before, after = time_steps(cell)
    values = cell.gate_values(u, before)[gate]
    after.requires_grad_()
    y = cell.read(after[:, None], u[:, None])[:, 0]
    if name == "mlstm":  # its h̃ = C' q / max(|n' q|, 1), from the state alone
        answer = torch.einsum("bnk,bnkv->bnv", cell.query(u), after)
        torch.testing.assert_close(y, values * (answer[..., :-1] / answer[..., -1:].abs().clamp(min=1)).flatten(1))
        return
    (slope,) = torch.autograd.grad(y.sum(), after)
    torch.testing.assert_close(slope[:, :H], values, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["gla", "deltanet", "mlstm"])
def test_a_matrix_cell_forgets_by_its_gates(name: str) -> None:
    """What a difference of two memories becomes in a step: diag(α) of it, or with a delta rule (I − β k kᵀ) of it."""
    cell: Any = build(name)
    _, u, before, after = time_steps(cell)
    start = torch.randn_like(before)
    with torch.no_grad():
        moved, gates = cell.step(u, before + start) - after, cell.gate_values(u, before)
    if name == "deltanet":
        k = u[:, H : 2 * H].unflatten(-1, (cell.heads, -1))
        expected = (
            start - gates["beta"][..., None] * k[..., None] * torch.einsum("bnk,bnkv->bnv", k, start)[..., None, :]
        )
    else:
        expected = gates["decay"][..., None] * start
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-9)


# --- every cell -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", cell_names())
def test_every_gate_is_a_share_and_every_row_is_by_itself(name: str) -> None:
    cell = build(name)
    _, u, before, _ = time_steps(cell)
    with torch.no_grad():
        gates = cell.gate_values(u, before)
        assert bool(gates) or not cell.gates()
        alone = cell.gate_values(u[4:5], before[4:5])
    for gate, value in gates.items():
        assert len(value) == B * T
        assert 0 <= value.min() <= value.max() <= 1 + 1e-12
        assert value.max() - value.min() > 1e-3, f"{gate} never moves, between units or time steps"
        torch.testing.assert_close(value[4:5], alone[gate], rtol=0, atol=1e-12)


@pytest.mark.parametrize("module", [nn.LSTM, nn.GRU])
def test_a_module_of_torch_has_our_cell_s_gates(module: type[nn.RNNBase]) -> None:
    """By the equations of its own documentation; where h is projected they are not told."""
    cell = adapt(module(I, H, batch_first=True).double())
    x, u, before, _ = time_steps(cell)
    h = before.reshape(B * T, -1, H)[:, 0]
    weights = cell.module
    pre = x @ weights.weight_ih_l0.T + weights.bias_ih_l0 + h @ weights.weight_hh_l0.T + weights.bias_hh_l0
    rows = dict(
        zip(
            ("input", "forget", "", "output") if module is nn.LSTM else ("reset", "update"),
            pre.split(H, 1),
            strict=False,
        )
    )
    gates = cell.gate_values(u, before)
    assert gates.keys() == rows.keys() - {""}
    for gate, value in gates.items():
        torch.testing.assert_close(value, torch.sigmoid(rows[gate]), rtol=0, atol=1e-12)
    projected = adapt(nn.LSTM(I, H, proj_size=3))
    assert projected.gate_values(torch.zeros(B, I), projected.initial_state(B)) == {}
