"""Results as a DataFrame: no row lost, no number changed, and dtypes that one can calculate with."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rnnbench.report.frame import ABOUT, frame
from rnnbench.report.results import read


@pytest.fixture
def runs(text_study: Path) -> pd.DataFrame:
    return frame(read([text_study]))


def test_a_row_a_run_the_lost_ones_too(runs: pd.DataFrame) -> None:
    assert len(runs) == 45
    assert runs["id"].is_unique
    assert runs["status"].value_counts().to_dict() == {"done": 43, "diverged": 1, "failed": 1}
    (lost,) = runs.loc[runs["status"] == "failed", "error"]
    assert "OutOfMemoryError" in lost


def test_every_setting_and_every_metric_is_in_its_row(text_study: Path) -> None:
    results = read([text_study])
    rows = frame(results).set_index("id")
    for result in results:
        row = rows.loc[result.id]
        assert (row["cell"], row["seq_len"], row["seed"]) == (result.cell, result.seq_len, result.run["seed"])
        assert row["optim.lr"] == result.run["optim"]["lr"]
        for name in result.metrics:
            assert row[name] == result.number(name)


def test_dtypes_are_such_that_one_can_calculate(runs: pd.DataFrame) -> None:
    for name in ("seq_len", "seed", "data.batch_size"):
        assert runs[name].dtype == "int64"
    assert runs["model/parameters"].dtype == "Int64"  # the failed run has none
    assert runs["test/bpc"].dtype == "float64"
    assert math.isnan(runs.loc[runs["status"] == "failed", "test/bpc"].item())
    assert runs["probes.gradient_flow"].dtype == "bool"
    assert runs["final/hundredth_lag"].dtype == "float64"  # JSON says "inf" in some rows
    endless = runs[(runs["cell"] == "gru") & (runs["seq_len"] == 64)]
    assert np.isinf(endless["final/hundredth_lag"]).all()


def test_an_option_of_a_cell_is_a_column(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    text_run(tmp_path / "study", "lstm", 16, 0)
    text_run(tmp_path / "study", {"name": "lstm", "forget_bias": 3.0}, 16, 0)
    runs = frame(read([tmp_path])).set_index("cell")
    assert runs.loc["lstm(forget_bias=3)", "cell.forget_bias"] == 3
    assert pd.isna(runs.loc["lstm", "cell.forget_bias"])


def test_rows_are_in_the_order_of_the_tables_and_columns_begin_with_what_the_run_is(runs: pd.DataFrame) -> None:
    assert tuple(runs.columns[: len(ABOUT)]) == ABOUT
    assert list(dict.fromkeys(runs["cell"])) == ["rnn", "lstm", "gru"]
    assert runs["seq_len"].is_monotonic_increasing
    rest = list(runs.columns[len(ABOUT) :])
    assert [("/" in name, name) for name in rest] == sorted(("/" in name, name) for name in rest)


def test_timings_and_training_runs_go_into_one_frame(text_study: Path, timing_study: Path) -> None:
    both = frame(read([text_study, timing_study]))
    assert both["kind"].value_counts().to_dict() == {"train": 45, "timing": 3}
    timed = both[both["kind"] == "timing"]
    assert timed["cell"].isna().all()
    assert sorted(timed["seq_len"]) == [32, 128, 512]


def test_no_result_gives_an_empty_frame_with_its_columns() -> None:
    assert tuple(frame([]).columns) == ABOUT
