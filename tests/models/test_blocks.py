"""What surrounds the cells, against the same written out by hand and against torch's own modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnnbench.backends import run
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Task
from rnnbench.errors import UserError
from rnnbench.models import SequenceModel
from rnnbench.models.build import build as make_model
from rnnbench.models.build import matched_parameters

B, T, H = 3, 7, 6
TEXT = Task("many_to_many", "tokens", "symbols", 11, 11, stateful=True, causal=True)
SERIES = Task("many_to_one", "values", "values", 4, 2)
LABELS = Task("many_to_one", "tokens", "labels", 11, 3)


def build(task: Task, cell: str = "lstm", **config: Any) -> SequenceModel:
    torch.manual_seed(0)
    model = make_model(task, CellConfig(cell), ModelConfig(**{"hidden_size": H, **config}))
    assert isinstance(model, SequenceModel)
    return model.double()


def inputs(task: Task) -> Tensor:
    if task.reads == "tokens":
        return torch.randint(task.input_size, (B, T))
    return torch.randn(B, T, task.input_size, dtype=torch.float64)


class Scale(nn.Module):
    """Dropout that can be foreseen."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.7 * x


def normalised(kind: str, norm: nn.Module, x: Tensor) -> Tensor:
    """The norms' definitions, gain and bias included."""
    if kind == "none":
        return x
    if kind == "layer":
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight + norm.bias
    return x / (x.square().mean(-1, keepdim=True) + torch.finfo(x.dtype).eps).sqrt() * norm.weight


