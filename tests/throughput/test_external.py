"""External implementations compute what our loop computes: those installed, and our side of those that are not.

A package for GPUs is stood in for by a few lines with its signature, written from its documentation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnnbench.backends import Request
from rnnbench.backends.backend import Backend
from rnnbench.backends.layers import Layers, run_layers
from rnnbench.backends.loop import Loop
from rnnbench.cells import make_cell
from rnnbench.cells.registry import cell_names
from rnnbench.config import CellConfig
from rnnbench.errors import UserError
from rnnbench.throughput.correctness import everything
from rnnbench.throughput.external import EXTERNAL
from rnnbench.throughput.external.package import PackageImplementation

B, T, I, H = 3, 7, 5, 16
CPU, GPU = torch.device("cpu"), torch.device("cuda")
TORCH = ("rnn", "irnn", "lstm", "gru")
AFFINE = ("mingru", "minlstm", "sru", "qrnn", "rglru", "mamba")
COMPLEX = ("hgrn", "lru", "s4d")
INSTALLED = {
    "plain": TORCH,
    "nn": TORCH,
    "torchrecurrent": ("lstm_peephole", "janet", "mgu", "ugrnn", "minimal_rnn", "indrnn", "antisymmetric", "cornn"),
}
STOOD_IN = {
    "flashrnn": ("rnn", "lstm"),
    "flashrnn_alternating": ("rnn", "lstm", "gru"),
    "fla": (*AFFINE, "gla", "deltanet"),
    "mamba_ssm": ("mamba",),
    "accelerated_scan": AFFINE,
    "accelerated_scan_triton": (*AFFINE, *COMPLEX),
}


def pairs(table: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(name, cell) for name, cells in table.items() for cell in cells]


def results(backend: Backend, layers: Layers, x: Tensor, states: list[Tensor]) -> dict[str, Tensor]:
    """Outputs, last states and every gradient, under the same random cotangents each time."""
    generator = torch.Generator().manual_seed(2)
    y, last = torch.randn(B, x.shape[1], layers.width, generator=generator, dtype=torch.float64), []
    for state in states:
        last.append(torch.randn(state.shape, generator=generator, dtype=torch.float64))
    return everything(layers, x, states, (y, last), backend)


def drawn(
    cell: str | CellConfig, time: int = T, dtype: torch.dtype = torch.float64, **how: Any
) -> tuple[Layers, Tensor, list[Tensor]]:
    torch.manual_seed(0)
    layers = Layers(CellConfig.parse(cell), I, H, **how).to(dtype)
    states = [torch.randn_like(state) / 2 for state in layers.initial_state(B)]
    return layers, torch.randn(B, time, I, dtype=dtype), states


def assert_as_the_loop(backend: Backend, layers: Layers, x: Tensor, states: list[Tensor]) -> None:
    torch.testing.assert_close(
        results(backend, layers, x, states), results(Loop(), layers, x, states), rtol=1e-10, atol=1e-10
    )


# --- those that are installed ---------------------------------------------------------------------------------------


@pytest.fixture
def installed(name: str) -> None:
    if name == "torchrecurrent":
        pytest.importorskip(name)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "cell"), [*pairs(INSTALLED), ("torchrecurrent", CellConfig("antisymmetric", {"gated": True}))]
)
def test_what_is_installed_is_the_loop(name: str, cell: str | CellConfig) -> None:
    layers, x, states = drawn(cell)
    assert EXTERNAL[name].refusal(layers.cells[0], Request(CPU, x.dtype)) is None
    assert_as_the_loop(EXTERNAL[name], layers, x, states)


@pytest.mark.parametrize("cell", TORCH)
def test_four_layers_in_two_directions_are_one_call(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, forward = [], nn.RNNBase.__call__
    monkeypatch.setattr(nn.RNNBase, "__call__", lambda *args: (calls.append(args), forward(*args))[1])
    layers, x, states = drawn(cell, num_layers=4, bidirectional=True)
    assert_as_the_loop(EXTERNAL["nn"], layers, x, states)
    assert len(calls) == 1


def test_a_module_has_the_parameters_themselves_and_follows_them() -> None:
    layers, x, states = drawn("gru")
    cell: Any = layers.cells[0]
    before, _ = run_layers(layers, x, states, EXTERNAL["nn"])
    with torch.no_grad():
        cell.weight_hh.mul_(2)
    changed, _ = run_layers(layers, x, states, EXTERNAL["nn"])
    assert not torch.equal(before, changed)
    cell.weight_hh = nn.Parameter(cell.weight_hh.detach() / 2)
    again, _ = run_layers(layers, x, states, EXTERNAL["nn"])
    torch.testing.assert_close(again, before)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("name", "cell"), [("plain", "lstm"), ("torchrecurrent", "mgu")])
def test_states_stay_wide_under_bfloat16(name: str, cell: str) -> None:
    layers, x, states = drawn(cell, dtype=torch.bfloat16)
    y, last = run_layers(layers, x, states, EXTERNAL[name])
    truth, end = run_layers(layers, x, states, Loop())
    assert last[0].dtype == torch.float32
    torch.testing.assert_close(y.float(), truth.float(), rtol=0.05, atol=0.05)
    torch.testing.assert_close(last, end, rtol=0.05, atol=0.05)


# --- packages for GPUs ----------------------------------------------------------------------------------------------


def naive(a: Tensor, b: Tensor, h: Tensor | None = None) -> Tensor:
    """h_t = a_t h_{t−1} + b_t along the second axis."""
    h, states = torch.zeros_like(b[:, 0]) if h is None else h, []
    for t in range(b.shape[1]):
        h = a[:, t] * h + b[:, t]
        states.append(h)
    return torch.stack(states, dim=1)


def hgrn(x: Tensor, g: Tensor, initial_state: None = None, output_final_state: bool = False) -> tuple[Tensor, None]:
    assert x.is_contiguous()
    assert (g <= 0).all()
    return naive(g.exp(), x), None


def matrix(decay: Tensor | None, beta: Tensor | None, q: Tensor, k: Tensor, v: Tensor, how: dict[str, Any]) -> Any:
    """(B, T, heads, ·); queries are scaled by 1/√K where nothing is said."""
    assert q.dtype == k.dtype == v.dtype
    assert how["initial_state"].dtype in (torch.float32, torch.float64)
    S, answers = how["initial_state"], []
    for t in range(q.shape[1]):
        S = S if decay is None else decay[:, t].exp().unsqueeze(-1) * S
        write = v[:, t].to(S.dtype)
        if beta is not None:
            write = beta[:, t].unsqueeze(-1) * (write - torch.einsum("bhk,bhkv->bhv", k[:, t].to(S.dtype), S))
        S = S + k[:, t].to(S.dtype).unsqueeze(-1) * write.unsqueeze(-2)
        scale = how.get("scale") or q.shape[-1] ** -0.5
        answers.append(scale * torch.einsum("bhk,bhkv->bhv", q[:, t].to(S.dtype), S))
    return torch.stack(answers, dim=1).to(q.dtype), S if how.get("output_final_state") else None


def gla_by_steps(q: Tensor, k: Tensor, v: Tensor, gk: Tensor | None = None, **how: Any) -> Any:
    return matrix(gk, None, q, k, v, how)


def gla_by_chunks(q: Tensor, k: Tensor, v: Tensor, g: Tensor, **how: Any) -> Any:
    assert g.dtype in (torch.float32, torch.float64)
    return matrix(g, None, q, k, v, how)


def delta_by_steps(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, **how: Any) -> Any:
    assert beta.shape == q.shape[:3]
    return matrix(None, beta, q, k, v, how)


def delta_by_chunks(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, **how: Any) -> Any:
    assert q.dtype != torch.float32
    return delta_by_steps(q, k, v, beta, **how)


def warp(gates: Tensor, tokens: Tensor) -> Tensor:
    """Only for powers of two from 32."""
    assert tokens.shape[-1] in (32, 64, 128)
    return any_length(gates, tokens)


def any_length(forget: Tensor, inputs: Tensor) -> Tensor:
    """(B, C, T), contiguous."""
    assert forget.shape == inputs.shape
    assert forget.is_contiguous()
    assert inputs.is_contiguous()
    return naive(forget.mT, inputs.mT).mT


def selective_scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """u, delta (B, D, T); A (D, N); B, C (B, N, T); D (D,) → (B, D, T), from a state of zero."""
    a = torch.exp(delta.mT.unsqueeze(-1) * A)
    b = (delta * u).mT.unsqueeze(-1) * B.mT.unsqueeze(-2)
    return (naive(a, b) @ C.mT.unsqueeze(-1)).squeeze(-1).mT + D.unsqueeze(-1) * u


def flashrnn(
    Wx: Tensor, R: Tensor, b: Tensor, states: Tensor, function: str, backend: str, dtype: str
) -> tuple[Tensor, Tensor]:
    """Wx (B, T, G, N, D), R (G, N, D, D), b (G, N, D), states (S, B, 1, N, D) → (S, B, T, N, D) and (S, B, 1, N, D)."""
    assert backend == "cuda" or function != "gru"
    assert dtype == str(Wx.dtype).removeprefix("torch.")
    s, every = states[:, :, 0], []
    for t in range(Wx.shape[1]):
        x, r = Wx[:, t].unbind(1), torch.einsum("bnp,gndp->gbnd", s[0], R)
        if function == "elman":
            s = torch.tanh(x[0] + r[0] + b[0]).unsqueeze(0)
        elif function == "lstm":
            i, f, z, o = (x[g] + r[g] + b[g] for g in range(4))
            c = torch.sigmoid(f) * s[1] + torch.sigmoid(i) * torch.tanh(z)
            s = torch.stack((torch.sigmoid(o) * torch.tanh(c), c))
        else:
            gate_r, gate_z = torch.sigmoid(x[0] + r[1] + b[1]), torch.sigmoid(x[1] + r[2] + b[2])
            new = torch.tanh(x[2] + b[3] + gate_r * (r[0] + b[0]))
            s = (gate_z * s[0] + (1 - gate_z) * new).unsqueeze(0)
        every.append(s)
    return torch.stack(every, dim=2), s.unsqueeze(2)


STAND_INS: dict[str, dict[str, Callable[..., Any]]] = {
    "flashrnn": {"flashrnn": flashrnn},
    "fla.ops.hgrn": {"chunk_hgrn": hgrn, "fused_recurrent_hgrn": hgrn},
    "fla.ops.gla": {"chunk_gla": gla_by_chunks, "fused_recurrent_gla": gla_by_steps},
    "fla.ops.delta_rule": {"chunk_delta_rule": delta_by_chunks, "fused_recurrent_delta_rule": delta_by_steps},
    "mamba_ssm.ops.selective_scan_interface": {"selective_scan_fn": selective_scan},
    "accelerated_scan.warp": {"scan": warp},
    "accelerated_scan.scalar": {"scan": any_length},
    "accelerated_scan.complex": {"scan": any_length},
}


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if they were installed on a machine with a GPU, which is the CPU."""
    for name, functions in STAND_INS.items():
        module = ModuleType(name)
        vars(module).update(functions)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("rnnbench.throughput.external.package.find_spec", lambda name: name)
    # The kernel's numbers are float32, in which 2⁻⁴⁰ is nothing beside 1; those here are float64.
    monkeypatch.setattr("rnnbench.throughput.external.gpu_kernels.STILL", 2.0**-80)
    monkeypatch.setattr(PackageImplementation, "elsewhere", lambda self, request: None)


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("time", [1, T, 70])
@pytest.mark.parametrize(("name", "cell"), pairs(STOOD_IN))
def test_our_side_of_a_package_is_the_loop(name: str, cell: str, time: int) -> None:
    layers, x, states = drawn(cell, time)
    assert EXTERNAL[name].refusal(layers.cells[0], Request(CPU, x.dtype)) is None
    assert_as_the_loop(EXTERNAL[name], layers, x, states)


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("name", "cell"), pairs(STOOD_IN))
def test_a_state_comes_back_in_float32(name: str, cell: str, dtype: torch.dtype) -> None:
    layers, x, states = drawn(cell, 70, dtype)
    y, last = run_layers(layers, x, states, EXTERNAL[name])
    truth, end = run_layers(layers, x, states, Loop())
    assert last[0].dtype == torch.float32
    torch.testing.assert_close(y.float(), truth.float(), rtol=0.1, atol=0.1)
    torch.testing.assert_close(last, end, rtol=0.1, atol=0.1)


