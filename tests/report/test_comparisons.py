"""Paired comparisons against scipy, statsmodels (Holm) and rliable (the probability of improvement)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from rnnbench.report.comparisons import Comparison, compare, holm, probability_of_improvement
from rnnbench.report.kinds import KINDS
from rnnbench.report.results import read
from rnnbench.report.statistics import group
from rnnbench.report.tables.training import tables

Write = Callable[..., Path]
SCORE = KINDS["text"].headline
X = np.array(
    [[2.0, 2.03, 1.973], [1.911, 1.955, 1.901], [2.006, 2.134, 1.951], [1.938, 2.049, 2.036], [2.011, 1.907, 1.997],
     [2.07, 1.866, 1.954], [1.81, 1.871, 1.816]]
)  # fmt: skip
Y = np.array(
    [[2.036, 1.933, 2.087], [2.076, 2.041, 1.808], [2.006, 2.055, 2.071], [1.907, 2.012, 1.962], [1.979, 2.166, 1.979],
     [2.057, 2.148, 2.002], [2.049, 2.071, 2.066]]
)  # fmt: skip
#: rliable 1.2 on (−X, −Y), its scores being the better the larger; the interval of 2000 draws.
RLIABLE, RLIABLE_INTERVAL = 0.7312925170068026, (0.5612, 0.8776)


def study(folder: Path, write: Write, scores: dict[str, np.ndarray], lost: tuple[str, int, int] | None = None) -> None:
    """scores: by cell (seeds, lengths); lost: a cell, the length's index and the seed of a run that diverged."""
    for cell, values in scores.items():
        for seed, row in enumerate(values):
            for index, value in enumerate(row):
                status = "diverged" if (cell, index, seed) == lost else "done"
                write(folder, cell, 16 << index, seed, status, {"test/bpc": float(value)}, full=False)


def pairs(folder: Path) -> list[Comparison]:
    return compare(group(read([folder])), SCORE)


def test_holm_is_statsmodels() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.5])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_probability_is_rliables_and_mann_whitneys() -> None:
    assert probability_of_improvement(list(zip(X.T, Y.T, strict=True))) == pytest.approx(RLIABLE)
    u = scipy.stats.mannwhitneyu(Y[:, 0], X[:, 0]).statistic
    assert probability_of_improvement([(X[:, 0].tolist(), Y[:, 0].tolist())]) == pytest.approx(u / 49)


def test_a_study_is_compared_at_each_length_and_over_all(tmp_path: Path, text_run: Write) -> None:
    study(tmp_path / "s", text_run, {"lstm": X, "gru": Y})
    *single, every = pairs(tmp_path)
    assert [one.seq_len for one in single] == [16, 32, 64]
    assert (every.seq_len, every.better, every.other, every.pairs) == (None, "lstm", "gru", 7)
    raw = [scipy.stats.ttest_rel(X[:, i], Y[:, i]).pvalue for i in range(3)]
    raw.append(scipy.stats.ttest_rel(X.mean(1), Y.mean(1)).pvalue)
    assert [one.p for one in (*single, every)] == pytest.approx(holm(raw))
    differences = Y.mean(1) - X.mean(1)
    assert every.difference == pytest.approx(scipy.stats.trim_mean(differences, 0.25))
    assert every.low < every.difference < every.high
    assert every.probability == pytest.approx(RLIABLE)
    assert (every.probability_low, every.probability_high) == pytest.approx(RLIABLE_INTERVAL, abs=0.03)


def test_pairs_are_of_one_seed(tmp_path: Path, text_run: Write) -> None:
    """Seeds that move both cells alike hide a small difference from unpaired tests, and not from this one."""
    luck = np.random.default_rng(0).normal(0, 1.0, (6, 1))
    noise = np.random.default_rng(1).normal(0, 0.002, (6, 1))
    study(tmp_path / "s", text_run, {"lstm": 3 + luck, "gru": 3.02 + luck + noise})
    (one,) = pairs(tmp_path)
    assert one.sure
    assert one.difference == pytest.approx(0.02, abs=0.003)
    assert scipy.stats.ttest_ind(luck.ravel(), (luck + 0.02 + noise).ravel()).pvalue > 0.9


def test_chance_alone_is_not_sure(tmp_path: Path, text_run: Write) -> None:
    """Five cells that are all the same, twenty times: fewer than a tenth of the studies may find a difference."""
    found = []
    for trial in range(20):
        rng = np.random.default_rng(trial)
        names = ("rnn", "lstm", "gru", "mgu")
        study(tmp_path / str(trial), text_run, {name: rng.normal(2.0, 0.05, (5, 1)) for name in names})
        found.append(any(one.sure for one in pairs(tmp_path / str(trial))))
    assert sum(found) <= 3


def test_a_lost_run_loses_and_is_in_no_pair(tmp_path: Path, text_run: Write) -> None:
    good = np.linspace(2.0, 2.05, 6)[:, None]
    study(tmp_path / "s", text_run, {"lstm": good, "gru": good + 0.5}, lost=("gru", 0, 2))
    (one,) = pairs(tmp_path)
    assert (one.better, one.pairs, one.probability) == ("lstm", 5, 1.0)
    study(tmp_path / "t", text_run, {"lstm": good, "gru": good - 0.5}, lost=("gru", 0, 2))
    (other,) = pairs(tmp_path / "t")
    assert other.better == "lstm", "who has lost runs ranks last, whatever the survivors scored"
    assert other.probability == pytest.approx(1 / 6)
    assert other.difference < 0


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
