"""Encoder and decoder, against loops by hand, torch's own attention, and each sample alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.seq2seq.pairs import Pair, collate
from rnnbench.data.task import Batch, Task
from rnnbench.models import EncoderDecoder
from rnnbench.models.attention import Additive, ScaledDot
from rnnbench.models.build import build as make_model
from rnnbench.models.loss import loss
from rnnbench.models.stack import padding

TOKENS = Task("seq2seq", "tokens", "symbols", 9, 7)
VALUES = Task("one_to_many", "values", "symbols", 3, 7)
READ, WRITTEN = (5, 1, 7, 3), (2, 6, 4, 1)
WAYS = [(attention, way) for attention in ("additive", "dot", "none") for way in (False, True)]


def build(task: Task = TOKENS, cell: str = "gru", **config: Any) -> EncoderDecoder:
    torch.manual_seed(0)
    model = make_model(task, CellConfig(cell), ModelConfig(**{"hidden_size": 8, **config}))
    assert isinstance(model, EncoderDecoder)
    return model.double().eval()


def pairs(task: Task = TOKENS) -> list[Pair]:
    torch.manual_seed(1)
    found = []
    for read, written in zip(READ, WRITTEN, strict=True):
        x = torch.randint(9, (read,)) if task.reads == "tokens" else torch.randn(read, 3, dtype=torch.float64)
        found.append(Pair(x, torch.randint(7, (written,))))
    return found


@pytest.mark.parametrize("task", [TOKENS, VALUES], ids=lambda task: task.reads)
@pytest.mark.parametrize("cell", ["lstm", "mingru"])
@pytest.mark.parametrize(("attention", "bidirectional"), WAYS)
def test_padding_changes_no_number(task: Task, cell: str, attention: str, bidirectional: bool) -> None:
    """Logits, weights and gradients of a padded batch are those of each sample alone; NaN there is not read."""
    model = build(task, cell, attention=attention, bidirectional=bidirectional, num_layers=2)
    every = pairs(task)
    batch = collate(every)
    logits, weights = model(batch.x, batch.y, batch.lengths)
    total = loss(logits, batch, task) * sum(WRITTEN)
    together = torch.autograd.grad(total, list(model.parameters()), allow_unused=True)
    apart: list[Tensor] = []
    for row, pair in enumerate(every):
        alone, looked = model(pair.x[None], pair.y[None])
        torch.testing.assert_close(logits[row, : len(pair.y)], alone[0], rtol=0, atol=1e-10)
        apart.append(F.cross_entropy(alone[0], pair.y, reduction="sum"))
        if weights is not None:
            torch.testing.assert_close(weights[row, : len(pair.y), : len(pair.x)], looked[0], rtol=0, atol=1e-10)
            assert not weights[row, :, len(pair.x) :].any()
            torch.testing.assert_close(weights[row].sum(-1), torch.ones(max(WRITTEN), dtype=torch.float64))
    wanted = torch.autograd.grad(torch.stack(apart).sum(), list(model.parameters()), allow_unused=True)
    for ours, theirs in zip(together, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    if task.reads == "values":
        spoiled = batch.x.masked_fill(padding(batch.lengths, batch.x.shape[1])[:, :, None], torch.nan)  # type: ignore[arg-type]
        torch.testing.assert_close(model(spoiled, batch.y, batch.lengths)[0], logits, rtol=0, atol=0)


@pytest.mark.parametrize("attention", ["additive", "dot", "none"])
def test_no_target_is_looked_ahead_at(attention: str) -> None:
    """Logit u depends on targets before u, and on all of them: changing y_u changes logits from u + 1 on."""
    model = build(attention=attention)
    x, y = torch.randint(9, (2, 5)), torch.randint(7, (2, 6))
    before, _ = model(x, y)
    for place in range(6):
        other = y.clone()
        other[:, place] = (y[:, place] + 1) % 7
        after, _ = model(x, other)
        assert torch.equal(after[:, : place + 1], before[:, : place + 1])
        if place < 5:
            assert (after[:, place + 1] != before[:, place + 1]).any(-1).all()


@pytest.mark.parametrize(("attention", "bidirectional"), WAYS)
def test_the_gradient_reaches_every_source_symbol(attention: str, bidirectional: bool) -> None:
    model = build(VALUES, attention=attention, bidirectional=bidirectional)
    x = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    y = torch.randint(7, (2, 3))
    loss(model(x, y)[0], Batch(x, y), VALUES).backward()
    assert x.grad is not None
    assert (x.grad.abs().sum(-1) > 0).all()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("attention", ["additive", "dot", "none"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "mingru", "transformer"])
def test_the_decoder_goes_on_from_its_state(cell: str, attention: str) -> None:
    """Step by step, each from the last state, gives what teacher forcing gives for the same prefix."""
    model = build(cell=cell, attention=attention, num_layers=2)
    batch = collate(pairs())
    wanted, looked = model(batch.x, batch.y, batch.lengths)
    memory = model.encode(batch.x, batch.lengths)
    reads, state = memory.begin, None
    for place in range(batch.y.shape[1]):
        logits, weights, state = model.decode(reads, memory, state)
        torch.testing.assert_close(logits[:, 0], wanted[:, place], rtol=0, atol=1e-10)
        if looked is not None:
            torch.testing.assert_close(weights[:, 0], looked[:, place], rtol=0, atol=1e-10)
        reads = model.symbols(batch.y[:, place])[:, None]


def test_additive_attention_by_hand() -> None:
    """Bahdanau et al. 2015, eq. 6, one score at a time."""
    torch.manual_seed(0)
    module = Additive(4, 5, 3).double()
    q, m = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(2, 6, 5, dtype=torch.float64)
    lengths = (6, 2)
    hidden = padding(torch.tensor(lengths), 6)
    context, weights = module(q, module.keys(m), m, hidden)
    for b, length in enumerate(lengths):
        for u in range(3):
            terms = []
            for s in range(length):
                inner = module.query.weight @ q[b, u] + module.memory.weight @ m[b, s] + module.memory.bias
                terms.append(math.exp((module.score.weight[0] @ torch.tanh(inner)).item()))
            alpha = torch.tensor(terms, dtype=torch.float64) / sum(terms)
            torch.testing.assert_close(weights[b, u, :length], alpha, rtol=0, atol=1e-12)
            torch.testing.assert_close(context[b, u], alpha @ m[b, :length], rtol=0, atol=1e-12)


def test_dot_attention_is_torchs() -> None:
    torch.manual_seed(0)
    module = ScaledDot(4, 5, 3).double()
    q, m = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(2, 6, 5, dtype=torch.float64)
    hidden = padding(torch.tensor([6, 2]), 6)
    wanted = F.scaled_dot_product_attention(module.query(q), module.memory(m), m, attn_mask=~hidden[:, None])
    torch.testing.assert_close(module(q, module.keys(m), m, hidden)[0], wanted, rtol=0, atol=1e-12)
