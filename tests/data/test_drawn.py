"""What all drawn tasks obey: pure batches, parts that no seed touches, limits, lengths, and refusals."""

from __future__ import annotations

import pytest
import torch
from support.batches import same

from rnnbench.catalog import DATA_SETS
from rnnbench.config import DataConfig, ModelConfig
from rnnbench.data.load import load
from rnnbench.data.source import Batches
from rnnbench.data.synthetic.drawn import DrawnData
from rnnbench.data.task import Batch
from rnnbench.errors import UserError
from rnnbench.models.loss import loss
from rnnbench.training.metrics import PRIMARY_METRIC, metric_for
from rnnbench.training.sequence_module import SequenceModule

NAMES = [item.name for item in DATA_SETS.values() if item.source.startswith("rnnbench.data.synthetic.")]
every_task = pytest.mark.parametrize("name", NAMES)


def drawn(name: str, seq_len: int = 15, batch_size: int = 32, seed: int = 0, items: int | None = None) -> DrawnData:
    source = load(DataConfig(name=name, seq_len=seq_len, batch_size=batch_size, items=items), seed)
    assert isinstance(source, DrawnData)
    return source


def joined(batches: Batches) -> Batch:
    whole = [
        torch.cat(items) if isinstance(items[0], torch.Tensor) else items[0] for items in zip(*batches, strict=True)
    ]
    return Batch(*whole)


@every_task
def test_parts_are_fixed_and_differ(name: str) -> None:
    parts = {}
    for part in ("val", "test", "train"):
        one, two = (joined(drawn(name, seed=seed).evaluation(part)) for seed in (0, 1))
        assert same(one, two)
        assert len(one.x) == 1000
        parts[part] = one
    assert not same(parts["val"], parts["test"])
    long = {suffix: joined(batches) for suffix, batches in drawn(name, seed=0).longer().items()}
    again = {suffix: joined(batches) for suffix, batches in drawn(name, seed=1).longer().items()}
    assert list(long) == ["_x2", "_x4", "_x16"]
    assert all(same(long[suffix], again[suffix]) for suffix in long)
    assert same(drawn(name, seed=0).probe_batch(99, 3), drawn(name, seed=1).probe_batch(99, 3))


@every_task
def test_val_and_test_have_the_full_length_and_longer_ones_a_multiple(name: str) -> None:
    data = drawn(name)
    width = data.steps(15)
    assert joined(data.evaluation("test")).x.shape[1] == joined(data.evaluation("val")).x.shape[1] == width
    for times, batches in zip((2, 4, 16), data.longer().values(), strict=True):
        batch = joined(batches)
        assert batch.x.shape[1] == data.steps(times * 15)
        assert batch.lengths is None
        assert len(batch.x) == 200


@every_task
@pytest.mark.parametrize(("asked", "length"), [(2, 15), (15, 15), (99, 99), (256, 256)])
def test_a_probe_is_as_long_as_asked_for_and_at_least_as_what_is_learned(name: str, asked: int, length: int) -> None:
    """How far a gradient reaches is asked of more steps than a short task has."""
    data = drawn(name)
    batch = data.probe_batch(asked, 6)
    assert batch.x.shape[:2] == (6, data.steps(length) + (name == "dyck" and length % 2 == 0))
    assert batch.lengths is None
    assert same(batch, drawn(name, seq_len=length).probe_batch(2, 6)), "the sequences of a task of that length"


@every_task
@pytest.mark.parametrize("asked", [2, 64, 65])
def test_the_last_step_of_a_probe_is_scored(name: str, asked: int) -> None:
    """Else what is measured is how far back a loss reaches that no training lowers."""
    batch = drawn(name).probe_batch(asked, 64)
    assert batch.mask is None or bool(batch.mask[:, -1].all())


def test_the_last_step_of_a_probe_of_brackets_one_deep_is_scored() -> None:
    """None is open after any even number of steps."""
    mask = drawn("dyck", items=1).probe_batch(64, 8).mask
    assert mask is not None
    assert bool(mask[:, -1].all())


@pytest.mark.parametrize("name", ["copy", "selective_copy", "associative_recall"])
def test_longer_sequences_have_as_many_items(name: str) -> None:
    data = drawn(name, items=3)
    longer = [joined(batches) for batches in data.longer().values()]
    for batch in (joined(data.evaluation("val")), data.probe_batch(150, 6), data.probe_batch(2, 6), *longer):
        scored = batch.mask if batch.scored is None else batch.scored
        assert scored is not None
        assert scored.sum(1).unique().tolist() == [3]


