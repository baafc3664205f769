"""h_t = a_t h_{t−1} + b_t: every kernel against the loop that autograd differentiates."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rnnbench.backends.recurrence import kernel_name, native, portable, recurrence

B, S = 3, (4, 5)
LENGTHS = (1, 2, 7, 101)
#: How a may be spread: full; the same for all batch and time; for all time; for all batch; for part of the state.
SPREADS: dict[str, Callable[[int], tuple[int, ...]]] = {
    "full": lambda T: (B, T, *S),
    "constant": lambda T: S,
    "over time": lambda T: (B, 1, *S),
    "over batch": lambda T: (1, T, *S),
    "over the state": lambda T: (B, T, 4, 1),
}


@pytest.fixture(params=["native", "portable, one level", "portable, two levels", "associative"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def kernel(way: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A kernel's name; the portable one in each of its three ways."""
    if way == "native":
        if native.library() is None:
            pytest.skip("there is no C compiler")
        return "native"
    if way == "associative":
        monkeypatch.setattr(portable, "two_level", _associative)
    monkeypatch.setattr(portable, "GRAIN", 1 if "one" in way else 600)
    return "portable"


def _associative(a: Tensor, b: Tensor, s: Tensor, reverse: bool) -> Tensor:
    """What the portable kernel does on a GPU."""
    if reverse:
        return portable.associative(a.flip(1), b.flip(1), s).flip(1)
    return portable.associative(a, b, s)


def loop(a: Tensor, b: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    states = []
    for a_t, b_t in zip(a.expand_as(b).unbind(1), b.unbind(1), strict=True):
        s = a_t * s + b_t
        states.append(s)
    return torch.stack(states, dim=1), s


def problem(T: int, spread: tuple[int, ...], dtype: torch.dtype) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """a, b, s and cotangents of h and the last state; |a| ≤ 0.999."""
    generator = torch.Generator().manual_seed(T)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=dtype, generator=generator)

    a, b, s = draw(*spread), draw(B, T, *S), draw(B, *S)
    a = 0.999 * a / a.abs().clamp_min(1)
    return tuple(t.requires_grad_() for t in (a, b, s)), (draw(B, T, *S), draw(B, *S))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])
@pytest.mark.parametrize("T", LENGTHS)
@pytest.mark.parametrize("spread", SPREADS)
def test_values_and_gradients(kernel: str, spread: str, T: int, dtype: torch.dtype) -> None:
    inputs, cotangents = problem(T, SPREADS[spread](T), dtype)
    expected = loop(*inputs)
    found = recurrence(*inputs, kernel)
    theirs = (*expected, *torch.autograd.grad(expected, inputs, cotangents))
    ours = (*found, *torch.autograd.grad(found, inputs, cotangents))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("which", [0, 1], ids=["h alone", "last alone"])
def test_one_cotangent_is_enough(kernel: str, which: int) -> None:
    inputs, cotangents = problem(9, (B, 9, *S), torch.float64)
    expected, found = loop(*inputs)[which], recurrence(*inputs, kernel)[which]
    theirs = torch.autograd.grad(expected, inputs, cotangents[which])
    ours = torch.autograd.grad(found, inputs, cotangents[which])
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64], ids=["real", "complex"])
@pytest.mark.parametrize("spread", ["full", "constant"])
def test_float32_is_near_to_float64(way: str, kernel: str, spread: str, dtype: torch.dtype) -> None:
    """At T = 2048, with a memory of a thousand steps: every gradient to 1e-5.

    But for a constant a by the associative kernel: a power of a by squaring doubles its relative error each round.
    """
    allowed = 1e-4 if (way, spread) == ("associative", "constant") else 1e-5
    T = 2048
    inputs, cotangents = problem(T, SPREADS[spread](T), dtype)
    wide = torch.float64 if dtype == torch.float32 else torch.complex128
    exact = tuple(t.detach().to(wide).requires_grad_() for t in inputs)
    truth = torch.autograd.grad(loop(*exact), exact, tuple(c.to(wide) for c in cotangents))
    found = torch.autograd.grad(recurrence(*inputs, kernel), inputs, cotangents)
    for name, ours, right in zip(("da", "db", "ds"), found, truth, strict=True):
        assert float((ours.to(wide) - right).abs().max() / right.abs().max()) <= allowed, name


def test_a_vanishing_product_is_zero_and_not_nan(kernel: str) -> None:
    """cumprod/cumsum forms divide by what has underflown: NaN at T = 256."""
    a, b = torch.full((1, 2000, 8), 0.5), torch.ones(1, 2000, 8)
    h, last = recurrence(a, b, torch.zeros(1, 8), kernel)
    assert torch.isfinite(h).all()
    torch.testing.assert_close(last, torch.full((1, 8), 2.0))


def test_the_fast_kernel_is_chosen_where_it_can_run() -> None:
    real = torch.zeros(1, 1, 1)
    assert kernel_name(real) == ("native" if native.library() is not None else "portable")
    assert kernel_name(real.half()) == "portable"
    assert "no torch.float16" in str(native.refusal(real.half()))
    assert kernel_name(real.to("meta")) == "portable"


def test_without_a_compiler_it_still_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native.shutil, "which", lambda name: None)
    native.library.cache_clear()
    try:
        assert native.library() is None
        inputs, _ = problem(9, (B, 9, *S), torch.float64)
        torch.testing.assert_close(recurrence(*inputs)[0], loop(*inputs)[0])
    finally:
        monkeypatch.undo()
        native.library.cache_clear()


def test_it_runs_on_the_meta_device() -> None:
    """Where FLOPs are counted: shapes without numbers."""
    a, b, s = (torch.zeros(2, 5, 3, device="meta", requires_grad=True) for _ in range(3))
    h, last = recurrence(a, b, s[:, 0])
    (h.sum() + last.sum()).backward()
    assert h.shape == (2, 5, 3)
    assert a.grad is not None
    assert a.grad.shape == a.shape
