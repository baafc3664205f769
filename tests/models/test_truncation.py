"""Truncation: the same outputs and the same batches, a gradient that goes back so far and no farther."""

from __future__ import annotations

import lightning as L
import pytest
import torch
from support.cells import NoisyLSTM
from support.training import QUIET

from rnnbench.cells.registry import _CELLS
from rnnbench.config import CellConfig, DataConfig, ModelConfig, OptimConfig, Run
from rnnbench.data.source import StepLoader
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models.build import Model, build
from rnnbench.models.loss import loss
from rnnbench.training import SequenceModule

TEXT = Task("many_to_many", "tokens", "symbols", 7, 7, stateful=True, causal=True)
T, K = 12, 4
#: Loops, a scan, a window, a matrix state, and layers with what stands around them.
MODELS = [
    ("rnn", ModelConfig(hidden_size=6)),
    ("lstm", ModelConfig(hidden_size=6, num_layers=2, residual=True, norm="rms")),
    ("gru", ModelConfig(hidden_size=6)),
    ("lem", ModelConfig(hidden_size=6)),
    ("mingru", ModelConfig(hidden_size=6, num_layers=2)),
    ("mamba", ModelConfig(hidden_size=6)),
    ("deltanet", ModelConfig(hidden_size=8)),
    ("transformer", ModelConfig(hidden_size=8)),
]


def made(cell: str, config: ModelConfig, truncate: int | None) -> tuple[Model, Batch]:
    torch.manual_seed(3)
    model = build(TEXT, CellConfig(cell), config).double()
    model.probed.truncate = truncate
    ids = torch.randint(7, (3, T + 1), generator=torch.Generator().manual_seed(1))
    return model, Batch(ids[:, :-1], ids[:, 1:])


def gradients(model: Model, value: torch.Tensor) -> list[torch.Tensor]:
    return [torch.zeros_like(p) if g is None else g for p, g in zip(
        model.parameters(), torch.autograd.grad(value, list(model.parameters()), allow_unused=True), strict=True
    )]  # fmt: skip


@pytest.mark.parametrize(("cell", "config"), MODELS)
def test_it_is_the_loop_that_detaches_the_state(cell: str, config: ModelConfig) -> None:
    """Against truncated backpropagation as one writes it by hand: chunk by chunk, the whole model, a detached state."""
    model, batch = made(cell, config, K)
    out, last = model.predict(batch)
    found = gradients(model, loss(out, batch, TEXT))

    by_hand, _ = made(cell, config, None)
    state, value = None, torch.zeros((), dtype=torch.float64)
    for begin in range(0, T, K):
        piece = Batch(batch.x[:, begin : begin + K], batch.y[:, begin : begin + K])
        logits, state = by_hand.predict(piece, None if state is None else [s.detach() for s in state])
        value = value + loss(logits, piece, TEXT) * piece.y.numel() / batch.y.numel()
    assert state is not None
    for one, two in zip([*found, *last], [*gradients(by_hand, value), *state], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-12)

    whole, _ = made(cell, config, None)
    untruncated, _ = whole.predict(batch)
    torch.testing.assert_close(out, untruncated, rtol=1e-10, atol=1e-12)
    differs = [
        not torch.allclose(a, b) for a, b in zip(found, gradients(whole, loss(untruncated, batch, TEXT)), strict=True)
    ]
    assert any(differs), "a gradient that was cut is another one"


@pytest.mark.parametrize(("cell", "config"), MODELS)
def test_no_gradient_crosses_a_cut(cell: str, config: ModelConfig) -> None:
    """Of the loss at step t, the inputs before the last cut get none, those after it do."""
    model, batch = made(cell, config, K)
    embedded = model.input(batch.x).detach().requires_grad_()
    y, _ = model.probed(embedded)
    at = 2 * K + 2
    (gradient,) = torch.autograd.grad(y[:, at].pow(2).sum(), embedded)
    assert (gradient[:, : 2 * K] == 0).all()
    assert (gradient[:, 2 * K : at + 1].abs().amax(dim=(0, 2)) > 0).all()


def test_an_evaluation_knows_nothing_of_it() -> None:
    model, batch = made("gru", ModelConfig(hidden_size=6), K)
    model.eval()
    y, _ = model.probed(embedded := model.input(batch.x).detach().requires_grad_())
    (gradient,) = torch.autograd.grad(y[:, -1].sum(), embedded)
    assert (gradient.abs().amax(dim=(0, 2)) > 0).all()


def test_cut_nowhere_is_not_cut() -> None:
    results = []
    for truncate in (T, None):
        model, batch = made("lstm", ModelConfig(hidden_size=6), truncate)
        value = loss(model.predict(batch)[0], batch, TEXT)
        results.append([value.detach(), *gradients(model, value)])
    assert all(map(torch.equal, *results))


def test_what_cannot_be_truncated_is_refused() -> None:
    with pytest.raises(UserError, match=r"optim\.truncate 65 is more than data\.seq_len 64"):
        Run(optim=OptimConfig(truncate=65), data=DataConfig("kjv", seq_len=64))
    with pytest.raises(UserError, match=r"optim\.truncate must be positive"):
        OptimConfig(truncate=0)
    writes = Task("seq2seq", "tokens", "symbols", 5, 5)
    with pytest.raises(UserError, match="an encoder's and a decoder's"):
        SequenceModule(writes, "gru", ModelConfig(hidden_size=4), OptimConfig(truncate=2))
    assert Run(optim=OptimConfig(truncate=64), data=DataConfig("kjv", seq_len=64)).label == "lstm kjv T=64 K=64 seed 0"


def test_truncations_share_initial_weights_and_differ_in_gradients() -> None:
    """The same weights at first and, after the same batches, others."""
    ids = torch.randint(7, (3, 5 * T + 1), generator=torch.Generator().manual_seed(2))
    spans = [ids[:, step * T : (step + 1) * T + 1] for step in range(5)]
    batches = [Batch(span[:, :-1], span[:, 1:], reset=step == 0) for step, span in enumerate(spans)]
    initial, trained = [], []
    for truncate in (2, None):
        torch.manual_seed(0)
        module = SequenceModule(TEXT, "gru", ModelConfig(hidden_size=8), OptimConfig(lr=1e-2, truncate=truncate), 5)
        initial.append([p.detach().clone() for p in module.parameters()])
        L.Trainer(max_steps=5, logger=False, **QUIET).fit(module, StepLoader(lambda step: batches[step], 5))
        assert module.tokens == 5 * 3 * T
        trained.append(list(module.parameters()))
    assert all(map(torch.equal, *initial))
    assert not all(map(torch.allclose, *trained))


def test_a_stochastic_cell_draws_once_for_the_whole_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers whether the gradient is cut or not, other ones in the next window, none in evaluation."""
    monkeypatch.setitem(_CELLS, "NoisyLSTM", NoisyLSTM)
    outputs = []
    for truncate in (None, K):
        model, batch = made("NoisyLSTM", ModelConfig(hidden_size=6, num_layers=2), truncate)
        torch.manual_seed(5)
        outputs += [model.predict(batch)[0] for _ in range(2)]
        model.eval()
        outputs += [model.predict(batch)[0] for _ in range(2)]
    whole, later, mean, again, *cut = outputs
    for one, two in zip((whole, later, mean, again), cut, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-12)
    assert torch.equal(mean, again)
    assert not torch.allclose(whole, later)
    assert not torch.allclose(whole, mean)
