"""What is recorded and when it may be used again, on any machine; the capture itself on a GPU."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from support.cells import everything
from torch import Tensor

from rnnbench.backends import Request
from rnnbench.backends.backend import Backend
from rnnbench.backends.graph import KEPT, CudaRecording, Graph, gradients
from rnnbench.backends.loop import Loop
from rnnbench.cells import Cell, make_cell
from rnnbench.errors import UserError

B, T, I, H = 3, 9, 5, 6


class Eager:
    """A `Recording` that runs the loop anew, into the same buffers every time: a stand-in for a captured graph."""

    made = 0

    def __init__(self, cell: Cell, x: Tensor, state: Tensor, learns: bool) -> None:
        type(self).made += 1
        self.cell, self.inputs, self.learns = cell, (x, state), learns
        self.leaves = [x, state, *cell.parameters()]
        self.outputs = [torch.empty_like(t) for t in self._run()]
        self.cotangents = [torch.empty_like(t) for t in self.outputs]
        self.gradients = [torch.empty_like(leaf) if leaf.requires_grad else None for leaf in self.leaves]

    def _run(self) -> Sequence[Tensor]:
        with torch.set_grad_enabled(self.learns):
            self.graph = Loop().run(self.cell, *self.inputs, None, False)
        return [t.detach() for t in self.graph]

    @torch.no_grad()
    def forward(self, x: Tensor, state: Tensor) -> Sequence[Tensor]:
        for buffer, value in zip(self.inputs, (x, state), strict=True):
            buffer.copy_(value)
        for buffer, value in zip(self.outputs, self._run(), strict=True):
            buffer.copy_(value)
        return self.outputs

    @torch.no_grad()
    def backward(self, cotangents: Sequence[Tensor]) -> Sequence[Tensor | None]:
        for buffer, value in zip(self.cotangents, cotangents, strict=True):
            buffer.copy_(value)
        for buffer, value in zip(self.gradients, gradients(self.graph, self.cotangents, self.leaves), strict=True):
            if buffer is not None and value is not None:
                buffer.copy_(value)
        return self.gradients


@pytest.fixture
def graph() -> Graph:
    Eager.made = 0
    return Graph(Eager)


def build(name: str = "lstm", dtype: torch.dtype = torch.float64, **options: Any) -> tuple[Cell, Tensor, Tensor]:
    torch.manual_seed(1)
    cell = make_cell(name, I, H, **options).to(dtype)
    return cell, torch.randn(B, T, I, dtype=dtype), torch.randn(B, *cell.state_shape, dtype=dtype) / 2


def idle(graph: Graph, cell: Cell) -> int:
    return sum(len(recordings) for recordings in graph._kept[cell][1].values())


same = torch.testing.assert_close


@pytest.mark.parametrize("name", ["rnn", "lstm", "exprnn", "torch:LSTM"])
def test_chunk_property_with_several_forwards_in_flight(graph: Graph, name: str) -> None:
    """Three equal chunks are three recordings at once, and again the same three in the next run."""
    cell, x, state = build(name)
    truth = everything(Loop(), cell, x, state)
    for cuts in ((), (3, 6), (1, T - 1), (3, 6)):
        same(everything(graph, cell, x, state, cuts), truth)
    assert Eager.made == 1 + 3 + 3  # the whole; three of 3; 1 and 7 and 1: two of one kind in flight, one of another
    assert idle(graph, cell) == Eager.made


def test_interleaved_backwards(graph: Graph) -> None:
    """Forward 1, forward 2, backward 1, forward 3, backward 3, backward 2: each sees its own activations."""
    cell, x, state = build()
    weights = list(cell.parameters())

    def forward(backend: Backend, scale: float) -> Tensor:
        y, last = backend.run(cell, scale * x, state, None, False)
        return y.sin().sum() + last.square().sum()

    def backward(loss: Tensor) -> Sequence[Tensor]:
        return torch.autograd.grad(loss, weights)

    first, second = forward(graph, 1.0), forward(graph, 2.0)
    one = backward(first)
    third = forward(graph, 3.0)
    three, two = backward(third), backward(second)
    for scale, ours in ((1.0, one), (2.0, two), (3.0, three)):
        same(ours, backward(forward(Loop(), scale)))
    assert Eager.made == 2


def test_a_training_loop_needs_one_recording(graph: Graph) -> None:
    """Even where the last loss is still referred to while the next forward runs; and it learns what the loop learns."""
    ours, x, state = build()
    theirs = copy.deepcopy(ours)
    for backend, cell in ((graph, ours), (Loop(), theirs)):
        optimiser = torch.optim.SGD(cell.parameters(), lr=0.1)
        for _ in range(5):
            y, _ = backend.run(cell, x, state, None, False)
            loss = y.square().sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    same(list(ours.parameters()), list(theirs.parameters()))
    assert Eager.made == 1


def test_results_stay_what_they_were(graph: Graph) -> None:
    """Outputs and gradients are copies: the next run's writing into the buffers does not change them."""
    cell, x, state = build()
    results = everything(graph, cell, x, state)
    before = {name: t.clone() for name, t in results.items()}
    everything(graph, cell, -x, -state)
    same(results, before, rtol=0, atol=0)
    with torch.no_grad():
        y, last = graph.run(cell, x, state, None, False)
        kept = y.clone(), last.clone()
        graph.run(cell, -x, state, None, False)
    same((y, last), kept, rtol=0, atol=0)


