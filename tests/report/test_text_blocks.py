"""How much of a score is the text's doing, over blocks that are as long as the text is alike."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from rnnbench.report.comparisons import compare
from rnnbench.report.results import read
from rnnbench.report.statistics import group
from rnnbench.report.tables.training import tables
from rnnbench.report.task_families import TASK_FAMILIES
from rnnbench.report.text_blocks import NLL, SIZES, score_by_text, spread

Write = Callable[..., Path]
BLOCKS = 200


def study(folder: Path, write: Write, hard: np.ndarray, extra: float, whole: bool = True) -> None:
    """Two cells that find the same blocks hard; gru takes some bits more on each."""
    rng = np.random.default_rng(0)
    sizes = np.append(np.full(BLOCKS - 1, 1000.0), 300.0)
    for cell, more in (("lstm", 0.0), ("gru", extra)):
        for seed in range(5):
            bits = hard + more + rng.normal(0, 0.002, BLOCKS)
            bpc = float((bits * sizes).sum() / sizes.sum())
            run = write(folder, cell, 16, seed, metrics={"test/bpc": bpc}, full=False)
            if whole or seed:
                np.savez(run / "curves.npz", **{NLL: bits * math.log(2), SIZES: sizes})


def test_the_interval_is_the_texts_and_not_the_seeds(tmp_path: Path, text_run: Write) -> None:
    hard = np.random.default_rng(1).normal(2.0, 0.3, BLOCKS)
    study(tmp_path / "s", text_run, hard, 0.01)
    groups = group(read([tmp_path]))
    found = score_by_text(groups[0])
    score = groups[0].estimate("test/bpc")
    assert found.mean == pytest.approx(score.mean, abs=1e-3)
    assert found.settled
    assert found.half_width == pytest.approx(1.97 * 0.3 / math.sqrt(BLOCKS), rel=0.25)  # the central limit theorem
    assert 2 * found.half_width > 20 * (score.interval[1] - score.interval[0])
    (one,) = compare(groups, TASK_FAMILIES["text"].primary)
    assert one.text.mean == pytest.approx(0.01, abs=0.001)
    assert one.text.half_width < 0.001, "what makes a block hard for both cancels in their difference"
    table, pairs = tables(read([tmp_path]))
    assert "± by text" in {column.title for column in table.columns}
    assert "text" in {column.key for column in pairs.columns}


def test_runs_and_lengths_are_averaged_block_by_block(tmp_path: Path, text_run: Write) -> None:
    """A group's blocks are the mean of its runs', a comparison's over all lengths of the differences."""
    rng, sizes = np.random.default_rng(3), np.full(60, 1000.0)
    bits = {key: rng.normal(2.0, 0.2, 60) for key in itertools.product(("lstm", "gru"), (16, 64), range(5))}
    for (cell, length, seed), values in bits.items():
        worse = values + (0.5 if cell == "gru" else 0.0)
        run = text_run(tmp_path / "s", cell, length, seed, metrics={"test/bpc": float(worse.mean())}, full=False)
        np.savez(run / "curves.npz", **{NLL: worse * math.log(2), SIZES: sizes})
    groups = group(read([tmp_path]))
    means = {key: np.mean([bits[*key, seed] for seed in range(5)], axis=0) for key in {key[:2] for key in bits}}
    found, mean = score_by_text(groups[0]), spread(means["lstm", 16], sizes)
    assert (found.mean, found.half_width) == pytest.approx((mean.mean, mean.half_width))
    every = compare(groups, TASK_FAMILIES["text"].primary)[-1]
    assert (every.place, every.better) == ("all", "lstm")
    differences = [means["gru", length] + 0.5 - means["lstm", length] for length in (16, 64)]
    expected = spread(np.mean(differences, axis=0), sizes)
    assert every.text.mean == pytest.approx(every.difference.mean)
    assert (every.text.half_width, every.text.block) == (pytest.approx(expected.half_width), expected.block)


