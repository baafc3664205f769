"""Compiled steps are the loop's steps."""

from __future__ import annotations

import copy
import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnbench.backends import Request, compiled, run
from rnnbench.backends.backend import Backend
from rnnbench.backends.compiled import Compiled
from rnnbench.backends.loop import Loop
from rnnbench.cells import Cell, make_cell
from rnnbench.errors import UserError

B, H, CHUNK = 3, 8, 4
T = 2 * CHUNK + 3
CPU = Request(torch.device("cpu"), torch.float32)

able = pytest.mark.skipif(compiled._missing("cpu") is not None, reason=str(compiled._missing("cpu")))
#: One cell always, the others, each of which compiles for half a minute, with the slow tests.
cells = pytest.mark.parametrize(
    ("name", "options"),
    [
        ("rnn", {}),
        pytest.param("lstm", {}, marks=pytest.mark.slow),
        pytest.param("mgu", {}, marks=pytest.mark.slow),
        pytest.param("exprnn", {}, marks=pytest.mark.slow),
        pytest.param("torchrecurrent:MGU", {}, marks=pytest.mark.slow),
    ],
)


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The laws hold for every length of chunk, and a short one compiles sooner."""
    monkeypatch.setattr(compiled, "CHUNK", CHUNK)


def everything(backend: Backend, cell: Cell, x: Tensor, state: Tensor, cuts: tuple[int, ...] = ()) -> list[Tensor]:
    """Outputs, final state and all gradients, the sequence run in chunks."""
    x, state = x.clone().requires_grad_(), state.clone().requires_grad_()
    outputs, current = [], state
    for begin, end in itertools.pairwise((0, *cuts, x.shape[1])):
        y, current = backend.run(cell, x[:, begin:end], current, None, False)
        outputs.append(y)
    y = torch.cat(outputs, dim=1)
    generator = torch.Generator().manual_seed(2)
    cotangents = [torch.randn(t.shape, dtype=torch.float64, generator=generator).to(t) for t in (y, current)]
    return [y, current, *torch.autograd.grad((y, current), [x, state, *cell.parameters()], cotangents)]


@able
@cells
def test_reference_and_chunk_law(name: str, options: dict[str, Any]) -> None:
    """As near to the float64 loop as the float32 loop is, within a small multiple, however the sequence is cut."""
    torch.manual_seed(1)
    cell = make_cell(name, H, H, **options)
    x, state = torch.randn(B, T, H), torch.randn(B, *cell.state_shape) / 2
    exact = everything(Loop(), copy.deepcopy(cell).double(), x.double(), state.double())
    loop = everything(Loop(), cell, x, state)
    for cuts in ((), (CHUNK,), (1, CHUNK + 1)):
        tested = everything(Compiled(), cell, x, state, cuts)
        for got, near, truth in zip(tested, loop, exact, strict=True):
            unit = torch.finfo(torch.float32).eps * truth.abs().max()
            allowed = 4 * max((near.double() - truth).abs().max(), unit)
            assert (got.double() - truth).abs().max() <= allowed


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


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A stand-in for torch.compile that counts what it is asked to compile, without compiling."""
    graphs: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        graphs.append(len(inputs))
        return graph.forward

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **how: real(function, backend=backend, **how))
    compiled._compiled.cache_clear()
    return graphs


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Any:
    yield counted(monkeypatch)
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
    for batch in range(1, 8):
        for epsilon in (0.1, 0.2):
            cell = make_cell("antisymmetric", H, H, epsilon=epsilon)
            x = torch.randn(batch, CHUNK, H)
            y, _ = Compiled().run(cell, x, cell.initial_state(batch), None, False)
            torch.testing.assert_close(y, run(cell, x, backend="loop")[0])
    assert len(graphs) == 14


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


def test_auto_never_takes_it() -> None:
    assert Compiled.on_request_only
