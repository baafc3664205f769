"""What moves a score: components of variance of crossed seeds, against a two-way layout whose own are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnbench.config import CellConfig, DataConfig, Run
from rnnbench.report.comparisons import effects, unranked
from rnnbench.report.results import Result, read
from rnnbench.report.statistics import Group, group
from rnnbench.report.tables.comparisons import components
from rnnbench.report.tables.training import tables
from rnnbench.report.task_families import TASK_FAMILIES

Write = Callable[..., Path]
Floats = NDArray[np.float64]
SCORE = TASK_FAMILIES["text"].primary


def layout(scores: Floats, lost: tuple[int, int] | None = None) -> Group:
    """A group whose run of the i-th seed of weights and the j-th of order has the score [i, j]; lost: one diverged."""
    results = []
    for (i, j), score in np.ndenumerate(scores):
        run = Run(CellConfig("lstm"), data=DataConfig(seq_len=64, batch_size=32), seed=i, data_seed=10 + j).to_dict()
        status = "diverged" if (i, j) == lost else "done"
        metrics = {"test/bpc": float(score)}
        results.append(
            Result(Path("s") / f"{i}-{j}", f"{i}-{j}", "train", 2, status, run, metrics, {}, 1.0, None, None)
        )
    return Group("lstm", "kjv", 64, (), tuple(results))


@pytest.mark.parametrize(("shape", "crossed"), [((1, 3), True), ((3, 1), True), ((2, 2), True), ((1, 1), False)])
def test_runs_that_share_a_seed_of_either_kind_are_no_independent_samples(
    shape: tuple[int, int], crossed: bool
) -> None:
    """Initial weights that are the same for all, or an order of the data that is."""
    scores = np.arange(float(np.prod(shape))).reshape(shape)
    g = layout(scores)
    assert g.crossed == crossed
    estimate = g.estimate("test/bpc")
    assert (estimate.mean, estimate.interval) == (pytest.approx(scores.mean()), None)


@pytest.mark.parametrize(("n", "m"), [(2, 2), (3, 4), (6, 3)])
def test_they_are_those_of_the_analysis_of_variance(n: int, m: int) -> None:
    """By hand: mean squares of rows, of columns and of what neither explains, and what these are expected to be."""
    rng = np.random.default_rng([n, m])
    scores = 2 + rng.normal(0, 0.3, (n, 1)) + rng.normal(0, 0.2, (1, m)) + rng.normal(0, 0.02, (n, m))
    rows, columns = scores.mean(1, keepdims=True), scores.mean(0, keepdims=True)
    left = scores - rows - columns + scores.mean()
    total = ((scores - scores.mean()) ** 2).sum()
    between = m * ((rows - scores.mean()) ** 2).sum(), n * ((columns - scores.mean()) ** 2).sum()
    assert sum(between) + (left**2).sum() == pytest.approx(total), "the sums of squares are all there is"
    rest = (left**2).sum() / ((n - 1) * (m - 1))
    weights, order = (between[0] / (n - 1) - rest) / m, (between[1] / (m - 1) - rest) / n
    one = components(layout(scores), SCORE)
    assert (one.weights, one.order, one.rest) == pytest.approx(np.sqrt([weights, order, rest]))
    assert one.total == pytest.approx(np.sqrt(weights + order + rest))
    assert (one.seeds, one.text) == ((n, m), None)


def test_what_is_too_small_to_be_seen_is_zero() -> None:
    """Each order has the same mean, so that less moves with it than chance would have moved."""
    scores = 2 + np.array([[0.1, 0.2, 0.3], [0.3, 0.1, 0.2], [0.2, 0.3, 0.1]])
    one = components(layout(scores), SCORE)
    assert (one.weights, one.order) == (0.0, 0.0)
    assert one.rest == one.total == pytest.approx(np.sqrt(((scores - 2.2) ** 2).sum() / 4))


def test_what_is_not_crossed_or_not_whole_has_none() -> None:
    scores = np.random.default_rng(0).normal(2, 0.1, (3, 3))
    whole = layout(scores)
    assert components(whole, SCORE) is not None
    assert components(layout(scores, lost=(1, 2)), SCORE) is None
    diagonal = dataclasses.replace(whole, results=whole.results[::4])
    assert not diagonal.crossed
    assert components(diagonal, SCORE) is None, "as many seeds of the one as of the other, and no two share one"
    assert components(layout(scores[:1]), SCORE) is None
    lost = tuple(dataclasses.replace(r, status="diverged") if r.seeds[0] == 2 else r for r in whole.results)
    assert components(dataclasses.replace(whole, results=lost), SCORE) is None, "all runs of a seed: the rest is whole"


def write_crossed(folder: Path, write: Write, cell: str, scores: Floats, length: int = 64) -> None:
    """The layout as a study's runs."""
    for (i, j), score in np.ndenumerate(scores):
        write(folder, cell, length, i, metrics={"test/bpc": float(score)}, full=False, data_seed=j)


