"""Each task's definition by a reference made by hand, and its closed forms by enumeration or by many draws."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from rnnbench.config import DataConfig
from rnnbench.data.load import load
from rnnbench.data.synthetic.adding import AddingData
from rnnbench.data.synthetic.drawn import DrawnData
from rnnbench.data.synthetic.formal_languages import CLOSE, OPEN, DyckData, distribution, prefix_values
from rnnbench.data.task import Batch, Task
from rnnbench.training.metrics import metric_for


def drawn(name: str, seq_len: int, items: int | None = None, count: int = 500) -> tuple[DrawnData, Batch]:
    source = load(DataConfig(name=name, seq_len=seq_len, batch_size=count, items=items))
    assert isinstance(source, DrawnData)
    return source, source.train_batch(0)


def texts(source: DrawnData, batch: Batch) -> list[list[str]]:
    lengths = batch.lengths.tolist() if batch.lengths is not None else [batch.x.shape[1]] * len(batch.x)
    return [[source.symbols[i] for i in row[:size]] for row, size in zip(batch.x.tolist(), lengths, strict=True)]


def scored(task: Task, batch: Batch, chances: Tensor) -> dict[str, float]:
    """What the metric says of a guesser that gives every answer's log-probability, broadcast over the targets."""
    metric = metric_for(task)
    metric.update(chances.log().expand(*batch.y.shape, -1).float(), batch)
    return {name: float(value) for name, value in metric.compute().items()}


def close(share: float, expected: float, answers: int) -> bool:
    """Within four standard errors of a share."""
    return abs(share - expected) < 4 * math.sqrt(0.25 / answers)


def test_copy_repeats_its_beginning_at_its_end() -> None:
    source, batch = drawn("copy", 4, 3)
    for x, y, counts in zip(texts(source, batch), batch.y.tolist(), batch.scored.tolist(), strict=True):  # type: ignore[union-attr]
        assert x[3:] == ["_"] * 3 + [">"] + ["_"] * 3
        assert [source.answers[i] for i in y] == ["_"] * 7 + x[:3]
        assert counts == [False] * 7 + [True] * 3
    assert batch.mask is None  # the loss is over all steps


def test_the_blind_guess_of_copying() -> None:
    source, batch = drawn("copy", 20, 10, 2000)
    chances = torch.zeros(40, 9)
    chances[:30, 8] = 1
    chances[30:, :8] = 1 / 8
    scores, references = scored(source.task, batch, chances), source.references()
    assert scores["nll"] == pytest.approx(references["guess_nll"]) == pytest.approx(10 * math.log(8) / 40)
    assert close(scores["error"], references["guess_error"], 20_000)


def test_selective_copy_keeps_what_is_no_blank() -> None:
    source, batch = drawn("selective_copy", 9, 4)
    assert batch.mask is not None
    for x, y, counts in zip(texts(source, batch), batch.y.tolist(), batch.mask.tolist(), strict=True):
        assert x[9:] == [">"] * 4
        assert [source.answers[i] for i in y[9:]] == [symbol for symbol in x[:9] if symbol != "_"]
        assert counts == [False] * 9 + [True] * 4
    places = Counter(tuple(row.nonzero()[:, 0].tolist()) for row in drawn("selective_copy", 4, 2, 6000)[1].x[:, :4] < 8)
    assert set(places) == set(itertools.combinations(range(4), 2))
    assert all(abs(count - 1000) < 150 for count in places.values())


def test_associative_recall_answers_each_key_with_its_value() -> None:
    source, batch = drawn("associative_recall", 15, 4)
    assert batch.mask is not None
    for x, y, counts in zip(texts(source, batch), batch.y.tolist(), batch.mask.tolist(), strict=True):
        pairs = dict(zip(x[:8:2], x[1:8:2], strict=True))
        assert len(pairs) == 4
        asked = [t for t in range(8, 15) if x[t] != "_"]
        assert [t for t in range(15) if counts[t]] == asked
        assert asked[-1] == 14
        assert sorted(x[t] for t in asked) == sorted(pairs)
        assert all(source.answers[y[t]] == pairs[x[t]] for t in asked)


def test_guessing_what_was_shown() -> None:
    source, batch = drawn("associative_recall", 12, 3, 20_000)
    assert batch.mask is not None
    shown = (batch.x[:, 1] - 16)[:, None].expand(-1, 3)  # the first pair's value, to every query
    wrong = float((batch.y[batch.mask].reshape(-1, 3) != shown).float().mean())
    assert close(wrong, source.references()["shown_error"], 20_000)


def test_parity_is_the_last_bit_of_the_count() -> None:
    source, batch = drawn("parity", 9)
    rows = texts(source, batch)
    assert batch.y.tolist() == [row.count("1") % 2 for row in rows]
    assert {len(row) for row in rows} == set(range(1, 10))
    assert batch.lengths is not None
    assert not batch.x[torch.arange(9) >= batch.lengths[:, None]].any()  # padding shows nothing


@pytest.mark.parametrize("name", ["parity", "dyck", "selective_copy", "associative_recall"])
def test_knowing_nothing_costs_what_it_says(name: str) -> None:
    source, batch = drawn(name, 24, count=3000)
    scores = scored(source.task, batch, torch.full((source.task.output_size,), 1 / source.task.output_size))
    assert scores["nll"] == pytest.approx(source.references()["guess_nll"])
    assert close(scores["error"], source.references()["guess_error"], 3000)


@pytest.mark.parametrize("modulus", [5, 6])
def test_expressions_have_the_value_that_python_gives_them(modulus: int) -> None:
    source, batch = drawn("modular_arithmetic", 12, modulus)
    rows = texts(source, batch)
    assert batch.y.tolist() == [eval("".join(row).replace("·", "*")) % modulus for row in rows]
    assert {len(row) for row in rows} == {1, 3, 5, 7, 9, 11}


