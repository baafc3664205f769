"""What a cell needs beside its input reaches it at the right time step: in chunks, backwards, in parts, in probes."""

from __future__ import annotations

import copy
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from rnnbench.backends.layers import Layers
from rnnbench.cells import Cell, make_cell, registry
from rnnbench.cells.side_inputs import SIDE_INPUTS
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models import EncoderDecoder, Model, SequenceModel
from rnnbench.models.build import build
from rnnbench.models.decoding import search
from rnnbench.models.loss import loss
from rnnbench.probes.flops import cost_per_token
from rnnbench.probes.gates import measure_gates
from rnnbench.probes.gradient_flow import measure_gradient_flow, measure_gradient_share, measure_saliency, shuffled
from rnnbench.probes.jacobian import measure_singular_values
from rnnbench.probes.lyapunov import measure_lyapunov
from rnnbench.probes.probed_model import subject
from rnnbench.throughput.cost import flops_per_token, sequential_per_token
from rnnbench.training.micro_batches import BatchSplit, in_parts

T, B = 12, 3
VALUES = Task("many_to_many", "values", "values", 2, 1)
LABELS = Task("many_to_one", "values", "labels", 2, 4)


class ReadsAllSides(Cell):
    """s' = g s + (1 − g) tanh(x + U s) with a gate g = σ(b), b all of its side inputs together, of different weight."""

    needs = tuple(SIDE_INPUTS)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight = nn.Parameter(torch.empty(hidden_size, input_size))
        self.recurrent = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.reset_parameters()

    def drive(self, x: Tensor, time: Tensor, observed: Tensor, elapsed: Tensor) -> Tensor:
        side = torch.sin(time) + 0.5 * observed - 0.1 * elapsed
        return torch.cat((x @ self.weight.t(), side.unsqueeze(-1)), dim=-1)

    def gate_values(self, u: Tensor, s: Tensor) -> dict[str, Tensor]:
        return {"keep": torch.sigmoid(u[:, -1:]).expand_as(s)}

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return torch.lerp(torch.tanh(u[:, :-1] + s @ self.recurrent.t()), s, self.gate_values(u, s)["keep"])


class NeedsWeather(ReadsAllSides):
    needs: ClassVar[tuple[str, ...]] = ("weather",)