def test_a_graph_thrown_away_gives_its_recording_back(graph: Graph) -> None:
    cell, x, state = build()
    y, last = graph.run(cell, x, state, None, False)
    assert idle(graph, cell) == 0
    del y
    assert idle(graph, cell) == 0  # the last state belongs to the same forward
    del last
    gc.collect()
    assert idle(graph, cell) == 1
    graph.run(cell, x, state, None, False)
    assert Eager.made == 1


def test_without_gradients_nothing_is_held(graph: Graph) -> None:
    cell, x, state = build()
    truth = Loop().run(cell, x, state, None, False)
    for context in (torch.inference_mode, torch.no_grad, torch.inference_mode):
        with context():
            results = [graph.run(cell, x.clone(), state, None, False) for _ in range(3)]
        for result in results:
            same(result, tuple(t.detach() for t in truth))
    assert (Eager.made, idle(graph, cell)) == (1, 1)


def test_new_weights_are_recorded_anew_and_changed_ones_are_not(graph: Graph) -> None:
    cell, x, state = build()
    for change, made in (
        (lambda: None, 1),
        (lambda: cell.weight_hh.data.mul_(2.0), 1),
        (lambda: setattr(cell, "weight_hh", torch.nn.Parameter(cell.weight_hh.detach() / 3)), 2),
        (lambda: cell.weight_ih.requires_grad_(False), 3),
        (lambda: cell.load_state_dict({name: value + 1 for name, value in cell.state_dict().items()}), 3),
    ):
        change()
        weights = [p for p in cell.parameters() if p.requires_grad]
        for backend in (graph, Loop()):
            y, last = backend.run(cell, x, state, None, False)
            results = [y, last, *torch.autograd.grad(y.sin().sum() + last.sum(), weights)]
            if backend is graph:
                ours = results
        same(ours, results)
        assert Eager.made == made
    assert idle(graph, cell) == 1  # those with the earlier weights are gone


def test_each_kind_of_run_is_recorded_and_few_are_kept(graph: Graph) -> None:
    cell, x, state = build()
    for time in (1, 2, 3):
        graph.run(cell, x[:, :time], state, None, False)
    with torch.no_grad():
        graph.run(cell, x[:, :3], state, None, False)
    with torch.autocast("cpu", torch.bfloat16):
        graph.run(cell, x[:, :3], state, None, False)
    assert Eager.made == 5
    assert len(graph._kept[cell][1]) == KEPT
    graph.run(cell, x[:, :3], state, None, False)
    assert Eager.made == 5
    graph.run(cell, x[:, :1], state, None, False)
    assert Eager.made == 6  # the oldest had gone


def test_autocast_is_part_of_what_is_recorded(graph: Graph) -> None:
    """And the weights it casts are those of now, not those of the recording."""
    cell, x, state = build("rnn", torch.float32)
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            truth = Loop().run(cell, x, state, None, False)[0]
            ours = graph.run(cell, x, state, None, False)[0]
        assert torch.equal(ours, truth)
        assert not torch.equal(ours, Loop().run(cell, x, state, None, False)[0])
        cell.weight_ih.data.mul_(2.0)


def test_a_cell_that_is_gone_takes_its_recordings_with_it(graph: Graph) -> None:
    cell, x, state = build()
    everything(graph, cell, x, state)
    gone = weakref.ref(cell)
    del cell
    gc.collect()
    assert gone() is None
    assert len(graph._kept) == 0