def test_the_table(tmp_path: Path, text_run: Write) -> None:
    rng = np.random.default_rng(0)
    scores = {cell: rng.normal(2, 0.1, (3, 1)) + rng.normal(0, 0.01, (3, 4)) for cell in ("lstm", "gru")}
    for cell, own in scores.items():
        write_crossed(tmp_path / "s", text_run, cell, own)
    results = read([tmp_path])
    runs, table = tables(results)
    assert (runs.name, table.name) == ("text", "text-variance")
    assert "Seeds of weights and order are crossed: no ranking." in [note for _, note in runs.notes]
    for row, (cell, own) in zip(table.rows, scores.items(), strict=True):
        one = components(layout(own), SCORE)
        assert row.raw["cell"] == cell
        assert row.raw["mean"] == pytest.approx(own.mean())
        assert [row.raw[name] for name in ("weights", "order", "rest")] == pytest.approx(
            [one.weights, one.order, one.rest]
        )
        assert row.text["seeds"] == "3 × 4"
        assert row.text["weights"] == f"{one.weights:.2g}"
    assert "text" not in {column.key for column in table.columns}, "no losses by blocks were recorded"
    assert "(" not in runs.rows[0].text["test/bpc"], "no interval"
    assert not any("interval" in note for key, note in runs.notes if key == "test/bpc")
    for one_table in (runs, table):
        assert {key for key, _ in one_table.notes} <= {column.key for column in one_table.columns}


def test_runs_that_share_seeds_are_no_independent_samples(tmp_path: Path, text_run: Write) -> None:
    """Nine runs by three seeds of weights: a mean, but no interval of nine, no rank and no test."""
    for cell in ("lstm", "gru"):
        for length in (16, 64):
            write_crossed(tmp_path / "s", text_run, cell, np.random.default_rng(length).normal(2, 0.1, (3, 3)), length)
    groups = group(read([tmp_path]))
    assert all(g.crossed for g in groups)
    for g in groups:
        score = g.estimate("test/bpc")
        assert (score.interval, len(score.values)) == (None, 9)
        assert score.mean == pytest.approx(np.mean(score.values))
    assert unranked(groups[:2]) == "seeds of weights and order are crossed: no ranking"
    assert effects(groups, SCORE) == []
    assert not any("comparisons" in table.name for table in tables(read([tmp_path])))


def test_on_average_they_are_the_true_ones() -> None:
    """A hundred studies of eight seeds by eight, of known variances: the estimates' means are these."""
    rng, true = np.random.default_rng(0), np.array([0.03, 0.02, 0.01])
    squares = []
    for _ in range(100):
        parts = rng.normal(size=(8, 1)), rng.normal(size=(1, 8)), rng.normal(size=(8, 8))
        one = components(layout(2 + sum(sd * part for sd, part in zip(true, parts, strict=True))), SCORE)
        assert one is not None
        squares.append([one.weights**2, one.order**2, one.rest**2])
    # The spread of a variance of seven degrees of freedom is √(2 / 7) of it; of a mean of 100, 5 %.
    assert np.mean(squares, axis=0) == pytest.approx(true**2, rel=0.15)


def test_a_seed_of_which_all_runs_are_lost_is_missed() -> None:
    """What is left is a whole layout, but not of all that was run."""
    g = layout(np.random.default_rng(0).normal(2, 0.1, (3, 3)))
    lost = tuple(dataclasses.replace(r, status="diverged") if r.seeds[0] == 2 else r for r in g.results)
    assert components(dataclasses.replace(g, results=lost), SCORE) is None


def test_nor_of_what_a_length_changes(tmp_path: Path, text_run: Write) -> None:
    for length in (16, 64):
        write_crossed(tmp_path / "s", text_run, "lstm", np.random.default_rng(length).normal(2, 0.1, (3, 3)), length)
    assert effects(group(read([tmp_path])), SCORE) == []


def test_no_interval_is_announced_where_there_is_none(tmp_path: Path, text_run: Write) -> None:
    write_crossed(tmp_path / "s", text_run, "lstm", np.random.default_rng(0).normal(2, 0.1, (3, 3)))
    table, *_ = tables(read([tmp_path]))
    assert "(" not in table.rows[0].text["test/bpc"]
    assert not any("interval" in note for key, note in table.notes if key == "test/bpc")


def test_no_note_explains_a_column_that_is_not_there(tmp_path: Path, text_run: Write) -> None:
    write_crossed(tmp_path / "s", text_run, "lstm", np.random.default_rng(0).normal(2, 0.1, (3, 3)))
    for table in tables(read([tmp_path])):
        assert {key for key, _ in table.notes} <= {column.key for column in table.columns}, table.name
