"""Greedy and beam search, against the same written out simply and against trying everything."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Task
from rnnbench.models import EncoderDecoder, build
from rnnbench.models.decoding import END, Written, described, search


def random_model(seed: int, symbols: int, cell: str = "gru", attention: str = "dot") -> EncoderDecoder:
    """Untrained, with logits far enough apart that hypotheses differ."""
    torch.manual_seed(seed)
    task = Task("seq2seq", "tokens", "symbols", 6, symbols)
    config = ModelConfig(hidden_size=8, attention=attention)  # type: ignore[arg-type]
    model = build(task, CellConfig(cell), config).double().eval()
    assert isinstance(model, EncoderDecoder)
    with torch.no_grad():
        model.readout.weight *= 6
    return model


def score(model: EncoderDecoder, x: Tensor, symbols: list[int]) -> float:
    """Mean log-probability of these symbols of one source (S,), by teacher forcing."""
    y = torch.tensor([symbols])
    with torch.no_grad():
        logits, _ = model(x[None], y)
    return float(logits.log_softmax(-1)[0, range(len(symbols)), symbols].mean())


def greedy(model: EncoderDecoder, x: Tensor, limit: int) -> list[int]:
    """The likeliest symbol each time, the model run anew over the whole prefix."""
    written: list[int] = []
    while len(written) < limit and END not in written:
        with torch.no_grad():
            logits, _ = model(x[None], torch.tensor([[*written, 0]]))
        written.append(int(logits[0, -1].argmax()))
    return written


SOURCES = torch.randint(6, (5, 7), generator=torch.Generator().manual_seed(0))
LENGTHS = torch.tensor([7, 1, 4, 6, 2])


@pytest.mark.parametrize("cell", ["lstm", "mingru", "transformer"])
def test_beam_one_is_greedy(cell: str) -> None:
    """A batch of padded sources, each with what it gets alone, its own limit of 2 S + 20 included."""
    lengths_found = set()
    for seed in range(4):
        model = random_model(seed, 5, cell)
        for x, length, found in zip(SOURCES, LENGTHS.tolist(), search(model, SOURCES, LENGTHS), strict=True):
            assert found.symbols == greedy(model, x[:length], 2 * length + 20)
            assert found.score == pytest.approx(score(model, x[:length], found.symbols), abs=1e-10)
            lengths_found.add((found.symbols[-1] == END, len(found.symbols) == 2 * length + 20))
    assert (True, False) in lengths_found


@pytest.mark.parametrize("beam", [2, 3, 8])
def test_a_beam_is_no_worse_than_greedy(beam: int) -> None:
    """Under what both are judged by; often it is better; and a sample's neighbours do not matter."""
    better = 0
    for seed in range(8):
        model = random_model(seed, 4)
        plain, wide = search(model, SOURCES, LENGTHS, limit=12), search(model, SOURCES, LENGTHS, beam, limit=12)
        for row, (one, other) in enumerate(zip(plain, wide, strict=True)):
            x = SOURCES[row, : LENGTHS[row]]
            assert other.score >= one.score
            assert other.score == pytest.approx(score(model, x, other.symbols), abs=1e-10)
            assert search(model, x[None], beam=beam, limit=12)[0].symbols == other.symbols
            better += other.score > one.score
    assert better


def test_a_beam_that_holds_everything_finds_the_best() -> None:
    """All that can be written with three symbols and a limit of 4, scored one by one."""
    symbols, limit = 3, 4
    going = [one for one in range(symbols) if one != END]
    ended = [[*body, END] for n in range(limit) for body in itertools.product(going, repeat=n)]
    cut = [list(body) for body in itertools.product(going, repeat=limit)]
    for seed in range(6):
        model = random_model(seed, symbols)
        best = max(ended + cut, key=lambda one: score(model, SOURCES[0], one))
        (found,) = search(model, SOURCES[:1], beam=64, limit=limit)
        assert found.symbols == best


def test_nothing_comes_of_weights_that_are_nan() -> None:
    model = random_model(0, 4)
    with torch.no_grad():
        model.readout.bias.fill_(torch.nan)
    assert [one.symbols for one in search(model, SOURCES, beam=2)] == [[]] * 5


@pytest.mark.parametrize("attention", ["dot", "none"])
def test_what_is_told(attention: str) -> None:
    from rnnbench.data.seq2seq.pairs import Targets

    model, targets = random_model(0, 5, attention=attention), Targets.of("abc")
    found = described(model, SOURCES[0], Written([2, 3, 0], -0.5), targets)
    assert (found["decoded"], found["score"]) == ("ab", -0.5)
    assert ("attention" in found) == (attention == "dot")
    assert "attention" not in described(model, SOURCES[0, :1], Written([2, 0], -0.5), targets)
    if attention == "dot":
        assert [len(row) for row in found["attention"]] == [7] * 3
        assert sum(found["attention"][1]) == pytest.approx(1.0, abs=0.01)