@pytest.mark.parametrize("cell", ["lstm", "gru", "mingru"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("norm", ["none", "layer", "rms"])
@pytest.mark.parametrize("embedding", [None, 4])
def test_blocks_by_hand(cell: str, residual: bool, norm: str, embedding: int | None) -> None:
    """y ← y + dropout(cell(norm(y))), layer by layer, a last norm, the readout; the state carried over a cut."""
    model = build(TEXT, cell, num_layers=3, residual=residual, norm=norm, embedding_size=embedding)
    for parameter in model.stack.norms.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)  # gains of 1 and biases of 0 hide a norm's place
    model.dropout = model.stack.dropout = Scale()
    x = inputs(TEXT)
    y = model.input.weight[x]
    if residual and embedding:
        y = y @ model.stack.project.weight.t() + model.stack.project.bias
    states = []
    for layer, module in enumerate(model.cells):
        out, state = run(module, normalised(norm, model.stack.norms[layer], y), backend="loop")
        states.append(state)
        out = 0.7 * out if layer < 2 else out
        y = y + out if residual else out
    wanted = 0.7 * normalised(norm, model.stack.norms[3], y) @ model.readout.weight.t() + model.readout.bias
    found, last = model(x)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    for ours, theirs in zip(last, states, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    first, carried = model(x[:, :3])
    second, _ = model(x[:, 3:], carried)
    torch.testing.assert_close(torch.cat((first, second), 1), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", ["none", "layer", "rms"])
def test_a_plain_model_has_no_more_than_its_cells(norm: str) -> None:
    """Without a norm nothing is added to the weights; norms add a gain (and a bias) each, one more than layers."""
    added = {"none": 0, "rms": 3 * H, "layer": 6 * H}[norm]
    plain = build(TEXT, num_layers=2)
    assert set(plain.state_dict()) == {
        "input.weight",
        "readout.weight",
        "readout.bias",
        *(f"stack.layers.{layer}.{name}" for layer in range(2) for name, _ in plain.cells[0].named_parameters()),
    }
    assert matched_parameters(build(TEXT, num_layers=2, norm=norm)) == matched_parameters(plain) + added


TORCH: dict[str, type[nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


@pytest.mark.parametrize("backend", ["loop", "torch"])
@pytest.mark.parametrize("cell", list(TORCH))
def test_bidirectional_is_torchs(cell: str, backend: str) -> None:
    """nn.LSTM(bidirectional=True, num_layers=2) and its like on the same weights: outputs, states, gradients."""
    model = build(SERIES, cell, num_layers=2, bidirectional=True, backend=backend, embedding_size=5)
    twin = TORCH[cell](5, H, num_layers=2, bidirectional=True, batch_first=True).double()
    names = [f"_l{layer}{way}" for layer in range(2) for way in ("", "_reverse")]
    with torch.no_grad():
        for ours, name in zip(model.cells, names, strict=True):
            for key, value in ours.named_parameters():
                getattr(twin, key + name).copy_(value)
    x = torch.randn(B, T, 5, dtype=torch.float64, requires_grad=True)
    start = torch.randn(4, B, *model.cells[0].state_shape, dtype=torch.float64)
    if cell == "lstm":
        y, (h, c) = twin(x, (start[:, :, 0].contiguous(), start[:, :, 1].contiguous()))
        final = torch.stack((h, c), dim=2)
    else:
        y, final = twin(x, start)
        h = final
    read = model.readout
    wanted = read(torch.cat((y[:, -1, :H], y[:, 0, H:]), dim=-1))
    model.input = nn.Identity()
    found, last = model(x, list(start))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)
    torch.testing.assert_close(torch.stack(last), final, rtol=0, atol=1e-10)
    ours, theirs = (torch.autograd.grad(out.square().sum(), x)[0] for out in (found, wanted))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    from_nothing, last = model(x)  # `last` is what each direction ends with
    ends = [cell_.read(s[:, None], x.new_zeros(B, 1, 1))[:, 0] for cell_, s in zip(model.cells, last, strict=True)]
    torch.testing.assert_close(from_nothing, read(torch.cat(ends[2:], dim=-1)), rtol=0, atol=1e-10)
    model.pool, model.readout = None, nn.Identity()
    torch.testing.assert_close(model(x, list(start))[0], y, rtol=0, atol=1e-10)


def test_a_bidirectional_block_by_hand() -> None:
    """The stream is 2H wide: the input is projected to it, and each half gets its own direction's output."""
    model = build(SERIES, "gru", bidirectional=True, residual=True, norm="rms", pooling="mean")
    x = inputs(SERIES)
    y = model.stack.project(model.input(x))
    assert y.shape == (B, T, 2 * H)
    u = normalised("rms", model.stack.norms[0], y)
    forwards, backwards = model.cells
    out = torch.cat((run(forwards, u)[0], run(backwards, u.flip(1))[0].flip(1)), dim=-1)
    wanted = model.readout(normalised("rms", model.stack.norms[1], y + out).mean(1))
    torch.testing.assert_close(model(x)[0], wanted, rtol=0, atol=1e-12)


def test_a_tap_of_the_reversed_cell_is_in_its_own_time() -> None:
    """Added after its step t, at instant T − 1 − t: it changes what that cell reads out from there to the start."""
    model = build(SERIES, "gru", bidirectional=True)
    model.pool, model.readout = None, nn.Identity()
    x = inputs(SERIES)
    taps = [torch.zeros(B, T, H, dtype=torch.float64) for _ in range(2)]
    taps[1][:, 2] = 1.0
    changed = (model(x, taps=taps)[0] - model(x)[0]).abs().amax((0, 2)) > 1e-12
    assert changed.tolist() == [t <= T - 1 - 2 for t in range(T)]
    halves = (model(x, taps=taps)[0] - model(x)[0]).abs().amax((0, 1)) > 1e-12
    assert halves.tolist() == [False] * H + [True] * H
    torch.testing.assert_close(model(x, taps=[taps[0], None])[0], model(x)[0])


def test_poolings_by_hand() -> None:
    """last, mean, and Σ_t α_t y_t with α_t ∝ exp(v · tanh(W y_t + b)), written one number at a time."""
    x = inputs(LABELS)
    for pooling in ("last", "mean", "attention"):
        model = build(LABELS, "gru", pooling=pooling)
        y, _ = run(model.cells[0], model.input(x))
        if pooling == "attention":
            hidden, score = model.pool.hidden, model.pool.score
            weights = torch.zeros(B, T, dtype=torch.float64)
            for b in range(B):
                for t in range(T):
                    inner = torch.tanh(hidden.weight @ y[b, t] + hidden.bias)
                    weights[b, t] = torch.exp(score.weight[0] @ inner)
                weights[b] /= weights[b].sum()
            alpha = model.pool.weights(y)
            torch.testing.assert_close(alpha, weights, rtol=0, atol=1e-12)
            torch.testing.assert_close(alpha.sum(1), torch.ones(B, dtype=torch.float64))
            assert float(alpha.std()) > 1e-3, "all weights alike: the test shows nothing"
            pooled = sum(weights[:, t, None] * y[:, t] for t in range(T))
        else:
            pooled = {"last": y[:, T - 1], "mean": sum(y[:, t] for t in range(T)) / T}[pooling]
        torch.testing.assert_close(model(x)[0], model.readout(pooled), rtol=0, atol=1e-12)


def test_a_tied_weight_is_one() -> None:
    plain, tied = build(TEXT, norm="layer"), build(TEXT, norm="layer", tie=True)
    assert tied.input.weight is tied.readout.weight
    assert sum(p.numel() for p in plain.parameters()) - sum(p.numel() for p in tied.parameters()) == 11 * H
    assert matched_parameters(tied) == matched_parameters(plain)
    assert float(tied.readout.weight.abs().max()) <= H**-0.5  # a readout's initialisation, not an embedding's
    tied(inputs(TEXT))[0].square().sum().backward()
    again = build(TEXT, norm="layer", tie=True)
    again.load_state_dict(tied.state_dict())
    assert again.input.weight is again.readout.weight
    assert torch.equal(again.input.weight, tied.input.weight)


REFUSALS: list[tuple[Task, dict[str, Any], str]] = [
    (TEXT, {"bidirectional": True}, "model.bidirectional would read what this task asks to predict"),
    (
        Task("many_to_many", "tokens", "symbols", 11, 11, causal=True),
        {"bidirectional": True},
        "model.bidirectional would read what this task asks to predict",
    ),
    (TEXT, {"pooling": "mean"}, "model.pooling mean makes one vector of a window"),
    (TEXT, {"pooling": "attention"}, "model.pooling attention makes one vector of a window"),
    (TEXT, {"tie": True, "embedding_size": 4}, f"an embedding of 4 and a readout from {H}"),
    (SERIES, {"tie": True}, "model.tie needs an embedding of the very symbols that are predicted"),
    (LABELS, {"tie": True}, "model.tie needs an embedding of the very symbols that are predicted"),
    (TEXT, {"init": "orthogonal"}, "the cell MinGRU has no square recurrent matrix, and init orthogonal acts on one"),
]


@pytest.mark.parametrize(("task", "config", "message"), REFUSALS)
def test_what_a_task_has_no_use_for_is_refused(task: Task, config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        build(task, "mingru", **config)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
