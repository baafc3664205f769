"""kill -9, again and again, of the sweep and of its workers: in the end every run is there once, bit for bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.processes import children
from support.sweeps import assert_same, command, entries, sweep_here, swept, write_study

from rnnbench.runs import LOG, RESULT

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")


def workers(sweep: int) -> list[int]:
    """Processes below the sweep's that a kill -9 may hit: whatever it has started."""
    below, _ = children()
    return [child for server in below.get(sweep, []) for child in below.get(server, [])]


@pytest.mark.parametrize(
    ("count", "kills", "steps"),
    [(4, 3, 200), pytest.param(30, 25, 900, marks=pytest.mark.timeout(1500))],
)
@pytest.mark.slow  # test_scheduler.py has one killed sweep
def test_killed_again_and_again(text_file: Path, tmp_path: Path, count: int, kills: int, steps: int) -> None:
    study = write_study(tmp_path, text_file, count, steps)
    rng = random.Random(count)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    killed = {"sweep": 0, "worker": 0}
    written: dict[str, int] = {}  # when each result was first seen: none may be made twice

    def look() -> None:
        for entry in entries(study, tmp_path / "killed"):
            if entry.result() is not None:
                stamp = entry.path(RESULT).stat().st_mtime_ns
                assert written.setdefault(entry.id, stamp) == stamp, f"{entry.id} was done twice"

    while len(written) < count:
        process = subprocess.Popen(command(study, tmp_path / "killed", "--jobs", "2"), **quiet)  # type: ignore[call-overload]
        try:
            while process.poll() is None:
                due = time.monotonic() + rng.uniform(0.1, 1.0)
                while not (found := workers(process.pid)) and process.poll() is None:
                    time.sleep(0.02)
                while time.monotonic() < due and process.poll() is None:
                    time.sleep(0.02)
                look()
                if sum(killed.values()) < kills and process.poll() is None and (found := workers(process.pid)):
                    victim = "sweep" if rng.random() < 0.3 else "worker"
                    try:
                        os.kill(process.pid if victim == "sweep" else rng.choice(found), signal.SIGKILL)
                    except ProcessLookupError:
                        continue
                    killed[victim] += 1
        finally:
            process.kill()
            process.wait()
        look()
    assert sum(killed.values()) == kills, f"only {killed} were killed: the runs are too short for the test"

    again = swept(study, tmp_path / "killed")
    assert again.returncode == 0
    assert "nothing was trained" in again.stdout
    look()

    sweep_here(study, tmp_path / "calm")
    for ours, theirs in zip(entries(study, tmp_path / "killed"), entries(study, tmp_path / "calm"), strict=True):
        assert_same(ours, theirs)
        left = {path.name for path in ours.folder.iterdir()} ^ {path.name for path in theirs.folder.iterdir()}
        assert left <= {LOG}, f"{ours.id} has left {left}"
    folders = {path.name for path in (tmp_path / "killed" / "short").iterdir() if path.is_dir()}
    assert folders - {"report", "wandb"} == {entry.id for entry in entries(study, tmp_path / "killed")}


@pytest.mark.slow
def test_two_sweeps_at_once(tmp_path: Path, text_file: Path) -> None:
    """They share the runs: each is done by one of them, and both end with all results. Also in a folder that a clone
    lies in: the workers do not take it for the package."""
    study = write_study(tmp_path, text_file, count=3, steps=250)
    (tmp_path / "rnnbench").mkdir()
    line = [str(Path(sys.executable).with_name("rnnbench")), *command(study, tmp_path / "runs")[3:]]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
    both = [
        subprocess.Popen(
            [*line, "--jobs", "1", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
            env=environment,
        ) for _ in range(2)
    ]  # fmt: skip
    ends = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends[0][1] + ends[1][1]
    outcomes = [json.loads(out) for out, _ in ends]
    names = sorted(entry.id for entry in entries(study, tmp_path / "runs"))
    assert all(sorted(outcome["finished"] + outcome["skipped"]) == names for outcome in outcomes)
    for entry in entries(study, tmp_path / "runs"):
        steps = [row["step"] for row in entry.history() if "lr" in row]
        assert steps == [50, 100, 150, 200, 250], "two have written into one history"
    assert any("is being run by process" in err or "by another sweep" in err for _, err in ends)
