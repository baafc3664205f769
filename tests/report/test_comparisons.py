"""Which pairs are compared, by which test, and what is said of them; the tests themselves: test_significance.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from rnnbench.report.comparisons import Comparison, Unranked, compare, compare_with, effects
from rnnbench.report.results import read
from rnnbench.report.significance import Difference, holm, probability_of_improvement
from rnnbench.report.statistics import TRUNCATE, group
from rnnbench.report.tables.training import tables
from rnnbench.report.task_families import TASK_FAMILIES

Write = Callable[..., Path]
SCORE = TASK_FAMILIES["text"].primary
X = np.array(
    [[2.0, 2.03, 1.973], [1.911, 1.955, 1.901], [2.006, 2.134, 1.951], [1.938, 2.049, 2.036], [2.011, 1.907, 1.997],
     [2.07, 1.866, 1.954], [1.81, 1.871, 1.816]]
)  # fmt: skip
Y = np.array(
    [[2.036, 1.933, 2.087], [2.076, 2.041, 1.808], [2.006, 2.055, 2.071], [1.907, 2.012, 1.962], [1.979, 2.166, 1.979],
     [2.057, 2.148, 2.002], [2.049, 2.071, 2.066]]
)  # fmt: skip


def study(folder: Path, write: Write, scores: dict[str, np.ndarray], lost: tuple[str, int, int] | None = None) -> None:
    """scores: by cell (seeds, lengths); lost: a cell, the length's index and the seed of a run that diverged."""
    for cell, values in scores.items():
        for seed, row in enumerate(values):
            for index, value in enumerate(row):
                status = "diverged" if (cell, index, seed) == lost else "done"
                write(folder, cell, 16 << index, seed, status, {"test/bpc": float(value)}, full=False)


def pairs(folder: Path) -> list[Comparison]:
    return compare(group(read([folder])), SCORE)


def test_a_study_is_compared_at_each_length_and_over_all(tmp_path: Path, text_run: Write) -> None:
    study(tmp_path / "s", text_run, {"lstm": X, "gru": Y})
    *single, every = pairs(tmp_path)
    assert [(one.length, one.place) for one in single] == [(16, "T = 16"), (32, "T = 32"), (64, "T = 64")]
    assert (every.place, every.better, every.other, every.seeds) == ("all", "lstm", "gru", (7, 7))
    raw = [scipy.stats.ttest_ind(X[:, i], Y[:, i], equal_var=False).pvalue for i in range(3)]
    raw.append(scipy.stats.ttest_ind(X.mean(1), Y.mean(1), equal_var=False).pvalue)
    assert [one.difference.p for one in (*single, every)] == pytest.approx(holm(raw))
    assert every.difference.mean == pytest.approx(Y.mean() - X.mean())
    assert every.difference.low < every.difference.mean < every.difference.high
    want = probability_of_improvement(X.mean(1).tolist(), Y.mean(1).tolist())
    assert (every.probability, every.probability_low, every.probability_high) == pytest.approx(want)


def test_both_kinds_of_p_are_corrected_over_the_family(tmp_path: Path, text_run: Write) -> None:
    """Differences that are near the margin: both one-sided tests of each, by scipy, and then Holm over all four."""
    study(tmp_path / "s", text_run, {"lstm": 2 + (X - 2) / 20, "gru": 2 + (Y - 2) / 20 + [0.0, 0.004, 0.002]})
    found = pairs(tmp_path)
    samples = [[2 + (X - 2) / 20, 2 + (Y - 2) / 20 + [0.0, 0.004, 0.002]]]
    (x, y), raw = samples[0], []
    for one, two in [*zip(x.T, y.T, strict=True), (x.mean(1), y.mean(1))]:
        above = scipy.stats.ttest_ind(two + 0.01, one, equal_var=False, alternative="greater").pvalue
        below = scipy.stats.ttest_ind(two - 0.01, one, equal_var=False, alternative="less").pvalue
        raw.append(max(above, below))
    assert [one.difference.p_equivalent for one in found] == pytest.approx(holm(raw))
    assert holm(raw) != pytest.approx(raw)


