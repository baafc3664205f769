"""Ctrl-C, and a second sweep beside the first: what is done stays done, once."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console
from support.sweeps import assert_same, command, entries, load, sweep_here, swept, write_study

from rnnbench.runs import CHECKPOINT, lock
from rnnbench.sweep.display import Display
from rnnbench.sweep.outcome import Options
from rnnbench.sweep.scheduler import Scheduler


@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_ctrl_c(tmp_path: Path, text_file: Path, times: int) -> None:
    """Once: a checkpoint, and the end, in order. Twice: the end. Either way the same command goes on from there."""
    study = write_study(tmp_path, text_file, count=1, steps=1500)
    process = subprocess.Popen(
        command(study, tmp_path / "runs"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    (entry,) = entries(study, tmp_path / "runs")
    try:
        limit = time.monotonic() + 60
        while not entry.history():
            assert time.monotonic() < limit
            time.sleep(0.02)
        begin = time.monotonic()
        for _ in range(times):
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: to all
            time.sleep(0.02)
        said, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert time.monotonic() - begin < 15
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert "the same command resumes it" in said
    assert entry.result() is None, "it was over already: the test showed nothing"
    if times == 1:
        assert entry.path(CHECKPOINT).exists()
        assert "stopping, 1 at work write their checkpoints" in said
    for root in ("runs", "calm"):
        sweep_here(study, tmp_path / root)
    assert_same(entry, entries(study, tmp_path / "calm")[0])


def test_two_sweeps_at_once(tmp_path: Path, text_file: Path) -> None:
    """They share the runs: each is done by one of them, and both end with all results."""
    study = write_study(tmp_path, text_file, count=4, steps=250)
    ends: list[subprocess.CompletedProcess[str]] = []
    threads = [
        threading.Thread(target=lambda: ends.append(swept(study, tmp_path / "runs", "--jobs", "1", "--json")))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [end.returncode for end in ends] == [0, 0], ends[0].stderr + ends[1].stderr
    outcomes = [json.loads(end.stdout) for end in ends]
    names = sorted(entry.id for entry in entries(study, tmp_path / "runs"))
    assert all(sorted(outcome["finished"] + outcome["skipped"]) == names for outcome in outcomes)
    for entry in entries(study, tmp_path / "runs"):
        steps = [row["step"] for row in entry.history() if "lr" in row]
        assert steps == [50, 100, 150, 200, 250], "two have written into one history"
    assert sum("is left to process" in end.stderr or "by another sweep" in end.stderr for end in ends) >= 1


def test_a_dead_machines_run_is_taken_over(tmp_path: Path, text_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lock shows no life: the sweep waits, sees that, and its worker need not wait a minute of its own."""
    monkeypatch.setattr(lock, "STALE", 1.0)
    study = write_study(tmp_path, text_file, count=2, steps=20)
    first, second = entries(study, tmp_path / "runs")
    first.folder.mkdir(parents=True)
    path = first.path(".lock-000007")
    path.write_text(json.dumps({"host": "quark", "pid": 1, "born": "1", "machine": "other", "id": "x"}))
    os.utime(path, ns=(10**9, 10**9))
    seen = io.StringIO()
    begin = time.monotonic()
    display = Display(Console(file=seen, width=200))
    outcome = Scheduler(load(study).jobs("quick"), tmp_path / "runs", "short", Options(1, "disabled"), display).run()
    assert sorted(outcome.finished) == sorted([first.id, second.id])
    assert "seed 0 is left to process 1 on quark" in seen.getvalue()
    assert time.monotonic() - begin < 40
    assert not list(first.folder.glob(".lock-*"))
