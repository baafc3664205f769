"""References by name and metric; what is not better than a baseline; the task families that are scored by them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from rnnbench.catalog import DATA_SETS, Kind
from rnnbench.report.references import NAMED, not_better, split_reference
from rnnbench.report.results import read
from rnnbench.report.tables.training import tables
from rnnbench.report.tables.writers import markdown
from rnnbench.report.task_families import TASK_FAMILIES
from rnnbench.training.metrics import PRIMARY_METRIC


def test_the_sentence() -> None:
    metrics = {"test/bpc": 2.007, "reference/unigram_bpc": 2.0, "reference/uniform_bpc": 1.9, "val/bpc": 1.0}
    said = not_better(TASK_FAMILIES["text"], metrics)
    assert said == "test bits per character 2.007 is worse than the baseline unigram (2.000)."
    assert not_better(TASK_FAMILIES["text"], metrics | {"test/bpc": 1.999}) is None
    equal = not_better(TASK_FAMILIES["text"], metrics | {"test/bpc": 2.0})
    assert equal == "test bits per character 2.000 is no better than the baseline unigram (2.000)."
    close = not_better(TASK_FAMILIES["text"], metrics | {"test/bpc": 2.00001})
    assert close == "test bits per character 2.00001 is worse than the baseline unigram (2)."
    series = {"test/mse": 1.2, "reference/mean_mse": 1.0, "reference/persistence_mse": 1.3, "reference/mean_mae": 0.1}
    series |= {"reference/seasonal_naive_mse": 0.5, "reference/ridge_mse": 0.1}
    said = not_better(TASK_FAMILIES["series"], series)
    assert said == (
        "test mean squared error 1.200 is worse than the baseline mean (1.000), "
        "worse than the baseline seasonal naive (0.5000)."
    )


@pytest.mark.parametrize("name", list(TASK_FAMILIES))
def test_every_kind_has_baselines(name: str) -> None:
    kind = TASK_FAMILIES[name]
    assert kind.baselines
    lines = {f"reference/{baseline}_{kind.primary.metric}": 0.5 for baseline in kind.baselines}
    said = not_better(kind, {kind.primary.key: 0.6, **lines})
    assert said.count("worse than the baseline") == len(kind.baselines)
    assert not_better(kind, {kind.primary.key: 0.4, **lines}) is None


@pytest.mark.parametrize("score", [None, math.nan, math.inf, "inf"])
def test_without_a_score_nothing_is_compared(score: float | str | None) -> None:
    assert not_better(TASK_FAMILIES["text"], {"test/bpc": score, "reference/unigram_bpc": 2.0}) is None
    assert not_better(TASK_FAMILIES["text"], {"reference/unigram_bpc": 2.0}) is None
    assert not_better(TASK_FAMILIES["text"], {"test/bpc": 2.0}) is None


def test_a_report_counts_them(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    for seed in range(3):
        text_run(tmp_path / "s", "gru", 64, seed, metrics={"test/bpc": 5.0 if seed else 2.0})
        text_run(tmp_path / "s", "lstm", 64, seed)
    text_run(tmp_path / "s", "gru", 64, 3, "diverged", metrics={"test/bpc": 9.0})
    said = "\n".join(markdown(table) for table in tables(read([tmp_path])))
    assert said.count("Not better than unigram: 2 of 6 runs, gru at T = 64.") == 1
    for length in range(NAMED + 1):
        text_run(tmp_path / "t", "gru", length + 1, 0, metrics={"test/bpc": 5.0})
    said = "\n".join(markdown(table) for table in tables(read([tmp_path / "t"])))
    assert "gru at T = 5 and 1 more." in said
    text_run(tmp_path / "u", "lstm", 64, 0)
    assert "Not better than" not in "\n".join(markdown(table) for table in tables(read([tmp_path / "u"])))


def test_references_by_name_and_metric() -> None:
    assert split_reference("reference/seasonal_naive_mse") == ("seasonal_naive", "mse")
    assert split_reference("reference/guess_error_x16") == ("guess", "error_x16")
    assert split_reference("reference/xz_bpc") == ("xz", "bpc")
    assert split_reference("test/bpc") is None


def test_every_kind_has_its_scores() -> None:
    assert set(TASK_FAMILIES) == set(get_args(Kind)) >= {item.kind for item in DATA_SETS.values()}
    for kind in TASK_FAMILIES.values():
        assert kind.primary.metric in PRIMARY_METRIC.values()
        assert not kind.primary.more_is_better
        assert set(kind.baselines) <= set(kind.references)
        assert set(kind.notes) <= {score.key for score in kind.scores} | set(kind.references)