def test_over_all_only_the_seeds_count_that_every_length_has(tmp_path: Path, text_run: Write) -> None:
    """Seed 2 of the one was lost at the second of three lengths, and is in no mean over them."""
    study(tmp_path / "s", text_run, {"lstm": X - 1, "gru": Y}, lost=("lstm", 1, 2))
    every = pairs(tmp_path)[-1]
    assert (every.place, every.better, every.seeds, every.lost) == ("all", "gru", (7, 6), (0, 1))
    kept = np.delete(X - 1, 2, axis=0).mean(1)
    assert every.difference.mean == pytest.approx(kept.mean() - Y.mean())
    assert every.probability == pytest.approx(1 / 7), "it beats the lost run alone"


def test_over_all_only_the_cells_are_compared_that_every_length_has(tmp_path: Path, text_run: Write) -> None:
    study(tmp_path / "s", text_run, {"lstm": X, "gru": Y, "rnn": X[:, :2] + 1})
    *single, every = pairs(tmp_path)
    assert {(one.length, one.other) for one in single} == {
        (16, "gru"), (16, "rnn"), (32, "gru"), (32, "rnn"), (64, "gru"),
    }  # fmt: skip
    assert (every.place, every.better, every.other) == ("all", "lstm", "gru")


@pytest.mark.parametrize(("cells", "count"), [(2, 1), (4, 6), (5, 4)])
def test_up_to_four_cells_every_pair_is_compared(cells: int, count: int, tmp_path: Path, text_run: Write) -> None:
    names = ("rnn", "lstm", "gru", "mgu", "janet")[:cells]
    study(tmp_path / "s", text_run, {name: 2.0 + 0.1 * i + X[:, :1] for i, name in enumerate(names)})
    assert len(pairs(tmp_path)) == count


@pytest.mark.parametrize(
    ("p", "p_equivalent", "lost", "mean", "verdict"),
    [(0.0499, 0.05, 0, 0.1, "better"), (0.05, 0.05, 0, 0.1, "undecided"), (0.05, 0.0499, 0, 0.1, "equivalent"),
     (0.0499, 0.0499, 0, 0.1, "better, within the margin"), (0.05, 0.0499, 1, 0.1, "undecided"),
     (0.0499, 0.0499, 1, 0.1, "better"), (0.0499, None, 0, 0.1, "better"), (0.05, None, 0, 0.0, "undecided"),
     (0.0499, 0.05, 1, -0.1, "the other lost runs")],
)  # fmt: skip
def test_one_in_twenty_decides(p: float, p_equivalent: float | None, lost: int, mean: float, verdict: str) -> None:
    difference = Difference(mean, mean - 0.1, mean + 0.1, p, p_equivalent, paired=False)
    one = Comparison("kjv", "T = 16", 16, "gru", "lstm", (5, 5), (0, lost), difference, 0.9, 0.6, 1.0, None)
    assert (one.verdict, one.sure) == (verdict, p < 0.05)


def test_truncations_of_one_cell_are_pairs(tmp_path: Path, text_run: Write) -> None:
    """They share initial weights and batches, so a difference far smaller than the luck of seeds is seen."""
    luck = np.random.default_rng(0).normal(0, 1.0, 6)
    noise = np.random.default_rng(1).normal(0, 0.002, 6)
    luck[1], noise[:2] = luck[0] + 0.001, (0.003, -0.003)  # of two seeds each is better at one truncation
    for seed in range(6):
        for truncate, bpc in ((16, 3.02 + luck[seed] + noise[seed]), (None, 3 + luck[seed])):
            metrics = {"test/bpc": float(bpc)}
            text_run(tmp_path / "s", "lstm", 64, seed, metrics=metrics, full=False, truncate=truncate)
    groups = group(read([tmp_path]), TRUNCATE)
    assert [g.place for g in groups] == ["K = 16", "K = 64"]
    (one,) = effects(groups, SCORE)
    assert one.difference.paired
    assert (one.place, one.better, one.other) == ("lstm", "K = 64", "K = 16")
    assert one.sure
    assert one.difference.mean == pytest.approx(0.02, abs=0.003)
    known = scipy.stats.ttest_rel(3.02 + luck + noise, 3 + luck)
    assert one.difference.p == pytest.approx(known.pvalue), "the runs of a seed, in whatever order they score"
    assert one.verdict == "better"