@pytest.fixture(autouse=True)
def cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are known while a test runs."""
    registry.cell_names()
    for name, cls in (("reads_all_sides", ReadsAllSides), ("needs_weather", NeedsWeather)):
        monkeypatch.setitem(registry._CELLS, name, cls)


def model(task: Task = VALUES, **config: object) -> Model:
    torch.manual_seed(0)
    return build(task, CellConfig("reads_all_sides"), ModelConfig(hidden_size=4, **config)).double()  # type: ignore


def batch(side: bool = True) -> Batch:
    draw = torch.Generator().manual_seed(1)
    x, y = torch.randn(B, T, 2, generator=draw).double(), torch.randn(B, T, 1, generator=draw).double()
    observed = (torch.rand(B, T, generator=draw) > 0.5).double()
    elapsed = torch.randint(1, 6, (B, T), generator=draw).double()
    return Batch(x, y, side={"observed": observed, "elapsed": elapsed} if side else None)


def part(whole: Batch, steps: slice) -> Batch:
    side = {name: value[:, steps] for name, value in (whole.side or {}).items()}
    return Batch(whole.x[:, steps], whole.y[:, steps], side=side or None, begin=steps.start)


@pytest.mark.parametrize("side", [False, True])
def test_chunks_that_say_where_they_begin_give_what_the_whole_gives(side: bool) -> None:
    two, whole = model(num_layers=2), batch(side)
    y, _ = two.predict(whole)
    first, state = two.predict(part(whole, slice(0, 5)))
    second, _ = two.predict(part(whole, slice(5, T)), state)
    torch.testing.assert_close(torch.cat((first, second), dim=1), y)
    misplaced, _ = two.predict(part(whole, slice(5, T))._replace(begin=0), state)
    assert (misplaced - second).abs().max() > 1e-3
    two.train().probed.truncate = 5
    torch.testing.assert_close(two.predict(whole)[0], y)


def test_a_cell_that_reads_backwards_has_its_side_inputs_backwards() -> None:
    both, whole = model(LABELS, bidirectional=True, pooling="mean"), batch()
    lengths = torch.tensor([T, 7, 9])
    assert isinstance(both, SequenceModel)
    outputs, _ = both.stack(both.input(whole.x), lengths=lengths, side=both.stack.side_inputs(whole.side, whole.x))
    for row, length in enumerate(lengths.tolist()):
        alone = whole.rows(slice(row, row + 1))
        x = both.input(alone.x[:, :length]).flip(1)
        times = torch.arange(length).double().flip(0)[None]
        side = {"time": times, **{name: value[:, :length].flip(1) for name, value in (alone.side or {}).items()}}
        cell = both.cells[1]
        with cell.beside(side, None):
            u = cell.driven(x)
        s = cell.initial_state(1)
        for t in range(length):
            s = cell.step(u[:, t], s)
            torch.testing.assert_close(outputs[row, length - 1 - t, 4:], s[0])


def test_a_decoder_that_writes_has_the_times_of_its_training() -> None:
    task = Task("seq2seq", "tokens", "symbols", 5, 6)
    writer = model(task).eval()
    assert isinstance(writer, EncoderDecoder)
    x = torch.tensor([[1, 2, 3, 4]])
    (written,) = search(writer, x, limit=6)
    symbols = torch.tensor([written.symbols])
    likely = writer(x, symbols)[0].log_softmax(-1)
    assert likely.argmax(-1).tolist() == symbols.tolist()
    score = likely.gather(-1, symbols[..., None]).mean()
    assert float(score.detach()) == pytest.approx(written.score)


def test_micro_batches_take_their_rows_of_the_side_inputs() -> None:
    one, whole = model(), batch()
    other = copy.deepcopy(one)
    loss(one.predict(whole)[0], whole, VALUES).backward()
    in_parts(other, whole, None, VALUES, BatchSplit(micro_batches=3), lambda value, last: value.backward())
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("side", [False, True])
def test_probes_see_the_cell_as_the_data_drive_it(side: bool) -> None:
    """Cut into segments or not the adjoints are the same, and what every probe runs on is the whole model's own."""
    one, whole = model(num_layers=2), batch(side)
    probed = subject(one, whole, VALUES)
    norms = [torch.cat([s.log_norms().flip(1) for s in probed.adjoints(length=size)], 1) for size in (T, 5, 1)]
    torch.testing.assert_close(norms[0], norms[1])
    torch.testing.assert_close(norms[0], norms[2])
    flow = measure_gradient_flow(one, whole, VALUES)
    assert flow.mean == pytest.approx(norms[0].mean(0).numpy())
    assert measure_gradient_flow(one, whole, VALUES, average=True).mean[0] != flow.mean[0]
    assert measure_saliency(one, whole, VALUES).mean.shape == (T,)
    assert measure_gradient_share(one, whole, VALUES).sum() == pytest.approx(1)
    keep = torch.sigmoid(sum(weight * value for weight, value in zip((1, 0.5, -0.1), _sides(probed.side), strict=True)))
    assert measure_gates(one, whole, VALUES)["layer2/keep"].mean == pytest.approx(float(keep.mean()))
    # The Jacobians of one step are those of the step that the whole model takes there.
    (cell, x), *_ = probed.layers()
    with cell.beside(probed.side, None):
        u = cell.driven(x)
    s = cell.initial_state(B)
    for t in range(T - 1):
        s = cell.step(u[:, t], s)
    jacobians = []
    for row in range(B):

        def last(state: Tensor, row: int = row) -> Tensor:
            return cell.step(u[row : row + 1, -1], state[None])[0]

        jacobians.append(torch.autograd.functional.jacobian(last, s[row]))
    largest = torch.stack([torch.linalg.svdvals(jacobian)[0].log() for jacobian in jacobians]).mean()
    assert measure_singular_values(one, whole, VALUES, [1], 1)[0, 0] == pytest.approx(float(largest))
    assert (measure_lyapunov(one, whole, VALUES, 2).exponents < 0).all()


def _sides(side: object) -> list[Tensor]:
    assert isinstance(side, dict)
    return [torch.sin(side["time"]), side["observed"], side["elapsed"]]


def test_noise_moves_what_belongs_to_a_step_with_it_and_leaves_the_clock() -> None:
    whole = batch()
    assert whole.side is not None
    clock = torch.arange(T).expand(B, T)
    whole = whole._replace(x=whole.side["observed"][..., None], side={**whole.side, "time": clock})
    noise = shuffled(whole)
    assert noise.side is not None
    assert torch.equal(noise.x[..., 0], noise.side["observed"])
    assert not torch.equal(noise.x, whole.x)
    assert torch.equal(noise.side["time"], clock)


def test_costs_are_counted_and_unknown_needs_are_refused_before_training() -> None:
    assert cost_per_token(model(), VALUES).flops > 0
    layers = Layers(CellConfig("reads_all_sides"), 2, 4, 2).to("meta")
    assert sequential_per_token(layers) == 2 * 2 * 4 * 4
    assert min(flops_per_token(layers)) > 0
    with pytest.raises(UserError, match='side input of NeedsWeather "weather"'):
        make_cell("needs_weather", 2, 2)