@pytest.mark.usefixtures("packages")
def test_a_decay_of_zero_has_no_logarithm_but_gradients() -> None:
    layers, x, states = drawn("mingru", dtype=torch.float32)
    found = results(EXTERNAL["fla"], layers, 1e4 * x, states)  # gates at 0 and at 1
    assert all(value.isfinite().all() for value in found.values())


@pytest.mark.usefixtures("packages")
def test_the_warp_scan_has_a_longest_sequence() -> None:
    layers, x, states = drawn("mingru", 65537, torch.float32)
    with pytest.raises(UserError, match="at most 65536 time steps, got 65537"):
        run_layers(layers, x[:1], [states[0][:1]], EXTERNAL["accelerated_scan"])


# --- refusals -------------------------------------------------------------------------------------------------------


PACKAGES = {name: backend for name, backend in EXTERNAL.items() if isinstance(backend, PackageImplementation)}


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_is_named_in_what_it_refuses(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, cell = PACKAGES[name], make_cell({**INSTALLED, **STOOD_IN}[name][0], I, H)
    monkeypatch.setattr("rnnbench.throughput.external.package.find_spec", lambda module: None)
    missing = backend.refusal(cell, Request(GPU, torch.float32))
    assert missing == f"{backend.package} is not installed; pip install {backend.package}"
    monkeypatch.setattr("rnnbench.throughput.external.package.find_spec", lambda module: module)
    assert backend.refusal(cell, Request(GPU, torch.float32)) is None
    for request in (Request(GPU, torch.float32, tap=True), Request(GPU, torch.float32, states=True)):
        assert str(backend.refusal(cell, request)).startswith(backend.package)
    if name in STOOD_IN:
        assert backend.refusal(cell, Request(CPU, torch.float32)) == f"{backend.package} runs on a CUDA GPU only"
        assert backend.refusal(cell, Request(GPU, torch.bfloat16)) is None
        assert "not torch.float64" in str(backend.refusal(cell, Request(GPU, torch.float64)))
    assert backend.package in str(backend.refusal(make_cell("transformer", I, H), Request(GPU, torch.float32)))


def test_each_takes_the_cells_that_it_is_tested_with_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnbench.throughput.external.package.find_spec", lambda module: module)
    cells, request = {name: make_cell(name, I, H) for name in cell_names()}, Request(GPU, torch.float32)
    taken = {
        name: {label for label, cell in cells.items() if backend.refusal(cell, request) is None}
        for name, backend in EXTERNAL.items()
    }
    assert taken == {name: set(labels) for name, labels in {**INSTALLED, **STOOD_IN}.items()}


def test_torchs_own_are_only_contestants() -> None:
    """They take no tap and return no states; ``nn`` is as exact as the backend ``torch``, whose kernels it runs."""
    cell, request = make_cell("gru", I, H), Request(CPU, torch.float32)
    for name in ("plain", "nn"):
        assert EXTERNAL[name].on_request_only
        for more in ({"tap": True}, {"states": True}):
            assert EXTERNAL[name].refusal(cell, replace(request, **more))
    assert "float32 and float64" in str(EXTERNAL["nn"].refusal(cell, Request(CPU, torch.bfloat16)))
    assert EXTERNAL["nn"].multiple(Request(GPU, torch.float32)) == 300
    assert EXTERNAL["nn"].multiple(request) == EXTERNAL["plain"].multiple(request)