def test_equal_is_said_where_it_was_shown(tmp_path: Path, text_run: Write) -> None:
    rng = np.random.default_rng(0)
    study(tmp_path / "near", text_run, {c: 2 + rng.normal(0, 0.002, (10, 1)) for c in ("lstm", "gru")})
    (near,) = pairs(tmp_path / "near")
    assert near.verdict == "equivalent"
    study(tmp_path / "vague", text_run, {c: 2 + rng.normal(0, 0.05, (5, 1)) for c in ("lstm", "gru")})
    (vague,) = pairs(tmp_path / "vague")
    assert vague.verdict == "undecided"
    study(tmp_path / "slight", text_run, {
        c: 2 + shift + rng.normal(0, 0.001, (10, 1)) for c, shift in (("lstm", 0), ("gru", 0.004))
    })  # fmt: skip
    (slight,) = pairs(tmp_path / "slight")
    assert slight.verdict == "better, within the margin"


def test_a_lost_run_loses_and_is_in_no_mean(tmp_path: Path, text_run: Write) -> None:
    good = np.linspace(2.0, 2.05, 6)[:, None]
    study(tmp_path / "s", text_run, {"lstm": good, "gru": good + 0.5}, lost=("gru", 0, 2))
    (one,) = pairs(tmp_path)
    assert (one.better, one.seeds, one.probability, one.verdict) == ("lstm", (6, 5), 1.0, "better")
    study(tmp_path / "t", text_run, {"lstm": good, "gru": good - 0.5}, lost=("gru", 0, 2))
    (other,) = pairs(tmp_path / "t")
    assert other.better == "lstm", "who has lost runs ranks last, whatever the survivors scored"
    assert other.probability == pytest.approx(1 / 6)
    assert other.difference.mean < 0
    assert other.verdict == "the other lost runs"


def test_a_length_with_lost_runs_has_no_effect(tmp_path: Path, text_run: Write) -> None:
    good = 2 + np.random.default_rng(0).normal(0, 0.002, (6, 2))
    study(tmp_path / "s", text_run, {"lstm": good})
    assert len(effects(group(read([tmp_path])), SCORE)) == 1
    study(tmp_path / "t", text_run, {"lstm": good}, lost=("lstm", 0, 2))
    assert effects(group(read([tmp_path / "t"])), SCORE) == []


def test_all_of_t_and_nothing_said_stay_apart(tmp_path: Path, text_run: Write) -> None:
    """On some tasks they are not the same: more is read than T steps."""
    for seed in range(5):
        for truncate in (64, None):
            text_run(tmp_path / "s", "lstm", 64, seed, full=False, truncate=truncate)
    found = group(read([tmp_path]), TRUNCATE)
    assert [(g.length, len(g.results)) for g in found] == [(64, 5), (64, 5)]
    assert not any(g.crossed for g in found)


def test_fewer_than_five_seeds_are_no_comparison(tmp_path: Path, text_run: Write) -> None:
    study(tmp_path / "s", text_run, {"lstm": X[:4, :1], "gru": Y[:4, :1]})
    assert pairs(tmp_path) == []
    assert [table.name for table in tables(read([tmp_path]))] == ["text"]


def test_of_many_cells_the_best_is_compared_with_each(tmp_path: Path, text_run: Write) -> None:
    names = ("rnn", "lstm", "gru", "mgu", "janet", "ugrnn")
    rng = np.random.default_rng(0)
    study(tmp_path / "s", text_run, {n: 2 + 0.1 * i + rng.normal(0, 0.01, (5, 1)) for i, n in enumerate(names)})
    found = pairs(tmp_path)
    assert {one.better for one in found} == {"rnn"}
    assert [one.other for one in found] == list(names[1:])
    table = tables(read([tmp_path]))[-1]
    assert table.name == "text-comparisons"
    assert all(row.bold for row in table.rows)
    assert any("Holm over all comparisons of this table (5)" in note for _, note in table.notes), "the family is stated"
    assert math.isclose(sum(row.raw["p"] < 0.05 for row in table.rows), 5)


