"""Modified Kneser–Ney against a textbook version of dictionaries, and the rules of probability."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench.data.text import references
from rnnbench.data.text.references import FALLBACK, KneserNey

Gram = tuple[int, ...]


class Textbook:
    """Chen & Goodman 1999, one dictionary an order."""

    def __init__(self, text: list[int], symbols: int, order: int) -> None:
        grams = [[tuple(text[i : i + n]) for i in range(len(text) - n + 1)] for n in range(order + 1)]
        self.counts = [Counter(gram[1:] for gram in set(grams[n + 1])) for n in range(order)] + [Counter(grams[order])]
        self.symbols, self.order = symbols, order
        self.followers: list[dict[Gram, list[int]]] = [defaultdict(list) for _ in self.counts]
        for counts, followers in zip(self.counts, self.followers, strict=True):
            for gram, count in counts.items():
                followers[gram[:-1]].append(count)

    def discount(self, n: int, count: int) -> float:
        of = Counter(self.counts[n].values())
        r = min(count, 3)
        if not (r and of[r] and of[1]):
            return FALLBACK[r - 1] if r else 0.0
        discount = r - (r + 1) * of[1] / (of[1] + 2 * of[2]) * of[r + 1] / of[r]
        return discount if 0 < discount <= r else FALLBACK[r - 1]

    def p(self, symbol: int, context: Gram) -> float:
        n = len(context) + 1
        shorter = self.p(symbol, context[1:]) if context else 1 / self.symbols
        if not (followers := self.followers[n].get(context)):
            return shorter
        count = self.counts[n][(*context, symbol)]
        left = sum(self.discount(n, c) for c in followers)
        return (count - self.discount(n, count) + left * shorter) / sum(followers)


def fit(text: list[int] | np.ndarray, symbols: int, order: int) -> KneserNey:
    *_, model = itertools.islice(references.orders(text, symbols), order)
    return model


def distribution(model: KneserNey, context: Sequence[int], symbols: int) -> np.ndarray:
    """(V,) probabilities of the symbol that follows."""
    return 2 ** np.array([model.log2_probabilities([*context, symbol])[-1] for symbol in range(symbols)])


def draw(size: int, symbols: int, seed: int = 0) -> list[int]:
    """A text with some order in it: each symbol is often the last one's neighbour."""
    chance, out = random.Random(seed), [1]
    for _ in range(size - 1):
        out.append((out[-1] + 1) % symbols or 1 if chance.random() < 0.7 else chance.randrange(1, symbols))
    return out


texts = st.integers(2, 7).flatmap(
    lambda symbols: st.tuples(
        st.just(symbols),
        st.lists(st.integers(1, symbols - 1), min_size=1, max_size=60),  # 0, the unknown symbol, never occurs
        st.lists(st.integers(0, symbols - 1), max_size=6),
    )
)


@settings(max_examples=60, deadline=None)
@given(texts, st.integers(1, 5))
def test_probabilities_sum_to_one_in_any_context_and_none_is_zero(
    case: tuple[int, list[int], list[int]], order: int
) -> None:
    symbols, text, context = case
    model = fit(text, symbols, order)
    p = distribution(model, context, symbols)
    assert p.shape == (symbols,)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert (p > 0).all()


@settings(max_examples=60, deadline=None)
@given(texts, st.integers(1, 4))
def test_it_is_the_textbook_s_model(case: tuple[int, list[int], list[int]], order: int) -> None:
    symbols, text, other = case
    check(symbols, text, text + other, min(order, len(text)))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_it_is_the_textbook_s_model_where_every_discount_is_estimated(order: int) -> None:
    check(12, draw(3000, 12), [0, *draw(150, 12, seed=1), 0, 3], order)


def check(symbols: int, text: list[int], scored: list[int], order: int) -> None:
    model, textbook = fit(text, symbols, order), Textbook(text, symbols, order)
    contexts = [tuple(scored[max(0, i - order + 1) : i]) for i in range(len(scored))]
    wanted = [math.log2(textbook.p(s, context)) for s, context in zip(scored, contexts, strict=True)]
    np.testing.assert_allclose(model.log2_probabilities(scored), wanted, rtol=0, atol=1e-10)
    for context in contexts[-8:]:
        wanted = [textbook.p(symbol, context) for symbol in range(symbols)]
        np.testing.assert_allclose(distribution(model, context, symbols), wanted, rtol=0, atol=1e-12)


