"""The linear recurrences against their papers' equations, step by step, and what those promise."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from support.parity import assert_parity
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.backends import run
from rnnbench.cells import AffineCell, make_cell
from rnnbench.cells.init import open_gate
from rnnbench.errors import UserError

B, T, I, H = 3, 11, 5, 7
NAMES = ["mingru", "minlstm", "lru", "rglru", "sru", "qrnn", "hgrn", "s4d", "mamba"]
every_cell = pytest.mark.parametrize("name", NAMES)


def build(name: str, input_size: int = I, dtype: torch.dtype = torch.float64, **options: Any) -> Any:
    torch.manual_seed(3)
    return make_cell(name, input_size, H, **options).to(dtype)


def decays(cell: AffineCell, x: Tensor) -> tuple[Tensor, Tensor]:
    """a and b of every time step, nothing waiting from a time step before."""
    a, b = cell.affine(cell.drive(x))
    return torch.broadcast_to(a, b.shape), b


# --- the papers' equations, one step at a time -------------------------------------------------------------------

#: (cell, x_t, state) → (y_t, state).
Step = Callable[[Any, Tensor, Tensor], tuple[Tensor, Tensor]]


def gate(cell: Any, k: int, x: Tensor) -> Tensor:
    """Rows k H … (k + 1) H of W x + b."""
    rows = slice(k * H, (k + 1) * H)
    return x @ cell.weight_ih[rows].T + cell.bias[rows]


def mingru(c: Any, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    z = gate(c, 0, x).sigmoid()
    h = (1 - z) * h + z * gate(c, 1, x)
    return h, h


def minlstm(c: Any, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    f, i = gate(c, 0, x).sigmoid(), gate(c, 1, x).sigmoid()
    h = f / (f + i) * h + i / (f + i) * gate(c, 2, x)
    return h, h


def lru(c: Any, x: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    N = c.state_size
    eigenvalues = torch.exp(-torch.exp(c.nu) + 1j * torch.exp(c.theta))
    b, C = c.weight_ih[:N] + 1j * c.weight_ih[N:], c.weight_ho[..., 0] - 1j * c.weight_ho[..., 1]
    s = eigenvalues * torch.complex(s[..., 0], s[..., 1]) + torch.exp(c.gamma) * (x.to(b) @ b.T)
    D = torch.diag(c.D) if c.D.dim() == 1 else c.D
    return (s @ C.T).real + x @ D.T, torch.stack((s.real, s.imag), dim=-1)


def rglru(c: Any, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    x = x @ c.weight_ih.T
    r = torch.sigmoid(x @ c.weight_gates[:H].T + c.bias[:H])
    i = torch.sigmoid(x @ c.weight_gates[H:].T + c.bias[H:])
    a = torch.sigmoid(-c.decay) ** (8 * r)  # the paper's a^(c r) with a = σ(Λ), whose sign is the other one
    h = a * h + torch.sqrt(1 - a**2) * (i * x)
    return h, h


def sru(c: Any, x: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    W, W_f, W_r, *W_s = c.weight_ih.split(H)
    f, r = torch.sigmoid(x @ W_f.T + c.bias[:H]), torch.sigmoid(x @ W_r.T + c.bias[H:])
    s = f * s + (1 - f) * (x @ W.T)
    return r * s + (1 - r) * math.sqrt(3) * (x @ W_s[0].T if W_s else x), s


def qrnn(c: Any, x: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    late = s[..., 2 * H :]  # W¹ x_{t−1}
    z, f, o = (late + x @ c.weight_ih[..., 1].T + c.bias).chunk(3, dim=-1)
    memory = f.sigmoid() * s[..., :H] + (1 - f.sigmoid()) * z.tanh()
    return o.sigmoid() * memory, torch.cat((memory, o, x @ c.weight_ih[..., 0].T), dim=-1)


def hgrn(c: Any, x: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    bound = c.lower_bound
    new = F.silu(gate(c, 0, x)) + 1j * F.silu(gate(c, 1, x))
    keep = bound + (1 - bound) * gate(c, 2, x).sigmoid()
    s = keep * torch.exp(1j * c.theta) * torch.complex(s[..., 0], s[..., 1]) + (1 - keep) * new
    g = torch.cat((gate(c, 3, x), gate(c, 4, x)), dim=-1).sigmoid()
    out = g * torch.cat((s.real, s.imag), dim=-1)
    mean, variance = out.mean(-1, keepdim=True), out.var(-1, unbiased=False, keepdim=True)
    y = (out - mean) / torch.sqrt(variance + 1e-5) @ c.weight_ho.T + c.bias_ho
    return y, torch.stack((s.real, s.imag), dim=-1)


def zero_order_hold(c: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Ā, B̄ and C of S4D, (H, N/2) each."""
    A, C = -torch.exp(c.alpha) + 1j * c.omega, c.C[..., 0] - 1j * c.C[..., 1]
    A_bar = torch.exp(A * torch.exp(c.log_dt))
    return A_bar, (A_bar - 1) / A, C


