"""Padding changes no number, what pads may be anything, and a causal model's past does not know the future."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from rnnbench.catalog import Shape
from rnnbench.cells import cell_names
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Batch, Task
from rnnbench.models import SequenceModel
from rnnbench.models.build import build
from rnnbench.models.loss import loss
from rnnbench.probes.flops import cost_per_token
from rnnbench.training.metrics import metric_for

#: Both ends of what may be asked: nothing padded, and a single step left.
LENGTHS = (7, 1, 4, 6)
TIME = max(LENGTHS)
INPUTS, OUTPUTS = 5, 4

#: One of each way of running: loop, affine scan, matrix state, window, torch's own.
CELLS = ["lstm", "gru", "slstm", "mingru", "mamba", "s4d", "mlstm", "deltanet", "transformer", "tcn"]
#: Windows that end inside the sequences.
OPTIONS: dict[str, dict[str, Any]] = {"transformer": {"window": 3}, "tcn": {"levels": 2, "kernel": 2}}

Reads = Literal["tokens", "values"]
Predicts = Literal["symbols", "labels", "values", "bits"]


def make(task: Task, cell: str, **config: Any) -> SequenceModel:
    torch.manual_seed(0)
    options = OPTIONS.get(cell, {})
    return SequenceModel(task, CellConfig(cell, options), ModelConfig(**{"hidden_size": 8, **config})).double()


def targets(task: Task, *size: int) -> Tensor:
    if task.predicts == "values":
        return torch.randn(*size, OUTPUTS, dtype=torch.float64)
    if task.predicts == "bits":
        return torch.randint(2, (*size, OUTPUTS)).double()
    return torch.randint(OUTPUTS, size)


def inputs(task: Task, *size: int) -> Tensor:
    if task.reads == "tokens":
        return torch.randint(INPUTS, size)
    return torch.randn(*size, INPUTS, dtype=torch.float64)


def padded_batch(task: Task) -> Batch:
    """Random everywhere, what pads included."""
    torch.manual_seed(1)
    lengths = torch.tensor(LENGTHS)
    x = inputs(task, len(LENGTHS), TIME)
    if task.shape != "many_to_many":
        return Batch(x, targets(task, len(LENGTHS)), lengths=lengths)
    mask = torch.arange(TIME) < lengths[:, None]
    return Batch(x, targets(task, len(LENGTHS), TIME), mask=mask, lengths=lengths)


def alone(batch: Batch, row: int, task: Task) -> Batch:
    """One sequence of the batch without its padding."""
    steps = LENGTHS[row]
    y = batch.y[row : row + 1]
    return Batch(batch.x[row : row + 1, :steps], y[:, :steps] if task.shape == "many_to_many" else y)


def gradients(model: SequenceModel, value: Tensor) -> dict[str, Tensor]:
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(value, parameters, allow_unused=True)
    return {name: torch.zeros_like(p) if g is None else g for name, p, g in zip(names, parameters, found, strict=True)}


def check_padding(task: Task, model: SequenceModel) -> None:
    """Outputs, loss, metrics and all gradients of the padded batch are those of its sequences one by one."""
    batch, every = padded_batch(task), task.shape == "many_to_many"
    out, _ = model.predict(batch)
    value = loss(out, batch, task)
    together, apart = metric_for(task).set_dtype(torch.float64), metric_for(task).set_dtype(torch.float64)
    together.update(out.detach(), batch)
    total = torch.zeros((), dtype=torch.float64)
    for row, steps in enumerate(LENGTHS):
        single = alone(batch, row, task)
        own, _ = model.predict(single)
        mine = out[row : row + 1, :steps] if every else out[row : row + 1]
        torch.testing.assert_close(mine, own, rtol=0, atol=1e-12)
        total = total + loss(own, single, task) * (steps if every else 1)
        apart.update(own.detach(), single)
    mean = total / (sum(LENGTHS) if every else len(LENGTHS))
    torch.testing.assert_close(value, mean, rtol=0, atol=1e-12)
    found, wanted = gradients(model, value), gradients(model, mean)
    assert any(float(g.abs().max()) > 1e-4 for g in wanted.values()), "no gradient at all: the test shows nothing"
    for name, gradient in wanted.items():
        worst = float((found[name] - gradient).abs().max())
        assert worst < 1e-12 + 1e-9 * float(gradient.abs().max()), f"the gradient of {name} is off by {worst}"
    ours, theirs = together.compute(), apart.compute()
    assert set(ours) == set(theirs)
    for name, figure in theirs.items():
        torch.testing.assert_close(ours[name], figure, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_padding_changes_no_number_of_a_target_a_step(cell: str, bidirectional: bool) -> None:
    task = Task("many_to_many", "values", "bits", INPUTS, OUTPUTS)
    check_padding(task, make(task, cell, num_layers=2, bidirectional=bidirectional, norm="layer"))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", ["last", "mean", "attention"])
@pytest.mark.parametrize("cell", ["lstm", "mingru", "mlstm", "transformer"])
def test_padding_changes_no_number_of_a_target_a_sequence(cell: str, pooling: str, bidirectional: bool) -> None:
    task = Task("many_to_one", "tokens", "labels", INPUTS, OUTPUTS)
    check_padding(task, make(task, cell, num_layers=2, bidirectional=bidirectional, pooling=pooling, residual=True))


COMBINATIONS: list[tuple[Shape, Reads, Predicts]] = [
    ("many_to_many", "tokens", "symbols"),
    ("many_to_many", "values", "labels"),
    ("many_to_many", "values", "values"),
    ("many_to_one", "values", "values"),
    ("many_to_one", "values", "labels"),
]


@pytest.mark.parametrize(("shape", "reads", "predicts"), COMBINATIONS)
def test_padding_changes_no_number_of_any_task(shape: Shape, reads: Reads, predicts: Predicts) -> None:
    weights = (1.0, 2.0, 0.5, 3.0) if predicts == "values" else ()
    task = Task(shape, reads, predicts, INPUTS, OUTPUTS, mase_weights=weights)
    check_padding(task, make(task, "gru", bidirectional=predicts == "labels"))


@pytest.mark.parametrize("pooling", ["last", "mean", "attention"])
def test_outputs_that_pad_may_be_nan(pooling: str) -> None:
    """A pooling looks at none of them: 0 · NaN would be seen."""
    task = Task("many_to_one", "values", "labels", INPUTS, OUTPUTS)
    model, batch = make(task, "gru", pooling=pooling, bidirectional=True), padded_batch(task)
    assert model.pool is not None
    y, _ = model.stack(model.input(batch.x), lengths=batch.lengths)
    pads = torch.arange(TIME) >= torch.tensor(LENGTHS)[:, None]
    spoilt = y.detach().masked_fill(pads[:, :, None], torch.nan).requires_grad_()
    pooled = model.pool(spoilt, batch.lengths)
    torch.testing.assert_close(pooled, model.pool(y, batch.lengths), rtol=0, atol=0)
    (gradient,) = torch.autograd.grad(pooled.sum(), spoilt)
    assert not gradient[pads].any()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("predicts", ["symbols", "labels", "values", "bits"])
def test_answers_where_there_is_no_target_may_be_nan(predicts: Predicts) -> None:
    """Neither the loss, nor its gradient, nor a figure sees them."""
    task = Task("many_to_many", "values", predicts, INPUTS, OUTPUTS)
    batch = padded_batch(task)
    assert batch.mask is not None
    out = torch.randn(len(LENGTHS), TIME, OUTPUTS, dtype=torch.float64)
    spoilt = out.masked_fill(~batch.mask[:, :, None], torch.nan).requires_grad_()
    value = loss(spoilt, batch, task)
    torch.testing.assert_close(value.detach(), loss(out, batch, task))
    (gradient,) = torch.autograd.grad(value, spoilt)
    assert gradient.isfinite().all()
    assert not gradient[~batch.mask].any()
    clean, dirty = metric_for(task), metric_for(task)
    clean.update(out, batch)
    dirty.update(spoilt.detach(), batch)
    assert {k: float(v) for k, v in dirty.compute().items()} == {k: float(v) for k, v in clean.compute().items()}


@pytest.mark.parametrize("name", cell_names())
def test_the_past_does_not_know_the_future(name: str) -> None:
    """Shuffle the inputs from a cut on: what was answered before is the same, what is answered then is not."""
    task = Task("many_to_many", "tokens", "symbols", 11, 11, stateful=True, causal=True)
    torch.manual_seed(0)
    model = SequenceModel(task, CellConfig(name), ModelConfig(hidden_size=8, num_layers=2, norm="rms")).double()
    x = torch.stack([torch.arange(24) % 11, (7 * torch.arange(24) + 3) % 11])
    before = model(x)[0].detach()
    for cut in (1, 9, 20):
        shuffled = torch.cat((x[:, :cut], x[:, cut:].flip(1)), dim=1)
        after = model(shuffled)[0].detach()
        # to rounding: a scan sums blocks of time in an order of its own, but the same for the same places
        torch.testing.assert_close(after[:, :cut], before[:, :cut], rtol=0, atol=1e-13)
        assert float((after[:, cut:] - before[:, cut:]).abs().max()) > 1e-9


COSTS: list[tuple[Shape, Reads, int]] = [
    ("one_to_one", "values", 1),
    ("many_to_one", "tokens", 12),
    ("many_to_one", "values", 12),
    ("many_to_many", "values", 1),
]


@pytest.mark.parametrize(("shape", "reads", "steps"), COSTS)
def test_what_a_token_costs(shape: Shape, reads: Reads, steps: int) -> None:
    """Two operations a weight forward, twice that backward: of an embedding none, of a readout its share."""
    task = Task(shape, reads, "labels", INPUTS, OUTPUTS)
    recurrent, readout = 3 * 8 * 16, 8 * OUTPUTS
    projected = 0 if reads == "tokens" else 2 / 3 * INPUTS * 8  # no gradient reaches what is read
    cost = cost_per_token(make(task, "gru"), task, 12)
    assert cost.flops == pytest.approx(6 * (recurrent + projected + readout / steps))
    assert cost.pointwise > 0


def test_one_vector_read_costs_a_decoder_less_than_many() -> None:
    """By the encoder's other steps: its weights forward and backward, the input's but for the gradient of the input."""
    costs = {}
    shapes: tuple[Shape, ...] = ("one_to_many", "seq2seq")
    for shape in shapes:
        task = Task(shape, "values", "symbols", INPUTS, OUTPUTS)
        model = build(task, CellConfig("gru"), ModelConfig(hidden_size=8, attention="none"))
        costs[shape] = cost_per_token(model, task, 12)
    saved = 11 / 12 * (6 * 3 * 8 * 16 + 4 * INPUTS * 8)
    assert costs["seq2seq"].flops - costs["one_to_many"].flops == pytest.approx(saved)
    assert 0 < costs["one_to_many"].pointwise < costs["seq2seq"].pointwise