@every_task
def test_of_very_long_sequences_there_are_fewer(name: str) -> None:
    sizes = [len(joined(batches).x) for batches in drawn(name, 900).longer().values()]
    assert 30 < sizes[0] < 40  # 65536 / 1800, or a little less
    assert sizes[0] // 2 - 1 <= sizes[1] <= sizes[0] // 2 + 1
    assert sizes[2] == 8


@every_task
@pytest.mark.parametrize("limit", [1, 25, 3330, 10**6])
def test_a_limit_takes_the_first_sequences(name: str, limit: int) -> None:
    data = drawn(name)
    whole, got = joined(data.evaluation("train")), joined(data.evaluation("train", limit=limit))
    count = min(1000, max(1, limit // data.steps(15)))
    assert len(got.x) == count
    assert same(got, whole.rows(slice(count)))


@every_task
def test_a_fingerprint_is_of_the_rule_its_length_and_its_items(name: str) -> None:
    prints = {drawn(other, seq_len).fingerprint for other in NAMES for seq_len in (15, 16)}
    assert len(prints) == 2 * len(NAMES)
    assert drawn(name, batch_size=3, seed=5).fingerprint == drawn(name).fingerprint
    default = drawn(name).default_items
    if default is None:
        with pytest.raises(UserError, match=r"data\.items 3 is nothing to"):
            drawn(name, items=3)
    else:
        assert drawn(name, items=3).fingerprint != drawn(name).fingerprint == drawn(name, items=default).fingerprint


@every_task
def test_a_model_learns_from_it_and_is_scored(name: str) -> None:
    """The shapes fit: a training loss, its gradient, and the primary metric of the longest test part."""
    data = drawn(name, batch_size=4)
    torch.manual_seed(0)
    module = SequenceModule(data.task, "gru", ModelConfig(hidden_size=4))
    batch = data.train_batch(0)
    value = loss(module(batch)[0], batch, data.task)
    value.backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in module.parameters())
    metric = metric_for(data.task)
    for part in data.longer()["_x16"]:
        metric.update(module(part)[0].detach(), part)
    assert 0 < float(metric.compute()[PRIMARY_METRIC[data.task.predicts]]) <= 2


@every_task
def test_what_is_scored_has_an_answer_and_the_sample_shows_it(name: str) -> None:
    data = drawn(name, batch_size=200)
    batch = data.train_batch(0)
    if data.task.reads == "tokens":
        assert int(batch.x.min()) >= 0
        assert int(batch.x.max()) < data.task.input_size == len(data.symbols)
        assert sorted(batch.y.unique().tolist()) == list(range(data.task.output_size))
        assert data.task.output_size == len(data.answers)
        shown = data.sample()
        assert len(shown["x"].split()) == data.steps(15)
        assert data.task.shape == "many_to_one" or len(shown["y"].split()) == data.steps(15)


@pytest.mark.parametrize(
    ("name", "seq_len", "items", "what"),
    [
        ("selective_copy", 3, 4, "data.seq_len 3 has no place for data.items 4"),
        ("associative_recall", 11, 4, "at least 12"),
        ("associative_recall", 100, 17, "17"),
        ("modular_arithmetic", 5, 1, "at least 2, got 1"),
        ("adding", 1, None, "at least 2, got 1"),
    ],
)
def test_what_cannot_be_is_refused(name: str, seq_len: int, items: int | None, what: str) -> None:
    with pytest.raises(UserError, match=what):
        drawn(name, seq_len, items=items)


@pytest.mark.parametrize(
    ("name", "seq_len", "items"),
    [("copy", 1, 1), ("selective_copy", 1, 1), ("associative_recall", 3, 1), ("parity", 1, None), ("dyck", 1, 1),
     ("modular_arithmetic", 1, 2), ("modular_arithmetic", 2, 2), ("associative_recall", 48, 16)],
)  # fmt: skip
def test_the_smallest_can_be_had(name: str, seq_len: int, items: int | None) -> None:
    data = drawn(name, seq_len, items=items)
    assert data.train_batch(0).x.shape == (32, data.steps(seq_len))
    assert all(value >= 0 for value in data.references().values())
