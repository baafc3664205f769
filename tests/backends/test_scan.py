"""The chunkwise form of a matrix-state recurrence against its definition, step by step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from rnnbench.backends import run
from rnnbench.backends.scan import chunkwise
from rnnbench.cells import Factors, MatrixCell, make_cell
from rnnbench.errors import UserError

B, HEADS, K, V = 2, 3, 5, 6
Inputs = dict[str, Tensor]
Form = Callable[[Factors, Tensor, Tensor], tuple[Tensor, Tensor]]
every_decay = pytest.mark.parametrize("decay", ["none", "head", "channel"])
every_write = pytest.mark.parametrize("write", ["plain", "delta"])


def draw(time: int, decay: str, write: str, extreme: bool = False, seed: int = 0) -> Inputs:
    """Random factors of every time step, a query and a state, in float64 but exact in float32 too.

    Extreme decays lie between no decay at all and e⁻⁵⁰, so that a cumulative product soon underflows.
    """
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g).double()

    x = {"q": normal(B, time, HEADS, K), "k": normal(B, time, HEADS, K), "v": normal(B, time, HEADS, V)}
    x["state"] = normal(B, HEADS, K, V)
    if decay != "none":
        shape = (B, time, HEADS, K if decay == "channel" else 1)
        a = -torch.rand(shape, generator=g)
        if extreme:
            choices = torch.tensor([0.0, -1e-4, -1.0, -50.0])
            a = choices[torch.randint(4, shape, generator=g)]
        x["a"] = a.double()
    if write == "delta":
        x["k"] = (x["k"] / x["k"].norm(dim=-1, keepdim=True)).float().double()
        x["beta"] = torch.rand((B, time, HEADS, 1), generator=g).double()
    return x


def one_by_one(factors: Factors, query: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The definition: A S, what is written, its outer product with the key, the answer."""
    answers = []
    for t in range(query.shape[1]):
        k, v = factors.key[:, t], factors.value[:, t]
        if factors.log_decay is not None:
            state = torch.diag_embed(factors.log_decay[:, t].exp().expand_as(k)) @ state
        if factors.beta is not None:
            v = factors.beta[:, t] * (v - torch.einsum("bhk,bhkv->bhv", k, state))
        state = state + torch.einsum("bhk,bhv->bhkv", k, v)
        answers.append(torch.einsum("bhk,bhkv->bhv", query[:, t], state))
    return torch.stack(answers, dim=1), state


def everything(form: Form, inputs: Inputs, dtype: torch.dtype = torch.float64) -> Inputs:
    """Answers, last state, and the gradients of all inputs under random cotangents on both."""
    x = {name: value.to(dtype).requires_grad_() for name, value in inputs.items()}
    o, last = form(Factors(x["k"], x["v"], x.get("a"), x.get("beta")), x["q"], x["state"])
    g = torch.Generator().manual_seed(1)
    cotangents = [torch.randn(t.shape, generator=g).to(dtype) for t in (o, last)]
    gradients = torch.autograd.grad((o, last), list(x.values()), cotangents)
    return {"o": o, "last": last} | {f"d{name}": value for name, value in zip(x, gradients, strict=True)}


@every_decay
@every_write
@pytest.mark.parametrize("time", [1, 7, 64, 70])
@pytest.mark.parametrize("extreme", [False, True], ids=["mild", "extreme"])
def test_it_is_the_recurrence(decay: str, write: str, time: int, extreme: bool) -> None:
    inputs = draw(time, decay, write, extreme)
    torch.testing.assert_close(everything(chunkwise, inputs), everything(one_by_one, inputs), rtol=0, atol=1e-10)


@every_decay
@every_write
@pytest.mark.parametrize("chunk", [1, 8, 128])
def test_the_chunk_changes_nothing(decay: str, write: str, chunk: int) -> None:
    inputs = draw(50, decay, write, extreme=True)
    found = everything(lambda f, q, s: chunkwise(f, q, s, chunk), inputs)
    torch.testing.assert_close(found, everything(one_by_one, inputs), rtol=0, atol=1e-10)