@pytest.mark.parametrize("modulus", [2, 4, 5])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_distribution_of_values_by_enumeration(modulus: int, size: int) -> None:
    numbers = torch.tensor(list(itertools.product(range(modulus), repeat=size)))
    signs = torch.tensor(list(itertools.product(range(3), repeat=size - 1))).reshape(3 ** (size - 1), size - 1)
    every = prefix_values(numbers.repeat_interleave(len(signs), 0), signs.repeat(len(numbers), 1), modulus)[:, -1]
    expected = every.bincount(minlength=modulus) / len(every)
    torch.testing.assert_close(distribution(size, modulus), expected.double(), atol=1e-7, rtol=0)


@pytest.mark.parametrize("modulus", [2, 3, 5, 7])
def test_the_distribution_of_values_is_the_docstrings_for_primes(modulus: int) -> None:
    phi = [1.0]
    for n in range(1, 9):
        chance = [(1 / 3) ** (j - 1) * (2 / 3 if j < n else 1) for j in range(1, n + 1)]
        phi.append(sum(p * (1 - (1 - 1 / modulus) ** j) * phi[n - 1 - j] for j, p in enumerate(chance)))
        zero = 1 - (1 - 1 / modulus) * (1 - phi[n])
        expected = [zero] + [(1 - zero) / (modulus - 1)] * (modulus - 1)
        assert distribution(n, modulus).tolist() == pytest.approx(expected, abs=1e-12)


def test_guessing_the_value_costs_what_it_says() -> None:
    source, _ = drawn("modular_arithmetic", 5)
    batch = source.draw(20_000, 5, torch.Generator().manual_seed(0), varied=False)
    scores, references = scored(source.task, batch, distribution(3, 5)), source.references()
    assert close(scores["error"], references["guess_error"], 20_000)
    assert abs(scores["nll"] - references["guess_nll"]) < 0.005
    assert references["guess_error"] < 0.77  # below the 0.8 of a uniform guess: products run into 0


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_brackets_nest_and_the_answer_is_the_innermost_open_one(depth: int) -> None:
    source, batch = drawn("dyck", 30, depth)
    assert batch.mask is not None
    deepest = 0
    for x, y, counts in zip(texts(source, batch), batch.y.tolist(), batch.mask.tolist(), strict=True):
        stack: list[str] = []
        for t, symbol in enumerate(x):
            if symbol in OPEN:
                stack.append(CLOSE[OPEN.index(symbol)])
            else:
                assert stack.pop() == symbol
            assert len(stack) <= depth
            deepest = max(deepest, len(stack))
            assert counts[t] == bool(stack)
            if stack:
                assert source.answers[y[t]] == stack[-1]
    assert deepest == depth


def test_brackets_open_and_close_with_equal_probability_where_both_can_be() -> None:
    _, batch = drawn("dyck", 40, 3, 2000)
    opens = batch.x < 4
    depth = (2 * opens.long() - 1).cumsum(1)
    free = (depth[:, :-1] > 0) & (depth[:, :-1] < 3)
    assert close(float(opens[:, 1:][free].float().mean()), 0.5, int(free.sum()))
    assert opens[:, 1:][depth[:, :-1] == 0].all()
    assert not opens[:, 1:][depth[:, :-1] == 3].any()


@pytest.mark.parametrize(("seq_len", "depth"), [(1, 4), (5, 1), (24, 3)])
def test_closing_what_was_opened_last(seq_len: int, depth: int) -> None:
    source, batch = drawn("dyck", seq_len, depth, 4000)
    assert isinstance(source, DyckData)
    assert batch.mask is not None
    opens = batch.x < 4
    time = torch.where(opens, torch.arange(seq_len), 0).cummax(1).values
    last = batch.x.gather(1, time)
    wrong = float((last != batch.y)[batch.mask].float().mean())
    share = float((~opens)[batch.mask].float().mean())
    assert close(share, source.closings(), 4000)
    assert close(wrong, source.references()["last_opened_error"], 4000)


@pytest.mark.parametrize("name", ["copy", "selective_copy", "associative_recall", "dyck"])
def test_what_has_an_answer_at_each_step_is_not_to_be_read_backwards(name: str) -> None:
    assert drawn(name, 24)[0].task.causal


def adding(seq_len: int, batch_size: int) -> AddingData:
    return AddingData(DataConfig(name="adding", seq_len=seq_len, batch_size=batch_size))


@pytest.mark.parametrize("seq_len", [2, 3, 10, 101])
def test_one_marker_a_half_and_the_target_is_the_marked_sum(seq_len: int) -> None:
    batch = adding(seq_len, batch_size=2000).train_batch(0)
    value, marker = batch.x.unbind(-1)
    half = seq_len // 2
    assert batch.x.shape == (2000, seq_len, 2)
    assert batch.x.dtype == batch.y.dtype == torch.float32
    assert set(marker.flatten().tolist()) <= {0.0, 1.0}
    assert (marker[:, :half].sum(1) == 1).all()
    assert (marker[:, half:].sum(1) == 1).all()
    assert marker.any(0).all()  # every place is drawn
    assert float(value.min()) >= 0
    assert float(value.max()) < 1
    torch.testing.assert_close(batch.y[:, 0], (value * marker).sum(1))


def test_guessing_one_costs_a_sixth() -> None:
    data = adding(seq_len=4, batch_size=200_000)
    error = (data.train_batch(0).y - 1).double().square()
    standard_error = float(error.std()) / 200_000**0.5
    assert abs(float(error.mean()) - data.references()["guess_mse"]) < 4 * standard_error
    assert standard_error < 0.001  # so the misprint 0.1767 is well outside
