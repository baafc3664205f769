"""What may be ranked, and what is said of the rest: in the tables, the figures and the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnnbench.report.comparisons import same_start, unranked, unranked_anywhere
from rnnbench.report.figures.ranking import ranking
from rnnbench.report.page.summary_training import training_sentences
from rnnbench.report.results import read
from rnnbench.report.statistics import group
from rnnbench.report.tables.training import tables
from rnnbench.report.task_families import TASK_FAMILIES
from rnnbench.runs import read_rates, write_rates

Write = Callable[..., Path]
CELLS = {"rnn": 2.4, "lstm": 2.2, "gru": 2.1}


def study(folder: Path, write: Write, seeds: int = 5, weights: dict[str, int] | None = None, **more: Any) -> Path:
    for cell, score in CELLS.items():
        for seed in range(seeds):
            metrics = {"test/bpc": score + 0.001 * seed}
            metrics["model/matched_parameters"] = (weights or {}).get(cell, 40_000)
            write(folder, cell, 64, seed, metrics=metrics, full=False, **more)
    return folder


def reason(folder: Path) -> str | None:
    return unranked(group(read([folder])))


def edit_rates(folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    choices = [*read_rates(folder).values()]
    change(choices)
    write_rates(folder, choices)


def test_equal_weights_and_rates_chosen_alike_may_be_ranked(tmp_path: Path, text_run: Write) -> None:
    folder = study(tmp_path / "s", text_run)
    assert reason(folder) is None
    table, pairs = tables(read([folder]))
    assert [row.raw["cell"] for row in table.rows if "test/bpc" in row.bold] == ["gru"]
    assert pairs.name == "text-comparisons"
    assert not any("no ranking" in note for _, note in table.notes)


CASES: dict[str, tuple[dict[str, Any], Callable[[Path], None] | None, str]] = {
    "one rate for all": ({"tuned": False}, None, "one learning rate: no ranking"),
    "other weights": ({"weights": {"rnn": 16_000}}, None, "16 k to 40 k weights: no ranking"),
    "one seed": ({"seeds": 1}, None, "one seed: no ranking"),
    "an edge": (
        {}, lambda folder: edit_rates(folder, lambda choices: choices[0].update(at_edge=True)),
        "a learning rate at the edge of those tried: no ranking",
    ),
    "more trials for one": (
        {}, lambda folder: edit_rates(folder, lambda choices: choices[0]["rates"].pop()),
        "learning rates tried differ: no ranking",
    ),
    "more seeds a rate for one": (
        {}, lambda folder: edit_rates(folder, lambda choices: choices[0]["rates"][0].update(trials=2)),
        "learning rates tried differ: no ranking",
    ),
    "another rate than that chosen": (
        {}, lambda folder: edit_rates(folder, lambda choices: choices[0].update(lr=4e-3)),
        "one learning rate: no ranking",
    ),
    "nothing was found": (
        {}, lambda folder: edit_rates(folder, lambda choices: choices[0].update(found=False)),
        "one learning rate: no ranking",
    ),
    "rates of another protocol": (
        {}, lambda folder: (folder / "learning_rates.json").write_text('{"protocol": 1, "choices": []}') and None,
        "one learning rate: no ranking",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_may_not_says_why_and_has_no_p_no_bold_and_no_order(case: str, tmp_path: Path, text_run: Write) -> None:
    settings, change, words = CASES[case]
    folder = study(tmp_path / "s", text_run, **settings)
    if change is not None:
        change(folder)
    assert reason(folder) == words
    results = read([folder])
    (table,) = tables(results)
    assert not any(row.bold for row in table.rows)
    assert [row.raw["cell"] for row in table.rows] == list(CELLS)
    assert table.notes[0][1].startswith(words[0].upper() + words[1:])
    groups = group(results)
    said = training_sentences(TASK_FAMILIES["text"], groups, [], [])
    assert any(words[1:] in sentence for sentence in said)
    assert not any("has the lowest" in sentence for sentence in said)


@pytest.mark.parametrize(("most", "words"), [(42_000, None), (42_100, "40 k to 42 k weights: no ranking")])
def test_weights_may_differ_by_a_twentieth(most: int, words: str | None, tmp_path: Path, text_run: Write) -> None:
    assert reason(study(tmp_path / "s", text_run, weights={"lstm": most})) == words


@pytest.mark.parametrize(
    ("status", "lost", "words"),
    [("failed", 5, None), ("failed", 4, None), ("diverged", 5, None), ("absent", 4, "one seed: no ranking"),
     ("absent", 3, None)],
)  # fmt: skip
def test_a_cell_that_lost_runs_hinders_no_ranking_and_one_with_a_single_run_does(
    status: str, lost: int, words: str | None, tmp_path: Path, text_run: Write
) -> None:
    """Of a cell whose runs never came to be built nothing is recorded, not even its weights."""
    for cell, score in CELLS.items():
        for seed in range(5):
            gone = cell == "rnn" and seed >= 5 - lost
            if not (gone and status == "absent"):
                became = status if gone else "done"
                metrics = {} if became == "failed" else {"test/bpc": score + 0.001 * seed}
                text_run(tmp_path / "s", cell, 64, seed, became, metrics, full=False)
    assert reason(tmp_path / "s") == words


def test_a_figure_of_many_cells_keeps_their_usual_order_then(tmp_path: Path, text_run: Write, saved: list[Any]) -> None:
    order = {}
    for name, tuned in (("fair", True), ("one_rate", False)):
        folder = study(tmp_path / name, text_run, tuned=tuned)
        ranking(TASK_FAMILIES["text"], group(read([folder])), "throughput/tokens_per_second", tmp_path / name, {"svg"})
        left = saved[-1].axes[0]
        order[name] = [label.get_text() for label in left.get_yticklabels()]
        assert ("no ranking" in left.get_xlabel()) != tuned
    assert order == {"fair": ["gru", "lstm", "rnn"], "one_rate": ["rnn", "lstm", "gru"]}


def test_one_bad_length_is_said_and_the_others_are_ranked(tmp_path: Path, text_run: Write) -> None:
    for length in (16, 64):
        for cell, score in CELLS.items():
            for seed in range(5):
                weights = 16_000 if (cell, length) == ("rnn", 16) else 40_000
                metrics = {"test/bpc": score + 0.001 * seed, "model/matched_parameters": weights}
                text_run(tmp_path / "s", cell, length, seed, metrics=metrics, full=False)
    groups = group(read([tmp_path]))
    assert unranked_anywhere(groups) == "16 k to 40 k weights: no ranking"
    table, pairs, *_ = tables(read([tmp_path]))
    assert [(row.raw["length"], row.raw["cell"]) for row in table.rows if "test/bpc" in row.bold] == [(64, "gru")]
    assert {row.raw["place"] for row in pairs.rows} == {"T = 64"}, "and nothing over all lengths"


def test_a_study_of_two_machines_or_versions_says_so(tmp_path: Path, text_run: Write) -> None:
    for cell in CELLS:
        for seed in range(5):
            where = {"device_name": "H200", "torch": "2.11.0"} if seed > 2 else {}
            text_run(tmp_path / "s", cell, 64, seed, full=False, environment=where)
    notes = [note for _, note in tables(read([tmp_path]))[0].notes]
    assert "Mixed machines: x86_64 (9 runs), H200 (6 runs); no speed is to be compared across them." in notes
    assert any(note.startswith("Mixed versions of torch: 2.13.0 (9 runs), 2.11.0 (6 runs)") for note in notes)


def test_speeds_of_workers_side_by_side_are_not_shown(tmp_path: Path, text_run: Write) -> None:
    text_run(tmp_path / "s", "gru", 64, 0, full=False, environment={"workers": 2})
    text_run(tmp_path / "s", "lstm", 64, 0, full=False, environment={"workers": 1})
    found = {result.cell: result.number("throughput/tokens_per_second") for result in read([tmp_path])}
    assert found["gru"] is None
    assert found["lstm"] is not None
    run = json.loads(next((tmp_path / "s").glob("gru*/result.json")).read_text())["run"]
    speeds = {
        "protocol": 2,
        "speeds": [{"config": run, "tokens_per_second": 1234.5, "step_ms": 1.5, "environment": {}}],
    }
    (tmp_path / "s" / "speeds.json").write_text(json.dumps(speeds))
    found = {result.cell: result.number("throughput/tokens_per_second") for result in read([tmp_path])}
    assert found["gru"] == 1234.5
    for machine, where in (("x86_64", ""), ("another", ", on another")):
        speeds["speeds"][0]["environment"] = {"device_name": machine}  # type: ignore[index]
        (tmp_path / "s" / "speeds.json").write_text(json.dumps(speeds))
        notes = [note for _, note in tables(read([tmp_path]))[0].notes]
        assert any(note.endswith(f"on one pinned core, in turns{where}.") for note in notes), "where it was timed"


def test_runs_start_alike_where_nothing_but_the_optimiser_differs(tmp_path: Path, text_run: Write) -> None:
    text_run(tmp_path / "s", "gru", 64, 0, full=False, lr=1e-3)
    text_run(tmp_path / "s", "gru", 64, 0, full=False, lr=2e-3)
    text_run(tmp_path / "s", "gru", 32, 0, full=False)
    text_run(tmp_path / "s", "gru", 64, 1, full=False)
    text_run(tmp_path / "t", "gru", 64, 0, full=False, environment={"data_sha256": "another"})
    results = read([tmp_path])
    one, two, *others = sorted(results, key=lambda r: (r.study, -r.seq_len, r.seeds, r.run["optim"]["lr"]))
    assert same_start(one, two)
    assert len(others) == 3
    assert not any(same_start(one, another) for another in others), "another seed, length or data of the same name"


def test_of_two_cells_one_of_which_crashed_nothing_is_ranked(tmp_path: Path, text_run: Write) -> None:
    for cell in ("lstm", "gru"):
        for seed in range(2):
            text_run(tmp_path / "s", cell, 64, seed, "failed" if (cell, seed) == ("gru", 1) else "done", full=False)
    assert reason(tmp_path / "s") == "one seed: no ranking"