def test_blocks_grow_until_they_are_independent() -> None:
    """Stretches of 8 blocks that are all alike: 4000 blocks are 500 independent ones, and no more."""
    each = np.random.default_rng(0).normal(2.0, 0.3, 500)
    found = spread(np.repeat(each, 8), np.full(4000, 1000.0))
    assert found.settled
    assert found.block in (8000, 16_000)
    assert found.half_width == pytest.approx(1.96 * 0.3 / math.sqrt(500), rel=0.1)
    assert found.half_width > 2.5 * 1.96 * 0.3 / math.sqrt(4000)


@pytest.mark.parametrize("last", [1000, 999, 3])
@pytest.mark.parametrize("recorded", [40, 41, 200])
def test_the_interval_is_that_of_pieces_of_the_text(recorded: int, last: int) -> None:
    """Character by character: cut into pieces as long as was found. What fills no whole block or piece is in the mean
    alone, as a last block that is short and unlike the others would count as much as a whole one.
    """
    rng = np.random.default_rng(recorded)
    bits = np.convolve(rng.normal(2.0, 0.3, recorded + 4), np.ones(5) / 5, "valid")
    sizes = np.append(np.full(recorded - 1, 1000), last)
    bits[-1] += 0.0 if last == 1000 else 7.0
    found = spread(bits, sizes.astype(float))
    characters = np.repeat(bits, sizes)
    assert found.mean == pytest.approx(characters.mean(), rel=1e-12)
    assert found.block > 1000
    whole = characters[: len(characters) - len(characters) % 1000]
    pieces = [whole[at : at + found.block].mean() for at in range(0, len(whole) - found.block + 1, found.block)]
    low, high = scipy.stats.t.interval(0.95, len(pieces) - 1, np.mean(pieces), scipy.stats.sem(pieces))
    assert found.half_width == pytest.approx((high - low) / 2, rel=1e-12)
    assert found.half_width < 0.2


@pytest.mark.parametrize(("recorded", "pieces"), [(200, 6), (20, 5), (39, 9), (40, 5)])
def test_what_never_settles_is_a_lower_bound(recorded: int, pieces: int) -> None:
    """A text that drifts from its beginning to its end has no two parts that are alike: down to five are tried."""
    found = spread(np.linspace(1.5, 2.5, recorded), np.full(recorded, 1000.0))
    assert not found.settled
    assert found.text.startswith("≥ ")
    assert recorded * 1000 // found.block == pieces


def test_the_widest_interval_counts_where_neighbours_make_up_for_each_other() -> None:
    """Hard and easy blocks in turn: two of them together are all alike, by their order and not by what they say."""
    found = spread(2.0 + 0.3 * (-1.0) ** np.arange(100), np.full(100, 1000.0))
    half_width = scipy.stats.t.ppf(0.975, 99) * 0.3 / math.sqrt(99)
    assert (found.settled, found.block, found.half_width) == (True, 1000, pytest.approx(half_width))


@pytest.mark.parametrize(("recorded", "known"), [(19, False), (20, True)])
def test_fewer_than_twenty_blocks_are_no_sample_of_a_text(
    recorded: int, known: bool, tmp_path: Path, text_run: Write
) -> None:
    run = text_run(tmp_path / "s", "gru", 16, 0)
    nll = np.random.default_rng(0).normal(1.4, 0.1, recorded)
    np.savez(run / "curves.npz", **{NLL: nll, SIZES: np.full(recorded, 1000)})
    (g,) = group(read([tmp_path]))
    found = score_by_text(g)
    assert (found is not None) == known
    assert found is None or found.mean == pytest.approx(nll.mean() / math.log(2))


def test_none_where_a_run_has_no_blocks(tmp_path: Path, text_run: Write) -> None:
    study(tmp_path / "s", text_run, np.full(BLOCKS, 2.0), 0.1, whole=False)
    groups = group(read([tmp_path]))
    assert [score_by_text(g) for g in groups] == [None, None]
    assert {one.text for one in compare(groups, TASK_FAMILIES["text"].primary)} == {None}
    table, _ = tables(read([tmp_path]))
    assert "± by text" not in {column.title for column in table.columns}