def test_between_cells_seeds_are_no_pairs(tmp_path: Path, text_run: Write) -> None:
    """Two cells share a seed's number and nothing else: luck that seems to move both alike is luck."""
    luck = np.random.default_rng(0).normal(0, 1.0, (6, 1))
    noise = np.random.default_rng(1).normal(0, 0.002, (6, 1))
    study(tmp_path / "s", text_run, {"lstm": 3 + luck, "gru": 3.02 + luck + noise})
    (one,) = pairs(tmp_path)
    assert not one.difference.paired
    assert not one.sure
    assert one.difference.p > 0.9


def test_lengths_that_read_other_batches_are_no_pairs(tmp_path: Path, text_run: Write) -> None:
    study(tmp_path / "s", text_run, {"lstm": X})
    found = effects(group(read([tmp_path])), SCORE)
    assert [{one.better, one.other} for one in found] == [{"T = 16", "T = 64"}, {"T = 32", "T = 64"}]
    assert not any(one.difference.paired for one in found)


def test_chance_alone_is_not_sure(tmp_path: Path, text_run: Write) -> None:
    """Five cells that are all the same, twenty times: fewer than a tenth of the studies may find a difference."""
    found = []
    for trial in range(20):
        rng = np.random.default_rng(trial)
        names = ("rnn", "lstm", "gru", "mgu")
        study(tmp_path / str(trial), text_run, {name: rng.normal(2.0, 0.05, (5, 1)) for name in names})
        found.append(any(one.sure for one in pairs(tmp_path / str(trial))))
    assert sum(found) <= 3


def test_survivors_are_not_called_equal(tmp_path: Path, text_run: Write) -> None:
    """Ten runs of the one, and the half of the other's that did not diverge, all with the same score."""
    scores = 2 + np.random.default_rng(0).normal(0, 0.002, (10, 1))
    study(tmp_path / "s", text_run, {"lstm": scores, "gru": scores}, lost=("gru", 0, 5))
    (one,) = pairs(tmp_path)
    assert (one.better, one.lost) == ("lstm", (0, 1))
    assert one.difference.p_equivalent is not None
    assert one.difference.p_equivalent < 0.05
    assert one.verdict in ("undecided", "the other lost runs")


def test_one_cell_against_each_other(tmp_path: Path, text_run: Write) -> None:
    """More cells than every pair is compared of: each with mine, tested as in `compare`; without a rank where it has
    none, with the reason; and mine is found by its file's class in any case.
    """
    mine = "cells/leaky.py:Leaky"
    study(tmp_path / "s", text_run, {mine: X, "gru": Y, "lstm": Y + 0.3, "rnn": Y + 0.5, "irnn": Y[:3] + 0.7})
    results = read([tmp_path])
    groups = group(results)
    pairs = [one for one in compare_with(groups, SCORE, {"Leaky"}) if one.length == 16]
    assert [{one.better, one.other} for one in pairs] == [{"Leaky", other} for other in ("gru", "lstm", "rnn", "irnn")]
    tested = [one for one in pairs if isinstance(one, Comparison)]
    assert [one.other for one in tested] == ["gru", "lstm", "rnn"]
    assert tested[1].difference.mean == pytest.approx(Y[:, 0].mean() + 0.3 - X[:, 0].mean())
    (few,) = (one for one in pairs if isinstance(one, Unranked))
    assert (few.reason, few.seeds) == ("below 5 seeds: no ranking", (7, 3))
    assert few.difference == pytest.approx(Y[:3, 0].mean() + 0.7 - X[:, 0].mean())
    for name in ("leaky", "Leaky", mine):
        (table,) = (table for table in tables(results, name) if table.part == "against")
        assert len(table.rows) == 3 * 4
        assert sum(row.text["verdict"] == "below 5 seeds: no ranking" for row in table.rows) == 3
    assert not [table for table in tables(results, "mamba") if table.part == "against"]
