"""``make gpu-results`` without a GPU: every step is gone through with small sizes, and again, and is then done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STUDIES = {"seqlen_throughput", "width_throughput", "decode_latency", "published_shapes", "seqlen_gradients"}


def gpu_results(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu_results.py"), *words]
    environment = {**os.environ, "RNNBENCH_CELLS": "", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=280, env=environment)


@pytest.mark.slow
def test_every_step_is_gone_through(tmp_path: Path) -> None:
    out = tmp_path / "results"
    steps = ("lengths", "sizes", "published", "gradients")
    done = gpu_results(*steps, "--dry_run", "--out", str(out), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in out.iterdir()} == STUDIES
    for study in STUDIES:
        results = [json.loads(path.read_text()) for path in out.glob(f"{study}/*/result.json")]
        # The sizes of the others are the same, cut down.
        assert len(results) == (2 if study in ("published_shapes", "seqlen_gradients") else 1)
        assert all(result["status"] in ("done", "diverged") for result in results)
        assert (out / study / "report" / "report.md").is_file()
        assert not list(out.glob(f"{study}/*/model.pt"))
    refused = "".join(path.read_text() for path in out.glob("published_shapes/*/result.json"))
    assert "CUDA graphs need a CUDA device" in refused
    assert "seqlen_throughput          1/1" in done.stdout
    again = gpu_results("lengths", "--dry_run", "--out", str(out), cwd=tmp_path)
    assert again.returncode == 0
    assert "certify" not in again.stdout


def test_what_is_stopped_says_so(tmp_path: Path) -> None:
    stopped = gpu_results("lengths", "--dry_run", "--out", str(tmp_path / "r"), "--limit", "0.5", cwd=tmp_path)
    assert stopped.returncode == 1
    assert "== lengths was stopped after 0 s; the same command resumes" in stopped.stdout
    assert "seqlen_throughput          0/1" in stopped.stdout


def test_it_needs_a_card_and_a_step_that_exists(tmp_path: Path) -> None:
    for words, sentence in (
        (("lengths",), "torch sees no GPU here"),
        (("length",), "there is no step length"),
        (("--dry_run",), "--dry_run needs --out"),
    ):
        refused = gpu_results(*words, cwd=tmp_path)
        assert refused.returncode == 2
        assert sentence in refused.stderr