def s4d(c: Any, x: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    A_bar, B_bar, C = zero_order_hold(c)
    x = x @ c.weight_ih.T
    s = A_bar * torch.complex(s[..., 0], s[..., 1]) + B_bar * x[..., None]
    y = 2 * (C * s).sum(-1).real + c.D * x
    y = 0.5 * y * (1 + torch.erf(y / math.sqrt(2)))
    return y @ c.weight_ho.T + c.bias, torch.stack((s.real, s.imag), dim=-1)


def mamba(c: Any, x: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    N, R = c.state_size, math.ceil(H / 16)
    z = x @ c.weight_ih[H:].T
    x = x @ c.weight_ih[:H].T
    x = x * torch.sigmoid(x)
    low, b, C = (x @ c.weight_select.T).split((R, N, N), dim=-1)
    dt = torch.log1p(torch.exp(low @ c.weight_dt.T + c.dt_bias))
    s = torch.exp(torch.einsum("bh,hn->bhn", dt, -torch.exp(c.A_log))) * s + torch.einsum("bh,bh,bn->bhn", dt, x, b)
    return (torch.einsum("bhn,bn->bh", s, C) + c.D * x) * z * torch.sigmoid(z), s


STEPS: dict[str, Step] = {f.__name__: f for f in (mingru, minlstm, lru, rglru, sru, qrnn, hgrn, s4d, mamba)}
VARIANTS: list[tuple[str, int, dict[str, Any]]] = [(name, I, {}) for name in NAMES] + [
    ("lru", H, {"state_size": 4, "r_min": 0.5, "r_max": 0.9}),
    ("sru", H, {}),
    ("hgrn", I, {"lower_bound": 0.4}),
    ("s4d", I, {"state_size": 6, "init": "inv"}),
    ("mamba", I, {"state_size": 3}),
]


@pytest.mark.parametrize(("name", "input_size", "options"), VARIANTS)
@pytest.mark.parametrize("backend", ["loop", "auto"])
def test_parity_with_the_equations(name: str, input_size: int, options: dict[str, Any], backend: str) -> None:
    """Outputs, last state and every gradient, in float64, to 1e-8."""
    cell = build(name, input_size, **options)
    with torch.no_grad():  # off the symmetric values that some parameters start from
        for parameter in cell.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    x = torch.randn(B, T, input_size, dtype=torch.float64)
    state = torch.randn(B, *cell.state_shape, dtype=torch.float64)
    assert_parity(cell, partial(STEPS[name], cell), x, state, backend, rtol=1e-8)


def test_qrnn_is_a_causal_convolution_and_a_pooling() -> None:
    cell = build("qrnn")
    convolution = nn.Conv1d(I, 3 * H, 2, padding=1).double()
    convolution.load_state_dict({"weight": cell.weight_ih, "bias": cell.bias})
    x = torch.randn(B, T, I, dtype=torch.float64)
    z, f, o = convolution(x.transpose(1, 2))[..., :T].transpose(1, 2).chunk(3, dim=-1)
    c, outputs = torch.zeros(B, H, dtype=torch.float64), []
    for t in range(T):
        c = f[:, t].sigmoid() * c + (1 - f[:, t].sigmoid()) * z[:, t].tanh()
        outputs.append(o[:, t].sigmoid() * c)
    torch.testing.assert_close(run(cell, x)[0], torch.stack(outputs, dim=1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("init", ["lin", "inv"])
def test_s4d_is_a_convolution_with_its_kernel(init: str) -> None:
    """K_j = 2 Re Σ_n C Ā^j B̄, a Vandermonde product, from the zero state."""
    cell = build("s4d", init=init)
    x = torch.randn(B, T, I, dtype=torch.float64)
    A_bar, B_bar, C = zero_order_hold(cell)
    kernel = 2 * torch.einsum("hn,hnj->hj", C * B_bar, A_bar[..., None] ** torch.arange(T)).real
    x_hat = (x @ cell.weight_ih.T).transpose(1, 2)
    y = F.conv1d(F.pad(x_hat, (T - 1, 0)), kernel.flip(-1)[:, None], groups=H) + cell.D[:, None] * x_hat
    y = F.gelu(y.transpose(1, 2)) @ cell.weight_ho.T + cell.bias
    torch.testing.assert_close(run(cell, x)[0], y, rtol=0, atol=1e-10)


# --- properties ------------------------------------------------------------------------------------------------------


@every_cell
@pytest.mark.parametrize("noise", [0.0, 5.0])
def test_nothing_grows(name: str, noise: float) -> None:
    """|a| ≤ 1 whatever the parameters and the input, and not by being nought; below 1 as they are initialised."""
    cell = build(name)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter += noise * torch.randn_like(parameter)
    a, _ = decays(cell, 10**noise * torch.randn(B, 50, I, dtype=torch.float64))
    assert a.abs().max() <= 1 + 1e-12
    assert a.abs().max() > 0.5
    if not noise:
        assert a.abs().max() < 1


@pytest.mark.parametrize("name", ["mingru", "minlstm", "sru", "qrnn", "hgrn"])
def test_named_gates_keep_what_is_there(name: str) -> None:
    """With the keep gate open and the write gate shut the memory stays: |a| = 1 and b = 0."""
    cell = build(name)
    gates = cell.gates()
    assert gates
    assert all(bias.shape == (H,) for biases in gates.values() for bias in biases)
    open_gate(gates.get("keep", gates.get("write", [])), 40.0 if "keep" in gates else -40.0)
    if len(gates) == 2:
        open_gate(gates["write"], -40.0)
    a, b = (t[..., :H] for t in decays(cell, torch.randn(B, T, I, dtype=torch.float64)))
    torch.testing.assert_close(a.abs(), torch.ones_like(a.abs()), rtol=0, atol=1e-12)
    assert b.abs().max() < 1e-12


def test_minlstm_with_both_gates_shut_still_shares_by_their_odds() -> None:
    """σ(−200) is 0 in float32, and the quotient 0/0; by logarithms f' = σ(−200 + 202) and i' = 1 − f'."""
    cell = build("minlstm", dtype=torch.float32)
    with torch.no_grad():
        cell.weight_ih[: 2 * H] = 0
        cell.bias[:H], cell.bias[H : 2 * H], cell.bias[2 * H :] = -200, -202, 1
        cell.weight_ih[2 * H :] = 0
    a, b = decays(cell, torch.randn(B, T, I))
    share = 1 / (1 + math.exp(-2))
    torch.testing.assert_close(a, torch.full_like(a, share))
    torch.testing.assert_close(b, torch.full_like(b, 1 - share))


@pytest.mark.parametrize(("r_min", "r_max"), [(0.0, 1.0), (0.4, 0.6), (0.9, 0.999)])
def test_lru_starts_in_its_ring(r_min: float, r_max: float) -> None:
    """|λ|² uniform in the ring, the phase on the whole circle, and γ keeps the variance of white noise."""
    cell = build("lru", state_size=4000, r_min=r_min, r_max=r_max)
    a, _ = decays(cell, torch.zeros(1, 1, I, dtype=torch.float64))
    radius = a[0, 0].abs()
    assert radius.min() >= r_min - 1e-6
    assert radius.max() <= r_max + 1e-6
    quantile = (radius**2 - r_min**2) / (r_max**2 - r_min**2)
    assert abs(quantile.mean() - 1 / 2) < 0.03
    assert abs(quantile.var() - 1 / 12) < 0.01
    assert a.mean().abs() < 0.05
    torch.testing.assert_close(torch.exp(cell.gamma) ** 2, 1 - radius**2, rtol=1e-2, atol=1e-6)


def test_rglru_starts_with_slow_decays_and_survives_a_shut_gate() -> None:
    cell = build("rglru", dtype=torch.float32)
    slowest = torch.exp(-8 * F.softplus(cell.decay))
    assert ((slowest > 0.8999) & (slowest < 0.9991)).all()
    assert slowest.std() > 0.005
    with torch.no_grad():
        cell.bias[:H] = -200  # r underflows: a = 1, and the root of 1 − a² has no slope there
    y, _ = run(cell, torch.randn(B, T, I))
    gradients = torch.autograd.grad(y.square().sum(), list(cell.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_rglru_writes_what_it_forgets() -> None:
    """a² + b² / (i x̂)² = 1, to float32's own precision though a be near 1."""
    cell = build("rglru", dtype=torch.float32)
    with torch.no_grad():
        cell.weight_gates.zero_()
        cell.bias[:H], cell.bias[H:], cell.decay[:] = -6, 0, -6
    x = torch.randn(B, T, I)
    _, b = decays(cell, x)
    log_a = -8 * math.log1p(math.exp(-6)) / (1 + math.exp(6))
    torch.testing.assert_close(b, math.sqrt(-math.expm1(2 * log_a)) * (x @ cell.weight_ih.T) / 2, rtol=1e-5, atol=1e-9)


def test_sru_lets_its_input_pass() -> None:
    """With the highway wide open y = α x, and α = √(1 + 2 exp(b_r)) is 1 there."""
    cell = build("sru", H, highway_bias=-60.0)
    x = torch.randn(B, T, H, dtype=torch.float64)
    torch.testing.assert_close(run(cell, x)[0], x, rtol=0, atol=1e-12)
    assert build("sru").alpha == pytest.approx(math.sqrt(3))


def test_hgrn_never_forgets_more_than_its_bound() -> None:
    cell = build("hgrn", lower_bound=0.8)
    a, _ = decays(cell, 100 * torch.randn(B, T, I, dtype=torch.float64))
    assert 0.8 - 1e-9 < a.abs().min() < 0.81
    torch.testing.assert_close(a[0, 0].angle(), cell.theta)
    assert cell.theta[0] == 1


def test_mamba_of_one_mode_is_a_gate() -> None:
    """Theorem 1: N = 1, A = −1 make exp(Δ A) = σ(−pre-activation), 1 − the gate."""
    cell = build("mamba", state_size=1)
    x = torch.randn(B, T, I, dtype=torch.float64)
    x_hat = F.silu(x @ cell.weight_ih[:H].T)
    pre = x_hat @ cell.weight_select[: cell.rank].T @ cell.weight_dt.T + cell.dt_bias
    torch.testing.assert_close(decays(cell, x)[0].squeeze(-1), torch.sigmoid(-pre), rtol=0, atol=1e-12)


def test_state_spaces_start_as_their_papers_say() -> None:
    mamba, lin, inv = build("mamba"), build("s4d", state_size=4), build("s4d", state_size=4, init="inv")
    for dt in (F.softplus(mamba.dt_bias), torch.exp(lin.log_dt)):
        assert ((dt > 0.00099) & (dt < 0.1001)).all()
        assert dt.std() > 0.001
    torch.testing.assert_close(torch.exp(mamba.A_log[2]), torch.arange(1.0, 17.0).double())
    torch.testing.assert_close(torch.exp(lin.alpha), torch.full((H, 2), 0.5).double())
    torch.testing.assert_close(lin.omega[0], torch.tensor([0.0, math.pi]).double())
    torch.testing.assert_close(inv.omega[0], torch.tensor([12.0, 4 / 3]).double() / math.pi)


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lru", {"r_min": 0.9, "r_max": 0.5}),
        ("lru", {"r_max": 1.1}),
        ("lru", {"state_size": 0}),
        ("hgrn", {"lower_bound": 1.0}),
        ("s4d", {"state_size": 7}),
        ("s4d", {"state_size": 0}),
        ("mamba", {"state_size": 0}),
    ],
)
def test_options_out_of_range_are_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=str(next(iter(options.values())))):
        make_cell(name, I, H, **options)
