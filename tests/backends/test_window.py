"""The window backend against the loop."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import Tensor

from rnnbench.backends import Request, run
from rnnbench.backends.window import Window
from rnnbench.cells import WindowCell, make_cell

B, I, H = 3, 5, 8
#: W = 1, 5 and 13: the lengths below are shorter, equal, and more than three times as long.
CELLS = [("transformer", {"window": 1}), ("transformer", {"window": 5}), ("tcn", {"levels": 2, "kernel": 3})]
every_cell = pytest.mark.parametrize(("name", "options"), CELLS, ids=["transformer-1", "transformer-5", "tcn-13"])
FLOAT64 = Request(torch.device("cpu"), torch.float64)


def build(name: str, options: dict[str, int], dtype: torch.dtype = torch.float64) -> WindowCell:
    torch.manual_seed(1)
    cell = make_cell(name, I, H, **options).to(dtype)
    assert isinstance(cell, WindowCell)
    return cell


def some_state(cell: WindowCell, kind: str) -> Tensor:
    """Nothing yet, or entries of which the oldest two are of before the beginning."""
    state = cell.initial_state(B)
    if kind == "filled":
        state[:, 2:] = torch.randn(state[:, 2:].shape, dtype=state.dtype)
        state[:, 2:, -1] = 1
    return state


def everything(
    cell: WindowCell, x: Tensor, state: Tensor, backend: str, cuts: tuple[int, ...] = ()
) -> dict[str, Tensor]:
    """Outputs, last state and all gradients under random cotangents, run in chunks cut at ``cuts``."""
    x, state = x.clone().requires_grad_(), state.clone().requires_grad_()
    outputs, current = [], state
    for begin, end in itertools.pairwise((0, *cuts, x.shape[1])):
        chunk = x[:, begin:end]
        y, current = (
            Window().run(cell, chunk, current, None, False)
            if backend == "window"
            else run(cell, chunk, current, backend)
        )
        outputs.append(y)
    y = torch.cat(outputs, dim=1)
    generator = torch.Generator().manual_seed(2)
    cotangents = [torch.randn(t.shape, dtype=torch.float64, generator=generator).to(t) for t in (y, current)]
    names = ["x", "state", *(n for n, _ in cell.named_parameters())]
    gradients = torch.autograd.grad((y, current), [x, state, *cell.parameters()], cotangents)
    return {"y": y, "last": current, **dict(zip(names, gradients, strict=True))}


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor], atol: float = 1e-11) -> None:
    for key, value in theirs.items():
        torch.testing.assert_close(ours[key], value, rtol=0, atol=atol, msg=lambda m, key=key: f"{key}: {m}")


@every_cell
@pytest.mark.parametrize("kind", ["empty", "filled"])
@pytest.mark.parametrize("time", [1, 3, 5, 13, 17, 40, 45])
def test_is_the_loop(name: str, options: dict[str, int], kind: str, time: int) -> None:
    cell = build(name, options)
    x, state = torch.randn(B, time, I, dtype=torch.float64), some_state(cell, kind)
    assert_same(everything(cell, x, state, "window"), everything(cell, x, state, "loop"))


@every_cell
@pytest.mark.parametrize("kind", ["empty", "filled"])
@pytest.mark.parametrize("cuts", [(1,), (16,), (5, 6, 11)])
def test_chunk_law(name: str, options: dict[str, int], kind: str, cuts: tuple[int, ...]) -> None:
    cell = build(name, options)
    x, state = torch.randn(B, 17, I, dtype=torch.float64), some_state(cell, kind)
    assert_same(everything(cell, x, state, "window", cuts), everything(cell, x, state, "window"))


@every_cell
def test_reference_law(name: str, options: dict[str, int]) -> None:
    """In float32 as near to the float64 loop as the float32 loop is, within a small multiple."""
    cell = build(name, options, torch.float32)
    x, state = torch.randn(B, 40, I), some_state(cell, "filled")
    exact = everything(copy.deepcopy(cell).double(), x.double(), state.double(), "loop")
    loop, tested = everything(cell, x, state, "loop"), everything(cell, x, state, "window")
    for key, truth in exact.items():
        unit = torch.finfo(torch.float32).eps * truth.abs().max()
        allowed = 4 * max((loop[key].double() - truth).abs().max(), unit)
        assert (tested[key].double() - truth).abs().max() <= allowed, key


def test_blocks_change_nothing() -> None:
    """Whatever the block, also one that leaves a rest or is shorter than the window."""
    cell = build("transformer", {"window": 5})
    x, state = torch.randn(B, 40, I, dtype=torch.float64), some_state(cell, "filled")
    cell.block = None
    whole = everything(cell, x, state, "window")
    for block in (1, 3, 5, 8, 39, 40, 41):
        cell.block = block
        assert_same(everything(cell, x, state, "window"), whole)


def test_attention_is_not_quadratic_in_time() -> None:
    """No score is computed of what is more than a block and a window away."""
    cell, most = build("transformer", {"window": 5}), 0
    look = cell.look

    def watched(entries: Tensor, u: Tensor) -> Tensor:
        nonlocal most
        most = max(most, entries.shape[1] * u.shape[1])
        return look(entries, u)

    cell.look = watched
    Window().run(cell, torch.randn(B, 203, I, dtype=torch.float64), cell.initial_state(B), None, False)
    assert most == 5 * (5 + 4)


@every_cell
def test_bfloat16_keeps_a_float32_state(name: str, options: dict[str, int]) -> None:
    cell = build(name, options, torch.bfloat16)
    x = torch.randn(B, 17, I, dtype=torch.bfloat16)
    y, last = Window().run(cell, x, cell.initial_state(B), None, False)
    assert (y.dtype, last.dtype) == (torch.bfloat16, torch.float32)
    other, state = run(cell, x, backend="loop")
    assert torch.equal(last, state)
    torch.testing.assert_close(y, other, rtol=0.05, atol=0.05)


def test_says_why_not() -> None:
    cell, window = build("tcn", {}), Window()
    assert window.refusal(cell, FLOAT64) is None
    assert "not a window" in str(window.refusal(make_cell("lstm", I, H), FLOAT64))
    assert "no tap" in str(window.refusal(cell, Request(FLOAT64.device, FLOAT64.dtype, tap=True)))
    assert "not every state" in str(window.refusal(cell, Request(FLOAT64.device, FLOAT64.dtype, states=True)))
