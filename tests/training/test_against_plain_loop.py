"""The whole of `rnnbench train` against the loop that everyone writes: the same bits per character."""

from __future__ import annotations

import importlib.util
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_the_defaults_reach_the_plain_loop(cell: str, tmp_path: Path) -> None:
    """The default model, 600,000 characters, two seeds: within 0.04 bits per character."""
    spec = importlib.util.spec_from_file_location("against", ROOT / "benchmarks" / "against_plain_loop.py")
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    theirs = [benchmark.plain(cell, seed, 600_000)["bpc"] for seed in (0, 1)]
    ours = [benchmark.ours(cell, seed, 600_000, str(tmp_path))["bpc"] for seed in (0, 1)]
    assert statistics.mean(ours) == pytest.approx(statistics.mean(theirs), abs=0.04)
