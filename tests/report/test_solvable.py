"""The report of a search for the longest solvable T: bracketed, drawn, correlated with the gradient's first reach."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnbench.config import DataConfig
from rnnbench.report.compose import report
from rnnbench.report.results import read
from rnnbench.report.tables.solvable import predicts, searched, solvable_table
from rnnbench.report.tables.training import tables
from rnnbench.runs import PanelFile, StudyFile, write_study

Write = Callable[..., Path]
#: Cell → the lag at which its gradient is down to a hundredth at T = 10, its tries: T to the mse of each seed.
ADDING: dict[str, tuple[float | str, dict[int, tuple[float, ...]]]] = {
    "rnn": (3.0, {10: (0.001, 0.002), 20: (0.16, 0.16), 15: (0.001, 0.15)}),
    "lstm": (12.0, {10: (0.001, 0.002), 20: (0.001, 0.002), 40: (0.001, 0.001), 80: (0.001, 0.16), 60: (0.16, 0.16)}),
    "gru": (14.0, {10: (0.001, 0.002), 20: (0.001, 0.002), 40: (0.001, 0.001), 80: (0.001, 0.001)}),
    "lru": (150.0, {10: (0.12, 0.13)}),
    "irnn": ("inf", {10: (0.001, 0.002), 20: (0.16, 0.0001)}),
}


def adding(length: int) -> DataConfig:
    return DataConfig("adding", seq_len=length, batch_size=960 // length)


def as_search(folder: Path) -> Path:
    """Say in `study.json` that all runs of the study are a search's."""
    ids = frozenset(result.id for result in read([folder]))
    write_study(folder, StudyFile("How long?", True, (PanelFile("", "", "data.seq_len", ids),)))
    return folder


@pytest.fixture
def search(tmp_path: Path, task_run: Write) -> Path:
    """Five cells on adding, two seeds each; the reach at a longer T is another, and is not to be read."""
    folder = tmp_path / "search"
    for cell, (reach, tries) in ADDING.items():
        for length, scores in tries.items():
            for seed, mse in enumerate(scores):
                at_init = reach if length == 10 else 250.0
                metrics = {"test/mse": mse, "init/hundredth_lag": at_init, "init/lags": 255}
                task_run(folder, adding(length), metrics, cell, seed)
    return as_search(folder)


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
    assert rows["rnn"].raw["init/hundredth_lag"] == 3.0, "of the shortest T, which all cells share"
    assert rows["irnn"].text["init/hundredth_lag"] == "≥ 255"
    assert rows["irnn"].raw["init/hundredth_lag"] == math.inf
    assert {row.raw["seeds"] for row in table.rows} == {2, None}
    said = " ".join(note for _, note in table.notes)
    assert "at least 80%" in said
    assert "over 255 lags" in said


def test_the_correlation_is_of_the_brackets(search: Path) -> None:
    """Where rnn and irnn end is not known apart. Of the other nine pairs four are in one order, five in the other:
    lru comes last in length and irnn before lstm and gru, though both reach farther.
    """
    found, rest = searched(read([search]))
    assert rest == []
    correlation = predicts(found)["adding"]
    assert (correlation.points, correlation.pairs) == (5, 9)
    assert correlation.tau == pytest.approx((4 - 5) / 9)
    table = solvable_table(found)
    assert "τ = −0.11 (95 %: " in table.notes[-1][1]
    assert "over the 9 pairs of 5 cells whose order is known" in table.notes[-1][1]
    assert {row.raw["kendall"] for row in table.rows} == {correlation.tau}


def test_the_report_draws_it_and_leaves_the_lengths_out(search: Path) -> None:
    answer = report([search], {"md", "svg", "csv"}, None, None)["search"]
    assert {Path(name).name for name in answer["files"]} == {
        "table.md", "table.csv", "report.md", "reach_predicts.svg",
    }  # fmt: skip
    figure = search / "report" / "reach_predicts.svg"
    ET.parse(figure)
    assert "<!-- ≥ 255 -->" in figure.read_text(), "where what is beyond the lags measured stands"
    assert "![reach predicts](reach_predicts.svg)" in (search / "report" / "report.md").read_text()
    first = figure.read_bytes()
    report([search], {"svg"}, None, None)
    assert figure.read_bytes() == first


def test_failed_and_diverged_runs_have_not_passed(search: Path, task_run: Write) -> None:
    """Seed 2 of gru diverged at T = 10, after its reach had been measured: two of three are not enough."""
    metrics = {"test/mse": 0.001, "init/hundredth_lag": 16.0, "init/lags": 255}
    task_run(search, adding(10), metrics, "gru", 2, "diverged")
    task_run(search, adding(10), {}, "lru", 2, "failed")
    rows = {row.raw["cell"]: row.raw for row in tables(read([as_search(search)]))[0].rows}
    assert (rows["gru"]["solved"], rows["gru"]["failed"]) == (None, 10)
    assert rows["gru"]["tried"].startswith("10:2/3 20:2/2")
    assert rows["gru"]["init/hundredth_lag"] == 14.0
    assert rows["lru"]["tried"] == "10:0/3"


def test_a_bracket_closed_by_errors_says_so(search: Path, task_run: Write) -> None:
    """The same search, where one cell more crashed at T = 20 and one merely did not learn there."""
    for cell, status in (("mgu", "failed"), ("janet", "diverged")):
        for length in (10, 20):
            metrics = {"test/mse": 0.001, "init/hundredth_lag": 30.0} if length == 10 or status == "diverged" else {}
            task_run(search, adding(length), metrics, cell, 0, "done" if length == 10 else status)
    found, _ = searched(read([search]))
    assert {one.cell: one.longest for one in found if one.cell in ("mgu", "janet")} == {
        "mgu": "10–20 †", "janet": "10–20",
    }  # fmt: skip
    assert predicts(found)["adding"].points == 6, "mgu's end is not known; the other six cells' are"
    said = " ".join(note for _, note in solvable_table(found).notes)
    assert "ended in an error, and count as not passed: 1" in said
    assert "†: errors ended the search, 1 in all" in said


