from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rnnbench.report.results import read
from rnnbench.report.statistics import group


def test_lost_runs_stay_in_the_denominator_and_out_of_the_mean(text_study: Path) -> None:
    (g,) = (g for g in group(read([text_study])) if (g.cell, g.seq_len) == ("rnn", 64))
    assert (len(g.done), len(g.results)) == (3, 5)
    found = g.estimate("test/bpc")
    assert found is not None
    assert len(found.values) == 3
    assert max(found.values) < 6.0  # the diverged run's 6.5 is not among them
    assert found.iqm == pytest.approx(sum(result.metrics["test/bpc"] for result in g.done) / 3)  # type: ignore[misc]


def test_groups_split_by_what_else_varies_but_not_by_what_follows_length(
    tmp_path: Path, text_run: Callable[..., Path]
) -> None:
    for length in (16, 64):  # the batch size follows T, so that it is no extra
        for lr in (1e-3, 1e-2):
            for seed in range(2):
                text_run(tmp_path / "s", "gru", length, seed, lr=lr, full=False)
    groups = group(read([tmp_path]))
    assert [(g.seq_len, g.extras) for g in groups] == [
        (length, (("optim.lr", lr),)) for length in (16, 64) for lr in (1e-3, 1e-2)
    ]
    assert {len(g.results) for g in groups} == {2}
    assert groups[0].series == "gru, lr=0.001"


def test_plain_cells_come_first_and_variants_are_apart(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    for cell in ("antisymmetric", "gru", {"name": "lstm", "forget_bias": 3.0}, "rnn", "lstm"):
        text_run(tmp_path / "s", cell, 16, 0, full=False)
    labels = [g.cell for g in group(read([tmp_path]))]
    assert labels == ["rnn", "lstm", "lstm(forget_bias=3.0)", "gru", "antisymmetric"]


def test_a_median_of_half_lives_survives_an_infinite_one(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    for seed, value in enumerate((10.0, "inf", 12.0)):
        text_run(tmp_path / "s", "rnn", 16, seed, metrics={"final/half_life": value}, full=False)
    (g,) = group(read([tmp_path]))
    assert g.median("final/half_life") == 12.0
