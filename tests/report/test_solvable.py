"""The report of a search for the longest solvable T: recognised, bracketed, drawn, correlated with the half-life."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from rnnbench.config import DataConfig
from rnnbench.report.compose import report
from rnnbench.report.correlation import spearman
from rnnbench.report.results import read
from rnnbench.report.tables.solvable import predicts, searched, solvable_table
from rnnbench.report.tables.training import tables

#: Cell → half-life at T = 10, its tries: T to the mse of each seed.
ADDING: dict[str, tuple[float | str, dict[int, tuple[float, ...]]]] = {
    "rnn": (1.1, {10: (0.001, 0.002), 20: (0.16, 0.16), 15: (0.001, 0.15)}),
    "lstm": (1.5, {10: (0.001, 0.002), 20: (0.001, 0.002), 40: (0.001, 0.001), 80: (0.001, 0.16), 60: (0.16, 0.16)}),
    "gru": (1.6, {10: (0.001, 0.002), 20: (0.001, 0.002), 40: (0.001, 0.001), 80: (0.001, 0.001)}),
    "lru": (17.0, {10: (0.12, 0.13)}),
    "irnn": ("inf", {10: (0.001, 0.002), 20: (0.16, 0.0001)}),
}


@pytest.fixture
def search(tmp_path: Path, task_run: Callable[..., Path]) -> Path:
    """Five cells on adding, two seeds each; the half-life at a longer T is another, and is not to be read."""
    folder = tmp_path / "search"
    for cell, (half_life, tries) in ADDING.items():
        for length, scores in tries.items():
            for seed, mse in enumerate(scores):
                at_init = half_life if length == 10 else 1000.0
                metrics = {"test/mse": mse, "init/half_life": at_init, "init/horizon": 9}
                task_run(folder, DataConfig("adding", seq_len=length, batch_size=960 // length), metrics, cell, seed)
    return folder


def test_the_table_has_a_line_a_cell(search: Path) -> None:
    (table,) = tables(read([search]))
    assert table.name == "solvable"
    rows = {row.raw["cell"]: row for row in table.rows}
    assert list(rows) == ["gru", "lstm", "irnn", "rnn", "lru"], "the longest first"
    assert {cell: row.text["longest"] for cell, row in rows.items()} == {
        "gru": "≥ 80", "lstm": "40–60", "irnn": "10–20", "rnn": "10–15", "lru": "< 10",
    }  # fmt: skip
    assert {cell: row.text["solved"] for cell, row in rows.items()} == {
        "gru": "80", "lstm": "40", "irnn": "10", "rnn": "10", "lru": "–",
    }  # fmt: skip
    assert rows["lstm"].text["passed"] == "2/2"
    assert rows["lstm"].raw["tried"] == "10:2/2 20:2/2 40:2/2 60:0/2 80:1/2"
    assert rows["rnn"].raw["init/half_life"] == 1.1, "of the shortest T, which all cells share"
    assert rows["irnn"].text["init/half_life"] == "∞"
    assert {row.raw["seeds"] for row in table.rows} == {2, None}
    said = " ".join(note for _, note in table.notes)
    assert "at least 80%" in said
    assert "T = 10 (adding)" in said


def test_the_correlation_is_of_the_brackets(search: Path) -> None:
    found, rest = searched(read([search]))
    assert rest == []
    correlation = predicts(found)["adding"]
    half_lives = [1.1, 1.5, 1.6, 17.0, math.inf]
    middles = [math.sqrt(10 * 15), math.sqrt(40 * 60), 80, 5, math.sqrt(10 * 20)]
    assert correlation.rho == pytest.approx(stats.spearmanr(half_lives, middles).statistic, abs=1e-12)
    assert correlation.points == 5
    assert f"ρ = {correlation.rho:.2f}".replace("-", "−") in solvable_table(found).notes[-1][1]


def test_the_report_draws_it_and_leaves_the_lengths_out(search: Path) -> None:
    answer = report([search], {"md", "svg", "csv"}, None, None)["search"]
    assert {Path(name).name for name in answer["files"]} == {
        "table.md", "table.csv", "report.md", "half_life_predicts.svg",
    }  # fmt: skip
    figure = search / "report" / "half_life_predicts.svg"
    ET.parse(figure)
    assert "![half life predicts](half_life_predicts.svg)" in (search / "report" / "report.md").read_text()
    first = figure.read_bytes()
    report([search], {"svg"}, None, None)
    assert figure.read_bytes() == first


def test_failed_and_diverged_runs_have_not_passed(search: Path, task_run: Callable[..., Path]) -> None:
    """Seed 2 of gru diverged at T = 10, after its half-life had been measured: two of three are not enough."""
    data = DataConfig("adding", seq_len=10, batch_size=96)
    task_run(search, data, {"test/mse": 0.001, "init/half_life": 1.7}, "gru", 2, "diverged")
    task_run(search, data, {}, "lru", 2, "failed")
    rows = {row.raw["cell"]: row.raw for row in tables(read([search]))[0].rows}
    assert (rows["gru"]["solved"], rows["gru"]["failed"]) == (None, 10)
    assert rows["gru"]["tried"].startswith("10:2/3 20:2/2")
    assert rows["gru"]["init/half_life"] == 1.6
    assert rows["lru"]["tried"] == "10:0/3"


def test_a_bracket_closed_by_errors_says_so(search: Path, task_run: Callable[..., Path]) -> None:
    """The same search, where one cell more crashed at T = 20 and one merely did not learn there."""
    for cell, status in (("mgu", "failed"), ("janet", "diverged")):
        for length in (10, 20):
            data = DataConfig("adding", seq_len=length, batch_size=960 // length)
            metrics = {"test/mse": 0.001, "init/half_life": 3.0} if length == 10 or status == "diverged" else {}
            task_run(search, data, metrics, cell, 0, "done" if length == 10 else status)
    found, _ = searched(read([search]))
    assert {one.cell: one.longest for one in found if one.cell in ("mgu", "janet")} == {
        "mgu": "10–20 †", "janet": "10–20",
    }  # fmt: skip
    assert predicts(found)["adding"].points == 6, "mgu's end is not known; the other six cells' are"
    said = " ".join(note for _, note in solvable_table(found).notes)
    assert "ended in an error, and count as not passed: 1" in said
    assert "†: errors ended the search, 1 in all" in said


def test_other_tasks_keep_their_tables(search: Path, task_run: Callable[..., Path]) -> None:
    """A second task of the search has its lines in the same table, at whatever lengths; text has its own table."""
    for cell in ("gru", "lstm"):
        data = DataConfig("copy", seq_len=12, batch_size=80)
        task_run(search, data, {"test/error": 0.0 if cell == "gru" else 0.5, "init/half_life": 2.0}, cell)
    task_run(search, "kjv", {"test/bpc": 2.0})
    first, second = tables(read([search]))
    assert [(row.raw["cell"], row.text["longest"]) for row in first.rows if row.raw["data"] == "copy"] == [
        ("gru", "≥ 12"),
        ("lstm", "< 12"),
    ]
    assert [row.raw["spearman"] for row in first.rows if row.raw["data"] == "copy"] == [None, None]
    assert "copy: Spearman's rank correlation of half-life at init and longest T: ρ undefined, 2 cells" in str(
        first.notes
    )
    assert second.name == "text"


def test_the_same_lengths_for_all_are_no_search(tmp_path: Path, task_run: Callable[..., Path]) -> None:
    for cell in ("rnn", "gru"):
        for length in (10, 20):
            task_run(tmp_path / "s", DataConfig("adding", seq_len=length), {"test/mse": 0.001}, cell)
    train = read([tmp_path / "s"])
    assert searched(train) == ([], train)
    assert [table.name for table in tables(train)] == ["adding"]


def test_spearman_is_scipys_with_ties() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 5, 40).tolist(), rng.integers(0, 5, 40).tolist()
    found = spearman(x, y)
    assert found.rho == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert found.low is not None
    assert found.high is not None
    assert found.rho is not None
    assert found.low < found.rho < found.high
    assert found == spearman(x, y), "seeded"


def test_the_interval_covers() -> None:
    """Of normal pairs with ρ_S = 6/π asin(r/2) it holds the true one about 19 times in 20."""
    rng, r = np.random.default_rng(0), 0.6
    true, held = 6 / math.pi * math.asin(r / 2), 0
    for _ in range(40):
        x, noise = rng.standard_normal((2, 40))
        found = spearman(x.tolist(), (r * x + math.sqrt(1 - r * r) * noise).tolist())
        assert found.low is not None
        assert found.high is not None
        held += found.low <= true <= found.high
    assert held >= 34


def test_what_has_no_correlation_says_so() -> None:
    constant = spearman([1, 2, 3, 4, 5], [7, 7, 7, 7, 7])
    assert (constant.rho, constant.low, constant.undefined) == (None, None, 1.0)
    assert "undefined" in constant.text()
    lone = spearman([1, 2, 3, 4, 5, 6], [7, 7, 7, 7, 7, 9])
    assert lone.rho is not None
    assert lone.low is None, "a third of the resamples lack the one point that differs"
    assert lone.undefined == pytest.approx((5 / 6) ** 6, abs=0.03)
    assert spearman([1, 2, 3], [1, 2, 3]).low is None
    assert spearman([1.0], [1.0]).rho is None
