"""How far gradients reach, as a study reports it: the table with its intervals, the figures of options and contexts."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from rnnbench.ledger import CURVES
from rnnbench.report import report
from rnnbench.report.results import read
from rnnbench.report.tables.reach import power_of_ten, reach_table
from rnnbench.report.tables.training import tables

Write = Callable[..., Path]
HALF_LIVES = (1.2, 1.4, 1.5, 1.3, 1.6)


def gradients(half_life: float, exponent: float, end: float | str | None = None) -> dict[str, object]:
    return {
        "init/half_life": half_life,
        "init/lyapunov_1": exponent,
        "final/lyapunov_1": exponent / 2,
        "final/half_life": end or 2 * half_life,
        "init/log10_gain_at_last_lag": -85.0,
        "init/averaged_log10_gain_at_last_lag": -0.1,
    }


@pytest.fixture
def study(tmp_path: Path, text_run: Write) -> Path:
    for seed, half_life in enumerate(HALF_LIVES):
        text_run(tmp_path / "s", "rnn", 64, seed, metrics=gradients(half_life, -0.5 - 0.01 * seed))
        text_run(tmp_path / "s", "lstm", 64, seed, metrics=gradients(900.0, 0.01, "inf"))
    return tmp_path


def test_the_table(study: Path) -> None:
    rows = {row.raw["cell"]: row for row in reach_table(read([study])).rows}
    raw, text = rows["rnn"].raw, rows["rnn"].text
    assert raw["init/half_life"] == 1.4
    logs = np.log(HALF_LIVES)
    low, high = stats.t.interval(0.95, 4, logs.mean(), stats.sem(logs))
    assert (raw["init/half_life_low"], raw["init/half_life_high"]) == pytest.approx((math.exp(low), math.exp(high)))
    assert text["init/half_life"] == f"1.40 ({math.exp(low):.2f} – {math.exp(high):.2f})"
    assert raw["init/lyapunov_1"] == pytest.approx(-0.52)
    assert text["init/verdict"] == "vanishing"
    assert (text["last"], text["averaged"]) == ("1e−85", "0.79")
    assert rows["lstm"].text["final/half_life"] == "∞"
    assert rows["lstm"].raw["final/half_life_low"] is None, "what never halves has no interval"


def test_it_comes_where_exponents_were_measured(study: Path, tmp_path: Path, text_run: Write) -> None:
    assert [table.name for table in tables(read([study]))] == ["gradients", "text", "text-comparisons"]
    plain = tmp_path / "other"
    text_run(plain / "s", "rnn", 64, 0)
    assert [table.name for table in tables(read([plain]))] == ["text"]


@pytest.mark.parametrize(("exponent", "text"), [(-85.4, "1e−85"), (0.0, "1.0"), (-0.3, "0.50"), (4.2, "1e4")])
def test_powers_of_ten(exponent: float, text: str) -> None:
    assert power_of_ten(exponent) == text


def test_an_option_swept_has_its_figure(tmp_path: Path, text_run: Write) -> None:
    """Four values of one option are a sweep; three are not, nor is one that differs by another option as well."""
    for value in (0.0, 1.0, 2.0, 5.0):
        for seed in range(2):
            metrics = gradients(2.0**value, -1 / (1 + value), "inf" if value == 5 else None)
            text_run(tmp_path / "s", {"name": "lstm", "forget_bias": value}, 64, seed, metrics=metrics)
            if value < 5:
                text_run(tmp_path / "s", {"name": "rnn", "gain": 1 + value}, 64, seed, metrics=metrics)
    files = {Path(name).name for name in report([tmp_path], {"svg"}, None, None)["s"]["files"]}
    assert "lstm_against_forget_bias.svg" in files
    assert not any(name.startswith("rnn_against") for name in files)


def test_context_has_its_figure_and_column(tmp_path: Path, text_run: Write) -> None:
    for seed in range(2):
        folder = text_run(tmp_path / "s", "gru", 64, seed, metrics={"final/context_horizon": 12 + 4 * seed})
        with np.load(folder / CURVES) as found:
            arrays = dict(found)
        arrays |= {"final/context_lengths": np.array([1, 2, 4, 8]), "final/context_gain": np.array([1.0, 0.3, 0.1, 0])}
        np.savez(folder / CURVES, **arrays)
    answer = report([tmp_path], {"svg", "md"}, None, None)["s"]
    assert any(name.endswith("context_gain.svg") for name in answer["files"])
    (row,) = answer["table"]
    assert row["final/context_horizon"] == 14


def test_a_divergence_takes_nothing_from_the_beginning(tmp_path: Path, text_run: Write) -> None:
    """Its half-life at initialisation counts with the others', what it measured at its end does not."""
    for seed, (half_life, status) in enumerate([(1.0, "done"), (3.0, "done"), (9.0, "diverged"), (0.0, "failed")]):
        text_run(tmp_path / "s", "rnn", 64, seed, status, metrics=gradients(half_life, -0.5))
    (row,) = reach_table(read([tmp_path])).rows
    assert row.raw["init/half_life"] == 3.0
    assert row.raw["final/half_life"] == 4.0
    assert row.text["seeds"] == "2/4"