@pytest.mark.parametrize(
    ("errors", "lost", "longest"),
    [(3, "failed", "10–20"), (4, "failed", "10–20 †"), (5, "oom", "10–20 †"), (4, "timeout", "10–20 †")],
)
def test_a_bracket_is_closed_by_errors_where_as_many_seeds_might_have_passed(
    errors: int, lost: str, longest: str, tmp_path: Path, task_run: Write
) -> None:
    """Five seeds at T = 20, some of which crashed while the others did not learn: four of five would have solved it."""
    for seed in range(5):
        task_run(tmp_path / "s", adding(10), {"test/mse": 0.001}, "gru", seed)
        status = lost if seed < errors else "done"
        task_run(tmp_path / "s", adding(20), {} if status == lost else {"test/mse": 0.16}, "gru", seed, status)
    (one,), _ = searched(read([as_search(tmp_path / "s")]))
    assert one.longest == longest


def test_of_several_learning_rates_the_best_counts_at_each_length(tmp_path: Path, task_run: Write) -> None:
    """At T = 10 the first rate solves it, at 20 the second alone, at 40 each of them one seed of two."""
    scores = {10: {3e-3: (0.001, 0.001)}, 20: {3e-3: (0.1, 0.001), 1e-3: (0.001, 0.002)}}
    scores |= {40: {1e-3: (0.1, 0.001), 3e-3: (0.001, 0.1)}}
    for length, by_rate in scores.items():
        for lr, seeds in by_rate.items():
            for seed, mse in enumerate(seeds):
                task_run(tmp_path / "s", adding(length), {"test/mse": mse}, "gru", seed, lr=lr)
    (table,) = tables(read([as_search(tmp_path / "s")]))
    (row,) = table.rows
    assert row.text["longest"] == "20–40"
    assert row.raw["tried"] == "10:2/2 20:2/2 40:1/2"
    assert "80% of the seeds pass at the best of the learning rates 0.001, 0.003" in table.notes[0][1]


@pytest.mark.parametrize("rate", [1e-3, 3e-3, 1e-2])
def test_one_seed_and_a_rate_at_the_edge_are_noted(rate: float, tmp_path: Path, task_run: Write) -> None:
    for lr in (1e-3, 3e-3, 1e-2):
        task_run(tmp_path / "s", adding(10), {"test/mse": 0.001 if lr == rate else 0.1}, "rnn", lr=lr)
    (table,) = tables(read([as_search(tmp_path / "s")]))
    notes = " ".join(note for _, note in table.notes)
    assert "One seed: no ranking." in notes
    assert ("1 of 1 were solved, at their longest T, at the smallest or largest learning rate" in notes) == (
        rate != 3e-3
    )


def test_other_tasks_keep_their_tables(search: Path, task_run: Write) -> None:
    """A second task of the search has its lines in the same table, at whatever lengths; text has its own table."""
    for cell in ("gru", "lstm"):
        data = DataConfig("copy", seq_len=12, batch_size=80)
        metrics = {"test/error": 0.0 if cell == "gru" else 0.5, "init/hundredth_lag": 2.0}
        task_run(search, data, metrics, cell)
    task_run(search, "kjv", {"test/bpc": 2.0})
    first, second = tables(read([as_search(search)]))
    assert [(row.raw["cell"], row.text["longest"]) for row in first.rows if row.raw["data"] == "copy"] == [
        ("gru", "≥ 12"),
        ("lstm", "< 12"),
    ]
    assert [row.raw["kendall"] for row in first.rows if row.raw["data"] == "copy"] == [None, None]
    words = "rank correlation (Kendall's) of the gradient's reach at init and the longest T"
    assert f"copy: {words}: τ undefined, 2 cells" in " ".join(note for _, note in first.notes)
    assert second.name == "text"


@pytest.mark.parametrize("data", ["adding", "copy"])
@pytest.mark.parametrize("missing", [set(), {("gru", 20)}, {("gru", 20), ("gru", 40), ("rnn", 10)}])
def test_a_study_is_a_search_where_it_says_so(
    data: str, missing: set[tuple[str, int]], tmp_path: Path, task_run: Write
) -> None:
    """The very same runs are lines of a table over lengths where it does not, whichever are missing."""
    metric = "mse" if data == "adding" else "error"
    there = [(cell, length) for cell in ("rnn", "gru") for length in (10, 20, 40) if (cell, length) not in missing]
    for cell, length in there:
        metrics = {f"test/{metric}": 0.001, f"test/{metric}_x2": 0.01, "throughput/tokens_per_second": 100.0}
        task_run(tmp_path / "s", DataConfig(data, seq_len=length), metrics, cell)
    train = read([tmp_path / "s"])
    (table,) = tables(train)
    assert table.name == ("adding" if data == "adding" else "memory")
    assert {(row.raw["cell"], row.raw["length"]) for row in table.rows} == set(there)
    titles = {column.title for column in table.columns}
    assert {f"test {metric}", f"{metric} at 2T", "tokens/s", "seeds done"} <= titles
    as_search(tmp_path / "s")
    assert [table.name for table in tables(train)] == ["solvable"]
    assert searched(train)[1] == []
