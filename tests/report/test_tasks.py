"""Many tasks in one study: which cell is shown, which lines it beats, and the pictures."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnbench.config import DataConfig
from rnnbench.report.compose import report
from rnnbench.report.results import read
from rnnbench.report.tables.tasks import TaskResult, many_tasks, task_results
from rnnbench.report.tables.training import tables

TEXT = {"reference/uniform_bpc": 6.0, "reference/unigram_bpc": 4.3, "reference/ngram_bpc": 2.1}
SERIES = {"reference/persistence_mse": 1.3, "reference/seasonal_naive_mse": 0.42, "reference/ridge_mse": 0.3}


@pytest.fixture
def study(tmp_path: Path, task_run: Callable[..., Path]) -> Path:
    """Four data sets of three kinds; on kjv two cells, the better one on the test part not so on validation."""
    folder = tmp_path / "all"
    task_run(folder, "kjv", TEXT | {"test/bpc": 2.3, "val/bpc": 2.2}, "lstm")
    task_run(folder, "kjv", TEXT | {"test/bpc": 2.0, "val/bpc": 2.4}, "gru")
    task_run(folder, "glucose", SERIES | {"test/mse": 0.41, "val/mse": 0.4})
    task_run(folder, "copy", {"test/error": 0.0, "val/error": 0.0, "reference/guess_error": 0.875})
    task_run(folder, "parity", {"test/error": 0.52, "val/error": 0.5, "reference/guess_error": 0.5})
    return folder


def by_name(folder: Path) -> dict[str, TaskResult]:
    return {task.label: task for task in task_results(read([folder]))}


def test_the_table_of_tasks_comes_first(study: Path) -> None:
    made = tables(read([study]))
    assert [table.name for table in made] == ["tasks", "text", "series", "memory"]
    rows = {row.raw["task"]: row for row in made[0].rows}
    assert list(rows) == ["kjv", "glucose", "copy", "parity"], "in the catalogue's order"
    kjv = rows["kjv"]
    assert (kjv.text["cell"], kjv.text["score"]) == ("lstm", "2.300"), "chosen on validation, not on the test part"
    assert (kjv.text["baseline"], kjv.text["strongest"]) == ("4.300 unigram", "2.100 ngram")
    assert (kjv.text["score/lstm"], kjv.text["score/gru"]) == ("2.300", "2.000")
    assert {name: row.text["beats"] for name, row in rows.items()} == {
        "kjv": "all but ngram", "glucose": "all but ridge", "copy": "all", "parity": "none",
    }  # fmt: skip
    assert rows["glucose"].text["baseline"] == "0.4200 seasonal naive", "the stronger of two baselines"


def test_few_tasks_or_one_kind_need_no_such_table(tmp_path: Path, study: Path, task_run: Callable[..., Path]) -> None:
    three = [result for result in read([study]) if result.data != "parity"]
    assert many_tasks(read([study]))
    assert not many_tasks(three)
    for name in ("copy", "parity", "dyck", "selective_copy"):
        task_run(tmp_path / "kind", name, {"test/error": 0.1})
    assert not many_tasks(read([tmp_path / "kind"]))


def test_a_line_is_beaten_by_every_seed_or_not_at_all(tmp_path: Path, task_run: Callable[..., Path]) -> None:
    """Below five seeds by the worst of them, then by the interval; by nobody where a run was lost."""

    def beaten(name: str, errors: list[float], lost: bool = False) -> list[str]:
        for seed, error in enumerate(errors):
            metrics = {"test/error": error, "reference/guess_error": 0.5}
            task_run(tmp_path / name, "parity", metrics, seed=seed, status="diverged" if lost and not seed else "done")
        (task,) = by_name(tmp_path / name).values()
        return task.beaten(task.best)

    assert beaten("all", [0.1, 0.4]) == ["guess"]
    assert beaten("one_not", [0.1, 0.51]) == []
    assert beaten("equal", [0.5]) == []
    assert beaten("interval", [0.1, 0.1, 0.1, 0.1, 0.12]) == ["guess"]
    assert beaten("wide", [0.0, 0.6, 0.3, 0.6, 0.6]) == []
    assert beaten("lost", [0.1, 0.1, 0.1], lost=True) == []


def test_where_cells_may_not_be_ranked_none_is_called_the_best(tmp_path: Path, task_run: Callable[..., Path]) -> None:
    for name in ("copy", "parity", "adding", "dyck"):
        for cell, error in (("lstm", 0.1), ("gru", 0.2)):
            key = "mse" if name == "adding" else "error"
            task_run(tmp_path, name, {f"test/{key}": error, f"val/{key}": error}, cell)
    table = tables(read([tmp_path]))[0]
    assert table.name == "tasks"
    assert next(column.title for column in table.columns if column.key == "cell") == "cell"
    assert any(note.endswith("the mean over seeds; one seed: no ranking.") for _, note in table.notes)


def test_settings_of_the_data_make_tasks_of_their_own(study: Path, task_run: Callable[..., Path]) -> None:
    for permuted in (False, True):
        task_run(study, DataConfig("digits", permuted=permuted), {"test/error": 0.1, "reference/majority_error": 0.9})
    assert list(by_name(study)) == [
        "kjv",
        "glucose",
        "digits, permuted=False",
        "digits, permuted=True",
        "copy",
        "parity",
    ]


def test_two_pictures_of_all_tasks_and_none_of_each(study: Path) -> None:
    written = report([study], {"svg", "md"}, None, None)["all"]["files"]
    files = {path.name: path for path in map(Path, written)}
    assert {name for name in files if name.endswith(".svg")} == {"tasks.svg", "learning_curves.svg"}
    picture = files["tasks.svg"].read_text()
    ET.fromstring(picture)
    for words in ("many to one", "many to many", "glucose", "seasonal naive", "0.420"):
        assert re.search(f"<!-- +{words} -->", picture), words
    assert "one to one" not in picture
    assert "](tasks.svg)" in files["report.md"].read_text()


def test_a_data_set_of_the_future_is_skipped(
    study: Path, task_run: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = task_run(study, "smell", {"test/error": 0.1})
    assert len(read([study])) == 5
    (line,) = capsys.readouterr().err.splitlines()
    assert str(folder) in line
    assert 'unknown data set "smell"' in line
