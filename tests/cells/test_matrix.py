"""The matrix-state cells against their papers' equations, head by head, and what their options and gates do."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rnnbench.backends import run
from rnnbench.cells import MatrixCell, make_cell
from rnnbench.cells.init import open_gate
from rnnbench.errors import UserError

B, T, I, H = 3, 11, 5, 8
NAMES = ["mlstm", "gla", "deltanet"]
every_cell = pytest.mark.parametrize("name", NAMES)
Paper = Callable[[MatrixCell, Tensor, Tensor], tuple[Tensor, Tensor]]  # cell, x (T, I), state (heads, K, V) of a sample


def build(name: str, heads: int = 4, dtype: torch.dtype = torch.float64) -> MatrixCell:
    torch.manual_seed(2)
    cell = make_cell(name, I, H, heads=heads).to(dtype)
    assert isinstance(cell, MatrixCell)
    return cell


def outer(a: Tensor, b: Tensor) -> Tensor:
    return a[:, None] * b[None, :]


# --- the papers' equations for one sample -----------------------------------------------------------------------


def mlstm_parts(cell: MatrixCell, x: Tensor, head: int) -> list[Tensor]:
    """q, k, v, o and the capped pre-activation of i, and f, of one head at one time step."""
    d, heads = H // cell.heads, cell.heads
    W, b = cell.weight_ih, cell.bias
    part = slice(head * d, (head + 1) * d)
    blocks = [(W[n * H : (n + 1) * H][part], b[n * H : (n + 1) * H][part]) for n in range(4)]
    q, k, v, o = [matrix @ x + bias for matrix, bias in blocks]
    i, f = [W[4 * H + n * heads + head] @ x + b[4 * H + n * heads + head] for n in range(2)]
    return [q, k / math.sqrt(d), v, 1 / (1 + torch.exp(-o)), 15 * torch.tanh(i / 15), 1 / (1 + torch.exp(-f))]


def mlstm(cell: MatrixCell, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Beck et al. 2024, eqs. 19–27: without the stabiliser."""
    ys, finals = [], []
    for head in range(cell.heads):
        C, n = state[head, :, :-1].T, state[head, :, -1]
        outputs = []
        for x_t in x:
            q, k, v, o, i, f = mlstm_parts(cell, x_t, head)
            C = f * C + torch.exp(i) * outer(v, k)
            n = f * n + torch.exp(i) * k
            outputs.append(o * (C @ q) / torch.maximum((n @ q).abs(), torch.ones_like(i)))
        ys.append(torch.stack(outputs))
        finals.append(torch.cat((C.T, n[:, None]), dim=1))
    return torch.cat(ys, dim=1), torch.stack(finals)


