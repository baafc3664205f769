from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnbench.report.results import read
from rnnbench.report.statistics import group


def test_lost_runs_stay_in_the_denominator_and_out_of_the_mean(text_study: Path) -> None:
    (g,) = (g for g in group(read([text_study])) if (g.cell, g.length) == ("rnn", 64))
    assert (len(g.done), len(g.results)) == (3, 5)
    found = g.estimate("test/bpc")
    assert len(found.values) == 3
    assert max(found.values) < 6.0  # the diverged run's 6.5 is not among them
    assert found.mean == pytest.approx(sum(result.metrics["test/bpc"] for result in g.done) / 3)  # type: ignore[misc]


def test_groups_split_by_what_else_varies_but_not_by_what_follows_length(
    tmp_path: Path, text_run: Callable[..., Path]
) -> None:
    for length in (16, 64):  # the batch size follows T, so that it is no extra
        for lr in (1e-3, 1e-2):
            for seed in range(2):
                text_run(tmp_path / "s", "gru", length, seed, lr=lr, full=False, tuned=False)
    groups = group(read([tmp_path]))
    assert [(g.length, g.extras) for g in groups] == [
        (length, (("optim.lr", lr),)) for length in (16, 64) for lr in (1e-3, 1e-2)
    ]
    assert {len(g.results) for g in groups} == {2}
    assert groups[0].series == "gru, lr=0.001"


def test_a_whole_number_is_one_setting_however_results_write_it(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    """An older one has 3 and 3.0, as the Run was made in Python or read from a file: one line, not two."""
    for length in (16, 64):
        for clip in (1, 5):
            for seed in range(2):
                cell = {"name": "lstm", "forget_bias": 3}
                path = text_run(tmp_path / f"clip{clip}", cell, length, seed, lr=1, full=False, tuned=False)
                text = (path / "result.json").read_text()
                number = float if (seed + length // 64) % 2 else int
                for found, name, value in (("3", "forget_bias", 3), ("1.0", "lr", 1), ("1.0", "clip", clip)):
                    assert f'"{name}": {found}' in text
                    text = text.replace(f'"{name}": {found}', f'"{name}": {number(value)}')
                (path / "result.json").write_text(text)
    groups = group(read([tmp_path]))
    assert [(g.length, g.series, len(g.results)) for g in groups] == [
        (length, f"lstm(forget_bias=3), clip={clip}", 2) for length in (16, 64) for clip in (1, 5)
    ]


def test_a_rate_that_was_chosen_for_each_setting_splits_nothing(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    for length, lr in ((16, 1e-3), (64, 4e-3)):
        for seed in range(2):
            text_run(tmp_path / "s", "gru", length, seed, lr=lr, full=False)
    assert [(g.length, g.extras, len(g.results)) for g in group(read([tmp_path]))] == [(16, (), 2), (64, (), 2)]


def test_runs_at_a_rate_that_was_not_chosen_are_no_seeds_of_those_at_the_one_that_was(
    tmp_path: Path, text_run: Callable[..., Path]
) -> None:
    """As a study has them whose rates were chosen once more, from a longer grid."""
    for seed in range(2):
        text_run(tmp_path / "s", "gru", 64, seed, lr=1e-3, full=False, tuned=False, metrics={"test/bpc": 9.0})
        text_run(tmp_path / "s", "gru", 64, seed, lr=2e-3, full=False, metrics={"test/bpc": 2.0})
    assert sorted(g.values("test/bpc") for g in group(read([tmp_path]))) == [[2.0, 2.0], [9.0, 9.0]]


def test_plain_cells_come_first_and_variants_are_apart(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    for cell in ("antisymmetric", "gru", {"name": "lstm", "forget_bias": 3.0}, "rnn", "lstm"):
        text_run(tmp_path / "s", cell, 16, 0, full=False)
    labels = [g.cell for g in group(read([tmp_path]))]
    assert labels == ["rnn", "lstm", "lstm(forget_bias=3)", "gru", "antisymmetric"]


@pytest.mark.parametrize(
    ("lags", "median"),
    [((10, "inf", 12), 12.0), ((10, "inf", "inf"), math.inf), ((10, 13), 11.5), ((10, "inf"), 10.0),
     (("inf", "inf"), math.inf), ((), None)],
)  # fmt: skip
def test_a_median_of_lags_knows_what_is_beyond_those_measured(
    lags: tuple[float | str, ...], median: float | None, tmp_path: Path, text_run: Callable[..., Path]
) -> None:
    text_run(tmp_path / "s", "rnn", 16, 99, "failed", full=False)
    for seed, value in enumerate(lags):
        text_run(tmp_path / "s", "rnn", 16, seed, metrics={"final/hundredth_lag": value}, full=False)
    (g,) = group(read([tmp_path]))
    assert g.median("final/hundredth_lag") == median