@every_decay
@every_write
@pytest.mark.parametrize("extreme", [False, True], ids=["mild", "extreme"])
@pytest.mark.parametrize("seed", range(3))
def test_float32_is_as_near_as_the_loop(decay: str, write: str, extreme: bool, seed: int) -> None:
    inputs = draw(100, decay, write, extreme, seed)
    exact = everything(one_by_one, inputs)
    loop = everything(one_by_one, inputs, torch.float32)
    found = everything(chunkwise, inputs, torch.float32)
    for name, truth in exact.items():
        unit = torch.finfo(torch.float32).eps * truth.abs().max()
        allowed = 4 * max((loop[name] - truth).abs().max(), unit)
        assert (found[name] - truth).abs().max() <= allowed, name


@pytest.mark.parametrize("decay", ["head", "channel"])
def test_a_strong_decay_costs_the_weak_ones_after_it_no_digits(decay: str) -> None:
    """Of cumulative sums near −3000 float32 keeps three decimals: as a difference of two, a decay would lose them."""
    inputs = draw(128, decay, "plain")
    inputs["a"][:, :64] = -50.0
    inputs["a"][:, 64:] = -(2.0**-10)
    found = everything(lambda f, q, s: chunkwise(f, q, s, 128), inputs, torch.float32)
    truth = everything(one_by_one, inputs)
    for name in ("o", "last"):
        assert (found[name] - truth[name]).abs().max() < 1e-6 * truth[name].abs().max(), name


@pytest.mark.parametrize("name", ["mlstm", "gla", "deltanet"])
@pytest.mark.parametrize("time", [1, 37])
def test_cells_chunk_by_chunk(name: str, time: int) -> None:
    """Each cell through its factors, against the loop backend: values, last state, all gradients."""
    torch.manual_seed(0)
    cell = make_cell(name, 5, 8).double()
    assert isinstance(cell, MatrixCell)
    x = torch.randn(B, time, 5, dtype=torch.float64, requires_grad=True)
    state = torch.randn(B, *cell.state_shape, dtype=torch.float64, requires_grad=True)
    u = cell.drive(x)
    o, last = chunkwise(cell.factors(u), cell.query(u), state, 8)
    found, expected = (cell.emit(o, u), last), run(cell, x, state, backend="loop")
    cotangents = [torch.randn_like(t) for t in found]
    leaves = [x, state, *cell.parameters()]
    ours, theirs = ((*out, *torch.autograd.grad(out, leaves, cotangents)) for out in (found, expected))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


class Largest(TorchDispatchMode):
    """The most elements that any operation's result had."""

    numel = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for item in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(item, Tensor):
                self.numel = max(self.numel, item.numel())
        return out


@every_decay
@every_write
def test_no_state_of_every_time_step_is_formed(decay: str, write: str) -> None:
    """Forward or backward, nothing is a quarter as large as the states of all time steps would be."""
    time, width = 64, 32
    inputs = {name: torch.zeros(1, time, 1, 1 if name == "beta" else width) for name in ("q", "k", "v", "beta", "a")}
    inputs["state"] = torch.zeros(1, 1, width, width)
    if decay == "none":
        del inputs["a"]
    elif decay == "head":
        inputs["a"] = torch.zeros(1, time, 1, 1)
    if write == "plain":
        del inputs["beta"]
    with Largest() as largest:
        everything(chunkwise, inputs)
    assert 0 < largest.numel < time * width * width / 4


def test_the_answer_is_in_the_states_dtype() -> None:
    inputs = draw(9, "channel", "delta")
    low = {name: value.bfloat16() for name, value in inputs.items()}
    factors = Factors(low["k"], low["v"], low["a"], low["beta"])
    o, last = chunkwise(factors, low["q"], inputs["state"].float())
    assert o.dtype == last.dtype == torch.float32
    assert math.isfinite(float(o.sum()))


@pytest.mark.parametrize("chunk", [0, -4, 12])
def test_a_chunk_that_is_no_power_of_two_is_refused(chunk: int) -> None:
    inputs = draw(3, "none", "plain")
    with pytest.raises(UserError, match=f"chunk must be a power of two, got {chunk}"):
        chunkwise(Factors(inputs["k"], inputs["v"]), inputs["q"], inputs["state"], chunk)
