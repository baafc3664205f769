"""Labelled sequences: padding, order, splits, baselines, and that nothing of test reaches train."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import cast

import numpy as np
import pytest
import torch

from rnnbench.config import CellConfig, DataConfig, ModelConfig
from rnnbench.data.classification.baselines import guesses
from rnnbench.data.classification.labelled import Labelled, LabelledData, stratified
from rnnbench.data.source import Part
from rnnbench.data.task import Batch
from rnnbench.data.text.vocabulary import Vocabulary
from rnnbench.errors import UserError
from rnnbench.models.build import build

CONFIG = DataConfig(name="gunpoint", seq_len=9, batch_size=4)
WORDS = Vocabulary.of("abc")


def numbers(count: int, seed: int, lengths: tuple[int, ...] = (3, 5, 9, 9)) -> Labelled:
    random = np.random.default_rng(seed)
    x = [random.normal(7, 3, (lengths[index % len(lengths)], 2)).astype(np.float32) for index in range(count)]
    return Labelled(x, np.arange(count) % 3)


def letters(count: int, seed: int) -> Labelled:
    random = np.random.default_rng(seed)
    x = [random.integers(0, 4, 2 + index % 8) for index in range(count)]
    x[0] = random.integers(0, 4, 9)
    return Labelled(x, np.arange(count) % 3)


def labelled(
    parts: dict[Part, Labelled], seed: int = 0, data: DataConfig = CONFIG, symbols: bool = False
) -> LabelledData:
    class Plain(LabelledData):
        @classmethod
        def load(cls, data: DataConfig, seed: int = 0) -> Plain:
            raise AssertionError("these tests hand over the sequences themselves")

    return Plain(parts, ["x", "y", "z"], data, seed, vocabulary=WORDS if symbols else None)


def three(kind=numbers) -> dict[Part, Labelled]:
    return {"train": kind(22, 1), "val": kind(7, 2), "test": kind(11, 3)}


def rows(batch: Batch) -> list[tuple[bytes, int]]:
    """Each sequence of a batch, without its padding, and its label."""
    lengths = torch.full((len(batch.x),), batch.x.shape[1]) if batch.lengths is None else batch.lengths
    return [(batch.x[row, :length].numpy().tobytes(), int(batch.y[row])) for row, length in enumerate(lengths.tolist())]


@pytest.mark.parametrize("symbols", [False, True])
def test_an_evaluation_hands_out_every_sequence_once_and_pads_with_zeros(symbols: bool) -> None:
    parts = three(letters if symbols else numbers)
    data = labelled(parts, symbols=symbols)
    known = np.concatenate(parts["train"].x)
    mean, std = (0, 1) if symbols else (known.mean(0), known.std(0))
    batches = list(data.evaluation("test"))
    assert sum(len(batch.y) for batch in batches) == 11
    rows_seen = []
    for batch in batches:
        assert batch.mask is None  # every sequence has a label: none is padding
        assert batch.lengths is not None
        assert batch.x.shape[1] == batch.lengths.max()
        for row, length in enumerate(batch.lengths.tolist()):
            assert (batch.x[row, length:] == 0).all()
            rows_seen.append((batch.x[row, :length].numpy() * std + mean, int(batch.y[row])))
    wanted = list(zip(parts["test"].x, parts["test"].y.tolist(), strict=True))
    for x, y in wanted:
        assert sum(a.shape == x.shape and np.allclose(a, x, atol=1e-4) and b == y for a, b in rows_seen) == 1


@pytest.mark.parametrize("symbols", [False, True])
@pytest.mark.parametrize("length", [3, 4, 8])
def test_a_probe_shows_the_ends_of_longer_sequences(symbols: bool, length: int) -> None:
    """There the label is asked for in training."""
    data = labelled(three(letters if symbols else numbers), symbols=symbols)
    whole = [row for batch in data.evaluation("val") for row in rows(batch)]
    for end, label in rows(data.probe_batch(length, 2)):
        assert sum(y == label and len(x) >= len(end) and x.endswith(end) for x, y in whole) >= 1


def test_an_epoch_hands_out_each_training_sequence_at_most_once_in_an_order_of_its_own() -> None:
    data = labelled(three())
    assert data.steps_per_epoch == 5
    epochs = [[row for step in range(5) for row in rows(data.train_batch(epoch * 5 + step))] for epoch in range(2)]
    assert all(len(set(epoch)) == 20 for epoch in epochs)
    assert epochs[0] != epochs[1]
    again = labelled(three())
    again.train_batch(7)  # whatever came before
    assert rows(again.train_batch(0)) == epochs[0][:4]
    assert rows(labelled(three(), seed=1).train_batch(0)) != epochs[0][:4]


def test_fewer_sequences_than_a_batch_holds_are_shown_again() -> None:
    data = labelled(three(), data=dataclasses.replace(CONFIG, batch_size=30))
    assert len(set(rows(data.train_batch(0)))) == 22
    assert len(data.train_batch(0).y) == 30


def test_equally_long_sequences_need_no_lengths() -> None:
    parts: dict[Part, Labelled] = {part: numbers(8, seed, (9,)) for seed, part in enumerate(("train", "val", "test"))}
    batch = labelled(parts).train_batch(0)
    assert batch.lengths is None
    assert batch.x.shape == (4, 9, 2)


@pytest.mark.parametrize("symbols", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_changes_no_answer(symbols: bool, bidirectional: bool) -> None:
    data = labelled(three(letters if symbols else numbers), symbols=symbols)
    torch.manual_seed(0)
    config = ModelConfig(hidden_size=5, bidirectional=bidirectional)
    model = build(data.task, CellConfig("gru"), config).double()
    (batch,) = data.evaluation("test")
    assert batch.lengths is not None
    x = batch.x if symbols else batch.x.double()
    together = model.predict(batch._replace(x=x))[0]
    for row, length in enumerate(batch.lengths.tolist()):
        alone = model.predict(Batch(x[row : row + 1, :length], batch.y[row : row + 1]))[0]
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("symbols", [False, True])
def test_nothing_of_a_later_part_reaches_train_or_val(symbols: bool) -> None:
    kind = letters if symbols else numbers
    data = labelled(three(kind), symbols=symbols)
    changed = kind(13, 8).x if symbols else [9 - one for one in kind(13, 8).x]
    other = labelled(three(kind) | {"test": Labelled(changed, np.zeros(13, np.int64))}, symbols=symbols)
    for step in range(12):
        assert rows(data.train_batch(step)) == rows(other.train_batch(step))
    for one, two in zip(data.evaluation("val"), other.evaluation("val"), strict=True):
        assert rows(one) == rows(two)
    assert data.fingerprint != other.fingerprint
    without_val = labelled(three(kind) | {"val": kind(5, 9)}, symbols=symbols)
    assert rows(without_val.train_batch(3)) == rows(data.train_batch(3))


def test_the_scale_is_the_training_parts() -> None:
    parts = three()
    facts, whole = labelled(parts).facts(), np.concatenate(parts["train"].x)
    assert facts["train_mean"] == pytest.approx(whole.mean(0).tolist(), rel=1e-5)
    assert facts["train_std"] == pytest.approx(whole.std(0).tolist(), rel=1e-5)


def test_a_constant_channel_stays_finite() -> None:
    parts = {part: Labelled([np.hstack((one, np.full((len(one), 1), 0.1, np.float32))) for one in those.x], those.y)
             for part, those in three().items()}  # fmt: skip
    x = labelled(cast(dict[Part, Labelled], parts)).train_batch(0).x
    assert x.isfinite().all()
    assert (x[..., 2] == 0).all()


def test_a_limit_takes_some_sequences_evenly() -> None:
    data = labelled(three())
    assert sum(len(batch.y) for batch in data.evaluation("test", limit=9 * 4)) == 4
    assert sum(len(batch.y) for batch in data.evaluation("test", limit=1)) == 1
    assert sum(len(batch.y) for batch in data.evaluation("train")) == 11  # as many as test


def test_longer_sequences_are_cut_and_the_probe_has_one_length() -> None:
    data = labelled(three(), data=dataclasses.replace(CONFIG, seq_len=4))
    assert max(batch.x.shape[1] for batch in data.evaluation("test")) == 4
    data = labelled(three())  # val has lengths 3 5 9 9 3 5 9
    assert data.probe_batch(256, 3).x.shape == (3, 9, 2)
    assert data.probe_batch(256, 5).x.shape == (5, 5, 2)
    assert data.probe_batch(4, 2).x.shape == (2, 4, 2)
    assert data.probe_batch(256, 50).x.shape == (7, 3, 2)
    assert data.probe_batch(4, 2).lengths is None
    with pytest.raises(UserError, match=r"longest sequence of 'gunpoint' has 9 steps, and data\.seq_len is 10"):
        labelled(three(), data=dataclasses.replace(CONFIG, seq_len=10))


def test_guesses_by_hand() -> None:
    scores = guesses(torch.tensor([5, 1, 0]), torch.tensor([0, 1, 1, 2]))  # the commonest of train, not of test
    assert scores["majority_error"] == 0.75
    assert scores["prior_nll"] == pytest.approx(-(math.log(6 / 9) + 2 * math.log(2 / 9) + math.log(1 / 9)) / 4)


@pytest.mark.parametrize("symbols", [False, True])
def test_the_regression_finds_what_a_sequence_shows(symbols: bool) -> None:
    """The class is the last value's sign, or a pair of letters in the one order or the other."""
    parts: dict[Part, Labelled] = {}
    for seed, part in enumerate(("train", "val", "test")):
        those = (letters if symbols else numbers)(300, seed)
        y = np.random.default_rng(seed).integers(0, 2, 300)
        for one, label in zip(those.x, y, strict=True):
            one[-2:] = ((1, 2), (2, 1))[label] if symbols else 7 + (2 * label - 1)
            one[:-2] = one[:-2] if not symbols else 3
        parts[cast(Part, part)] = Labelled(those.x, y)
    data = labelled(parts, symbols=symbols)
    scores = data.references()
    assert set(scores) == {"majority_error", "prior_nll", "logistic_error"}
    assert scores["logistic_error"] < 0.05
    assert scores["majority_error"] > 0.4
    assert scores["prior_nll"] == pytest.approx(math.log(2), abs=0.02)


def test_facts_are_plain() -> None:
    facts = labelled(three(letters), symbols=True).facts()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["sequences"] == {"train": 22, "val": 7, "test": 11}
    assert facts["classes"] == {"x": 8, "y": 7, "z": 7}


def test_a_stratified_split_is_disjoint_complete_and_fair() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 400)
    groups = stratified(labels, (0.7, 0.1), "a name")
    assert sorted(np.concatenate(groups).tolist()) == list(range(400))
    for label in range(3):
        count = (labels == label).sum()
        for group, share in zip(groups, (0.7, 0.1, 0.2), strict=True):
            assert abs((labels[group] == label).sum() - share * count) <= 1
    assert all((a == b).all() for a, b in zip(groups, stratified(labels, (0.7, 0.1), "a name"), strict=True))
    assert not np.array_equal(groups[0], stratified(labels, (0.7, 0.1), "another")[0])