def test_misuse_of_a_backward_is_refused(graph: Graph) -> None:
    """A second one, a gradient of one, and one after the weights were written to, which it would read silently."""
    cell, x, state = build()
    y, _ = graph.run(cell, x, state, None, False)
    y.sum().backward(retain_graph=True)
    with pytest.raises(UserError, match="one backward for each forward"):
        y.sum().backward()
    y, _ = graph.run(cell, x, state, None, False)
    (gradient,) = torch.autograd.grad(y.sin().sum(), [cell.weight_hh], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
    y, _ = graph.run(cell, x, state, None, False)
    with torch.no_grad():
        cell.weight_hh.mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_what_cannot_be_captured_is_a_sentence() -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    cell, x, state = build()
    with pytest.raises(
        UserError, match=r"LSTM cannot be captured as a CUDA graph \(operation not .* capturing\); take"
    ):
        Graph(fail).run(cell, x, state, None, False)


def test_it_says_why_not() -> None:
    cell, _, _ = build()
    assert Graph()._record is CudaRecording
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert Graph().refusal(cell, Request(cpu, torch.float32)) == "CUDA graphs need a CUDA device"
    assert "no tap" in str(Graph().refusal(cell, Request(cuda, torch.float32, tap=True)))
    assert "last state only" in str(Graph().refusal(cell, Request(cuda, torch.float32, states=True)))
    assert Graph().refusal(cell, Request(cuda, torch.float32)) is None


# --- the capture itself -------------------------------------------------------------------------------------------


@pytest.fixture
def cuda() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    return torch.device("cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "mgu", "antisymmetric", "torchrecurrent:MGU"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_captured_chunk_property(cuda: torch.device, name: str, dtype: torch.dtype) -> None:
    """Also with several forwards in flight, and again with the recordings that are there."""
    if name.startswith("torchrecurrent"):
        pytest.importorskip("torchrecurrent")
    cell, x, state = build(name, dtype)
    cell, x, state = cell.to(cuda), x.to(cuda), state.to(cuda)
    backend = Graph()
    truth = everything(Loop(), cell, x, state)
    for cuts in ((), (3, 6), (1, T - 1), (3, 6)):
        same(everything(backend, cell, x, state, cuts), truth)


@pytest.mark.gpu
def test_captured_training_follows_the_loop(cuda: torch.device) -> None:
    """Weights are read where they are; so are those of a cell that was cast, after another capture."""
    ours, x, state = build()
    ours, x, state = ours.to(cuda), x.to(cuda), state.to(cuda)
    theirs, backend = copy.deepcopy(ours), Graph()
    for dtype in (torch.float64, torch.float32):
        for runner, cell in ((backend, ours), (Loop(), theirs)):
            cell.to(dtype)
            optimiser = torch.optim.Adam(cell.parameters(), lr=0.01)
            for _ in range(5):
                current = state.to(dtype)
                for chunk in x.to(dtype).split(3, dim=1):
                    y, current = runner.run(cell, chunk, current, None, False)
                    loss = y.square().sum()
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
                    current = current.detach()
        same(list(ours.parameters()), list(theirs.parameters()))


@pytest.mark.gpu
def test_capture_while_an_eager_graph_of_the_same_weights_is_alive(cuda: torch.device) -> None:
    cell, x, state = build()
    cell, x, state = cell.to(cuda), x.to(cuda), state.to(cuda)
    y, _ = Loop().run(cell, x, state, None, False)
    same(everything(Graph(), cell, x, state), everything(Loop(), cell, x, state))
    y.sum().backward()


@pytest.mark.gpu
def test_captured_inference(cuda: torch.device) -> None:
    cell, x, state = build()
    cell, x, state = cell.to(cuda), x.to(cuda), state.to(cuda)
    backend = Graph()
    for context in (torch.inference_mode, torch.no_grad):
        with context():
            for scale in (1.0, -1.0):
                same(
                    backend.run(cell, scale * x, state, None, False),
                    Loop().run(cell, scale * x, state, None, False),
                )


@pytest.mark.gpu
def test_captured_autocast_casts_the_weights_of_now(cuda: torch.device) -> None:
    cell, x, state = build("rnn", torch.float32)
    cell, x, state = cell.to(cuda), x.to(cuda), state.to(cuda)
    backend = Graph()
    for _ in range(2):
        with torch.autocast("cuda", torch.bfloat16):
            truth = Loop().run(cell, x, state, None, False)[0]
            same([backend.run(cell, x, state, None, False)[0]], [truth], rtol=1e-2, atol=1e-2)
        cell.weight_ih.data.mul_(2.0)


@pytest.mark.gpu
def test_a_host_synchronisation_is_refused_in_words(cuda: torch.device) -> None:
    class Asking(type(make_cell("rnn", I, H))):  # type: ignore[misc]
        def step(self, u: Tensor, s: Tensor) -> Tensor:
            return super().step(u, s) * (1.0 if float(s.sum()) < 1e9 else 0.0)

    cell = Asking(I, H).to(cuda)
    with pytest.raises(UserError, match="cannot be captured as a CUDA graph"):
        Graph().run(cell, torch.randn(B, T, I, device=cuda), cell.initial_state(B), None, False)
    assert torch.ones(1, device=cuda).item() == 1.0