def test_a_symbol_is_scored_by_what_is_before_it_alone() -> None:
    model = fit(draw(2000, 9), 9, 4)
    text = draw(100, 9, seed=1)
    scores = model.log2_probabilities(text)
    np.testing.assert_array_equal(model.log2_probabilities(text[:50] + text[:50])[:50], scores[:50])
    for at in (0, 1, 2, 40):
        assert scores[at] == pytest.approx(math.log2(distribution(model, text[:at], 9)[text[at]]), abs=1e-12)


def test_any_vocabulary_and_order_fit_the_keys() -> None:
    symbols = 100_000  # 10^50 ten-grams
    text = [random.Random(0).randrange(symbols) for _ in range(500)]
    model = fit(text, symbols, 10)
    assert model.order == 10
    # every ten-gram is one of a kind, and so is its beginning: the text is known by heart
    assert model.log2_probabilities(text)[10:].min() > -1.5
    every = np.concatenate([np.tile(text[:9], (symbols, 1)), np.arange(symbols)[:, None]], axis=1)
    assert (2 ** model.log2_probabilities(every.ravel())[9::10]).sum() == pytest.approx(1, abs=1e-9)


def test_more_text_of_the_same_kind_predicts_better() -> None:
    test = np.array(draw(2000, 20, seed=9))
    bits = [references.bits_per_symbol(fit(draw(n, 20), 20, 3), test) for n in (100, 1000, 10_000, 100_000)]
    assert bits == sorted(bits, reverse=True)
    # the source's own entropy, in bits: 0.7 for the neighbour and the rest evenly over 19
    entropy = -(0.7 + 0.3 / 19) * math.log2(0.7 + 0.3 / 19) - 18 * 0.3 / 19 * math.log2(0.3 / 19)
    assert entropy < bits[-1] + 0.05
    assert bits[-1] < entropy + 0.05


def test_the_order_is_the_one_before_val_gets_worse() -> None:
    train, val = np.array(draw(3000, 8)), np.array(draw(400, 8, seed=5))
    model, by_order = references.chosen(train, val, 8)
    assert all(by_order[n] == references.bits_per_symbol(fit(train, 8, n), val) for n in by_order)
    values = list(by_order.values())
    assert model.order == len(values) - 1 == 2  # the text looks one symbol back
    assert all(after < before for before, after in itertools.pairwise(values[:-1]))
    assert values[-1] >= values[-2]


def test_the_order_has_a_highest(monkeypatch: pytest.MonkeyPatch) -> None:
    repeated = np.tile(np.random.default_rng(0).integers(1, 5, 300), 6)  # takes five symbols or so to know the place
    assert references.chosen(repeated, repeated[:200], 5)[0].order > 3
    monkeypatch.setattr(references, "HIGHEST", 3)
    assert references.chosen(repeated, repeated[:200], 5)[0].order == 3


def test_a_parts_first_symbol_is_not_scored() -> None:
    text = np.random.default_rng(0).integers(1, 5, 400)
    model = fit(text[:300], 6, 3)
    part = np.append(0, text[300:])  # the first one is unknown to the model, and would cost a lot
    by_hand = [-np.log2(distribution(model, part[:at], 6)[part[at]]) for at in range(1, len(part))]
    assert references.bits_per_symbol(model, part) == pytest.approx(float(np.mean(by_hand)))


def test_of_orders_that_are_as_good_the_shorter_is_taken() -> None:
    """After symbols that were never seen a longer context says nothing: from order 2 on, which counts continuations,
    every order gives them the same.
    """
    model, by_order = references.chosen(np.array([1, 1, 1, 1, 1]), np.array([2, 2, 2, 2]), 4)
    assert model.order == 2
    assert list(by_order) == [1, 2, 3]
    assert by_order[1] > by_order[2] == by_order[3]
