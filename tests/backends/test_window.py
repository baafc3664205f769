"""The window backend against the loop."""

from __future__ import annotations

import pytest
import torch
from support.cells import everything
from torch import Tensor

from rnnbench.backends import Request, run
from rnnbench.backends.loop import Loop
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
    """Empty, or with entries of which the oldest two are from before the beginning."""
    state = cell.initial_state(B)
    if kind == "filled":
        state[:, 2:] = torch.randn(state[:, 2:].shape, dtype=state.dtype)
        state[:, 2:, -1] = 1
    return state


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


@every_cell
@pytest.mark.parametrize("kind", ["empty", "filled"])
@pytest.mark.parametrize("time", [1, 5, 13, 40, 45])
def test_is_the_loop(name: str, options: dict[str, int], kind: str, time: int) -> None:
    cell = build(name, options)
    x, state = torch.randn(B, time, I, dtype=torch.float64), some_state(cell, kind)
    assert_same(everything(Window(), cell, x, state), everything(Loop(), cell, x, state))


@every_cell
@pytest.mark.parametrize("kind", ["empty", "filled"])
@pytest.mark.parametrize("cuts", [(1, 16), (5, 6, 11)])
def test_chunk_property(name: str, options: dict[str, int], kind: str, cuts: tuple[int, ...]) -> None:
    cell = build(name, options)
    x, state = torch.randn(B, 17, I, dtype=torch.float64), some_state(cell, kind)
    assert_same(everything(Window(), cell, x, state, cuts), everything(Window(), cell, x, state))


def test_blocks_change_nothing() -> None:
    """Whatever the block, also one that leaves a rest or is shorter than the window."""
    cell = build("transformer", {"window": 5})
    x, state = torch.randn(B, 40, I, dtype=torch.float64), some_state(cell, "filled")
    cell.block = None
    whole = everything(Window(), cell, x, state)
    for block in (1, 3, 5, 8, 39, 40, 41):
        cell.block = block
        assert_same(everything(Window(), cell, x, state), whole)


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
