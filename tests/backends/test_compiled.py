"""Compiled steps are the loop's steps."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support.cells import assert_within_loop_errors
from torch import Tensor

from rnnbench.backends import Request, compiled, run
from rnnbench.backends.compiled import Compiled
from rnnbench.cells import make_cell
from rnnbench.errors import UserError

B, H, CHUNK = 3, 8, 3
T = 2 * CHUNK + 3
CPU = Request(torch.device("cpu"), torch.float32)

able = pytest.mark.skipif(compiled._missing("cpu") is not None, reason=str(compiled._missing("cpu")))
#: One cell always, the others, each of which compiles for half a minute, with the slow tests.
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("lstm", "mgu", "exprnn", "torchrecurrent:MGU")]


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The properties hold for every length of chunk, and a short one compiles sooner."""
    monkeypatch.setattr(compiled, "CHUNK", CHUNK)


@able
@pytest.mark.parametrize("name", ["rnn", *SLOW])
def test_reference_and_chunk_property(name: str) -> None:
    """However the sequence is cut."""
    torch.manual_seed(1)
    cell = make_cell(name, H, H)
    x, state = torch.randn(B, T, H), torch.randn(B, *cell.state_shape) / 2
    for cuts in ((), (CHUNK,), (1, CHUNK + 1)):
        assert_within_loop_errors(Compiled(), cell, x, state, cuts)


@able
def test_without_gradients_and_every_state() -> None:
    torch.manual_seed(1)
    cell, x = make_cell("rnn", H, H), torch.randn(B, T, H)
    with torch.no_grad():
        y, states = run(cell, x, backend="loop", return_states=True)
        ours = Compiled().run(cell, x, cell.initial_state(B), None, return_states=True)
    torch.testing.assert_close(ours[0], y)
    torch.testing.assert_close(ours[1], states)


@able
def test_a_graph_can_be_kept_for_a_second_backward() -> None:
    torch.manual_seed(1)
    cell, x = make_cell("rnn", H, H), torch.randn(B, T, H)
    y, _ = Compiled().run(cell, x, cell.initial_state(B), None, False)
    first = torch.autograd.grad(y.square().sum(), list(cell.parameters()), retain_graph=True)
    second = torch.autograd.grad(y.square().sum(), list(cell.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A stand-in for torch.compile that counts what it is asked to compile, without compiling."""
    graphs: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        graphs.append(len(inputs))
        return graph.forward

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **how: real(function, backend=backend, **how))
    compiled._compiled.cache_clear()
    yield graphs
    compiled._compiled.cache_clear()


def test_one_compilation_serves_every_chunk_and_every_cell_alike(graphs: list[int]) -> None:
    """The first chunk, whose state needs no gradient, the later ones, a longer sequence and a second layer."""
    for _ in range(2):
        cell = make_cell("lstm", H, H)
        for time in (CHUNK, 3 * CHUNK + 1):
            y, last = Compiled().run(cell, torch.randn(B, time, H), cell.initial_state(B), None, False)
            (y.sum() + last.sum()).backward()
    assert len(graphs) == 1


def test_more_variants_than_torch_compile_keeps_for_one_function(graphs: list[int]) -> None:
    """torch.compile refuses the ninth variant of a function."""
    for batch in range(1, 6):
        for epsilon in (0.1, 0.2):
            cell = make_cell("antisymmetric", H, H, epsilon=epsilon)
            x = torch.randn(batch, CHUNK, H)
            y, _ = Compiled().run(cell, x, cell.initial_state(batch), None, False)
            torch.testing.assert_close(y, run(cell, x, backend="loop")[0])
    assert len(graphs) == 10


def test_a_short_sequence_is_not_compiled(graphs: list[int]) -> None:
    cell, x = make_cell("rnn", H, H), torch.randn(B, CHUNK - 1, H)
    y, _ = Compiled().run(cell, x, cell.initial_state(B), None, False)
    assert torch.equal(y, run(cell, x, backend="loop")[0])
    assert graphs == []


def test_a_step_that_cannot_be_traced_is_a_sentence(graphs: list[int]) -> None:
    class Branching(type(make_cell("rnn", H, H))):  # type: ignore[misc]
        def step(self, u: Tensor, s: Tensor) -> Tensor:
            return super().step(u, s) if s.sum() > 0 else s

    cell = Branching(H, H)
    with pytest.raises(UserError, match="torch.compile cannot compile Branching .*; take another backend"):
        Compiled().run(cell, torch.randn(B, CHUNK, H), cell.initial_state(B), None, False)


def test_it_says_why_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cell = make_cell("rnn", H, H)
    assert Compiled.on_request_only
    assert "no tap" in str(Compiled().refusal(cell, Request(torch.device("cpu"), torch.float32, tap=True)))
    assert "torch's own recurrent modules" in str(Compiled().refusal(make_cell("torch:LSTM", H, H), CPU))
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "there is no no-such-compiler" in str(Compiled().refusal(cell, CPU))
    monkeypatch.delenv("CXX")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(compiled.sysconfig, "get_path", lambda name: str(tmp_path))
    assert "Python.h" in str(Compiled().refusal(cell, CPU))
    monkeypatch.setattr(compiled, "find_spec", lambda name: None)
    assert "triton" in str(Compiled().refusal(cell, Request(torch.device("cuda"), torch.float32)))