def gla(cell: MatrixCell, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Yang et al. 2024, section 4: the recurrence, its low-rank gate, the norm of the heads and the output gate."""
    d = H // cell.heads
    key = (d + 1) // 2
    keys = cell.heads * key
    W_q, W_k, W_v, W_r, W_low = cell.weight_ih.split((keys, keys, H, H, 16))
    b_alpha, b_r = cell.bias[:keys], cell.bias[keys:]
    ys, finals = [], []
    for head in range(cell.heads):
        ks, vs, S = slice(head * key, (head + 1) * key), slice(head * d, (head + 1) * d), state[head]
        outputs = []
        for x_t in x:
            alpha = torch.sigmoid(cell.weight_alpha[ks] @ (W_low @ x_t) + b_alpha[ks]) ** (1 / 16)
            S = alpha[:, None] * S + outer(W_k[ks] @ x_t, W_v[vs] @ x_t)
            o = S.T @ (W_q[ks] @ x_t)
            centred = o - o.mean()
            r = W_r[vs] @ x_t + b_r[vs]
            outputs.append(r * torch.sigmoid(r) * centred / torch.sqrt((centred**2).mean() + 1e-5))
        ys.append(torch.stack(outputs))
        finals.append(S)
    return torch.cat(ys, dim=1), torch.stack(finals)


def deltanet(cell: MatrixCell, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Yang et al. 2024, section 2.2: S (I − β k kᵀ) + β v kᵀ, transposed."""
    d = H // cell.heads
    W_q, W_k, W_v, w_beta = cell.weight_ih.split((H, H, H, cell.heads))

    def unit(a: Tensor) -> Tensor:
        a = a * torch.sigmoid(a)
        return a / torch.sqrt((a**2).sum() + 1e-6)

    ys, finals = [], []
    for head in range(cell.heads):
        part, S = slice(head * d, (head + 1) * d), state[head]
        outputs = []
        for x_t in x:
            q, k, v = unit(W_q[part] @ x_t), unit(W_k[part] @ x_t), W_v[part] @ x_t
            beta = torch.sigmoid(w_beta[head] @ x_t)
            S = (torch.eye(d, dtype=S.dtype) - beta * outer(k, k)) @ S + beta * outer(k, v)
            outputs.append(S.T @ q)
        ys.append(torch.stack(outputs))
        finals.append(S)
    return torch.cat(ys, dim=1), torch.stack(finals)


PAPERS: dict[str, Paper] = {"mlstm": mlstm, "gla": gla, "deltanet": deltanet}


@every_cell
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_parity_with_the_paper(name: str, heads: int) -> None:
    """Outputs, final state and the gradients of inputs, state and parameters, to 1e-8 in float64."""
    cell = build(name, heads)
    x = torch.randn(B, T, I, dtype=torch.float64, requires_grad=True)
    state = torch.randn(B, *cell.state_shape, dtype=torch.float64, requires_grad=True)
    samples = [PAPERS[name](cell, x[n], state[n]) for n in range(B)]
    reference = tuple(torch.stack(item) for item in zip(*samples, strict=True))
    ours = run(cell, x, state, backend="loop")
    cotangents = [torch.randn_like(t) for t in ours]
    leaves = {"x": x, "state": state, **dict(cell.named_parameters())}
    expected = (*reference, *torch.autograd.grad(reference, list(leaves.values()), cotangents))
    found = (*ours, *torch.autograd.grad(ours, list(leaves.values()), cotangents))
    for key, a, b in zip(("y", "final", *leaves), found, expected, strict=True):
        assert b.abs().max() > 0, key
        torch.testing.assert_close(a, b, rtol=0, atol=1e-8, msg=lambda m, key=key: f"{key}: {m}")


@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_mlstm_needs_no_stabiliser(scale: float) -> None:
    """The paper's stabilised form, with m, fed the same capped pre-activation, in float32 up to gates at their cap."""
    cell = build("mlstm", heads=2, dtype=torch.float32)
    with torch.no_grad():
        cell.weight_ih[4 * H : 4 * H + 2] *= scale
    x = torch.randn(50, I)
    exact = copy.deepcopy(cell).double()
    expected, capped = [], []
    for head in range(2):
        d = H // 2
        C, n = torch.zeros(d, d, dtype=torch.float64), torch.zeros(d, dtype=torch.float64)
        m = torch.tensor(-torch.inf, dtype=torch.float64)
        outputs = []
        for x_t in x.double():
            q, k, v, o, i, f = mlstm_parts(exact, x_t, head)
            last, m = m, torch.maximum(torch.log(f) + m, i)
            C = torch.exp(torch.log(f) + last - m) * C + torch.exp(i - m) * outer(v, k)
            n = torch.exp(torch.log(f) + last - m) * n + torch.exp(i - m) * k
            outputs.append(o * (C @ q) / torch.maximum((n @ q).abs(), torch.exp(-m)))
            capped.append(i.abs())
        expected.append(torch.stack(outputs))
    truth = torch.cat(expected, dim=1).detach()
    assert scale < 1000 or max(capped) > 14.9
    torch.testing.assert_close(run(exact, x.double()[None])[0][0], truth, rtol=1e-10, atol=1e-10)
    y, state = run(cell, x[None], backend="loop")
    assert torch.isfinite(state).all()
    assert (y[0].double() - truth).abs().max() < 1e-4 * truth.abs().max()


def test_deltanet_replaces_what_a_key_recalled() -> None:
    """With β = 1 and a unit key, what is written is what is then recalled, whatever was there; other keys keep."""
    cell = build("deltanet", heads=1)
    k, other = torch.linalg.qr(torch.randn(H, H, dtype=torch.float64))[0][:2]
    v, state = torch.randn(H, dtype=torch.float64), torch.randn(1, 1, H, H, dtype=torch.float64)
    u = torch.cat((k, k, v, torch.ones(1, dtype=torch.float64)))[None]
    after = cell.step(u, state)[0, 0]
    torch.testing.assert_close(k @ after, v)
    torch.testing.assert_close(other @ after, other @ state[0, 0])


def test_deltanet_is_smooth_where_there_is_no_input() -> None:
    cell = build("deltanet")
    x = torch.zeros(B, T, I, dtype=torch.float64, requires_grad=True)
    y, _ = run(cell, x, torch.ones(B, *cell.state_shape, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert 0 < gradient.abs().max() < 1e4


@every_cell
@pytest.mark.parametrize(("hidden_size", "heads"), [(10, 4), (8, 0), (8, -2), (2, 4)])
def test_heads_that_do_not_divide_are_refused(name: str, hidden_size: int, heads: int) -> None:
    with pytest.raises(UserError, match=f"hidden_size {hidden_size} cannot be shared by {heads} heads"):
        make_cell(name, I, hidden_size, heads=heads)


def test_mlstm_gates_hold_the_memory() -> None:
    """Keep open and write shut: a step leaves the state as it is, but for the cap's e⁻¹⁵."""
    cell = build("mlstm")
    open_gate(cell.gates()["keep"], 40.0)
    open_gate(cell.gates()["write"], -1000.0)
    state = torch.randn(B, *cell.state_shape, dtype=torch.float64)
    after = cell.step(cell.drive(torch.randn(B, 1, I, dtype=torch.float64))[:, 0], state)
    torch.testing.assert_close(after, state, rtol=0, atol=1e-5)


def test_gla_keep_gate_holds_the_memory() -> None:
    """Keep open: the state only gains what is written."""
    cell = build("gla")
    open_gate(cell.gates()["keep"], 40.0)
    state = torch.randn(B, *cell.state_shape, dtype=torch.float64)
    u = cell.drive(torch.randn(B, 1, I, dtype=torch.float64))[:, 0]
    written = cell.step(u, torch.zeros_like(state))
    assert written.abs().max() > 0
    torch.testing.assert_close(cell.step(u, state) - written, state, rtol=0, atol=1e-12)


def test_mlstm_starts_remembering() -> None:
    """Forget biases from 3 to 6 over the heads, input biases 0; on the next reset too."""
    cell = build("mlstm")
    with torch.no_grad():
        cell.bias.fill_(7.0)
    cell.reset_parameters()
    assert cell.gates()["keep"][0].tolist() == [3.0, 4.0, 5.0, 6.0]
    assert not cell.gates()["write"][0].any()
