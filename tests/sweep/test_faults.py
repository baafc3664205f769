"""A full disk, a read-only folder, a clock set back, damaged files, no server: results, or a sentence that says why."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.sweeps import assert_same, command, entries, sweep_here, swept, write_study

from rnnbench.runs import CHECKPOINT, RESULT

#: The command, but that a run is given up after one short pause.
ONE_RETRY = """
import sys
from rnnbench.sweep import slots
slots.DELAYS = (0.2,)
from rnnbench.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
#: In a name space of its own, so that it takes no rights: sweeps on a disk that is small, then larger, then read-only.
ON_A_SMALL_DISK = """
set -e
mount -t tmpfs -o size=60k tmpfs $DISK
sweep() { set +e; "${@:2}" >$OUT/$1.txt 2>&1; echo $? >$OUT/$1.status; set -e; }
sweep small "$@"
find $DISK -name '*.part' >$OUT/parts.txt
mount -o remount,size=50m $DISK
sweep larger "$@"
mount -o remount,ro $DISK
sweep readonly "$@"
cp -r $DISK/. $OUT/runs
"""


def may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    return (
        subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode == 0
    )


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, small_text: str) -> Path:
    """A study of two short runs, and the folder of an undisturbed sweep of it beside it."""
    folder = tmp_path_factory.mktemp("calm")
    (folder / "small.txt").write_text(small_text)
    study = write_study(folder, folder / "small.txt", count=2, steps=150)
    sweep_here(study, folder / "runs")
    return study


def assert_as_calm(calm: Path, root: Path) -> None:
    for ours, theirs in zip(entries(calm, root), entries(calm, calm.parent / "runs"), strict=True):
        assert_same(ours, theirs)


@pytest.mark.slow
@pytest.mark.skipif(not may_mount(), reason="no small file system can be mounted here")
def test_a_full_and_a_read_only_disk(calm: Path, tmp_path: Path) -> None:
    """Full: each missing run once and why, no traceback; on a larger one the same command ends as if undisturbed.
    Read-only: refused in one line before any work is done, and no result is touched."""
    (tmp_path / "disk").mkdir()
    line = [sys.executable, "-c", ONE_RETRY, *command(calm, tmp_path / "disk", "--jobs", "2")[3:]]
    script = ["unshare", "-rm", "bash", "-c", ON_A_SMALL_DISK, "bash", *line]
    environment = {**os.environ, "DISK": str(tmp_path / "disk"), "OUT": str(tmp_path)}
    done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    small, larger, readonly = ((tmp_path / f"{name}.txt").read_text() for name in ("small", "larger", "readonly"))
    statuses = [int((tmp_path / f"{name}.status").read_text()) for name in ("small", "larger", "readonly")]
    assert statuses == [1, 0, 2], small + larger + readonly
    assert "No space left on device; choose another folder with --out." in " ".join(small.split())
    assert "Traceback" not in small
    assert (tmp_path / "parts.txt").read_text() == "", "half-written files are left on a full disk"
    assert readonly.splitlines()[-1].startswith("rnnbench: error: cannot write to ")
    assert readonly.count("rnnbench: error:") == 1
    assert "Read-only file system" in readonly
    assert_as_calm(calm, tmp_path / "runs")


@pytest.mark.slow  # tests/runs has what a clock could break
def test_a_clock_that_runs_backwards(calm: Path, tmp_path: Path) -> None:
    """Each look at it an hour earlier, in every process of the sweep."""
    (tmp_path / "sitecustomize.py").write_text(
        "import time\nnow = [time.time()]\n"
        "def back():\n    now[0] -= 3600.0\n    return now[0]\n"
        "time.time = back\ntime.time_ns = lambda: int(1e9 * back())\n"
    )
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = swept(calm, tmp_path / "runs", "--jobs", "2", PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert_as_calm(calm, tmp_path / "runs")
    for entry in entries(calm, tmp_path / "runs"):
        result = entry.result()
        assert result is not None
        assert 0 < result["seconds"] < 120


@pytest.mark.slow
def test_damaged_files_are_replaced(calm: Path, tmp_path: Path) -> None:
    """A result of garbage beside a checkpoint that was cut short, as after a power cut."""
    shutil.copytree(calm.parent / "runs", tmp_path / "runs")
    first, second = entries(calm, tmp_path / "runs")
    first.path(RESULT).write_bytes(first.path(RESULT).read_bytes()[:300])
    first.path(CHECKPOINT).write_bytes(b"PK\x03\x04" + bytes(500))
    before = second.path(RESULT).stat().st_mtime_ns
    assert sweep_here(calm, tmp_path / "runs").finished == [first.id]
    assert second.path(RESULT).stat().st_mtime_ns == before
    assert_as_calm(calm, tmp_path / "runs")


@pytest.mark.slow
def test_a_server_that_does_not_answer(calm: Path, tmp_path: Path) -> None:
    """A key and no network: some seconds are lost once, not once a run, and nothing else is."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)  # takes every connection, and never says a word
        online = {"WANDB_MODE": "online", "WANDB_API_KEY": "0" * 40,
                  "WANDB_BASE_URL": f"http://127.0.0.1:{silent.getsockname()[1]}"}  # fmt: skip
        begin = time.monotonic()
        done = swept(calm, tmp_path / "runs", "--jobs", "1", **online)
        seconds = time.monotonic() - begin
    assert done.returncode == 0, done.stderr
    assert "W&B is out of reach" in done.stdout
    assert_as_calm(calm, tmp_path / "runs")
    results = [entry.result() for entry in entries(calm, tmp_path / "runs")]
    longest, shortest = sorted((result["seconds"] for result in results if result), reverse=True)
    assert longest < 20, "that was to be ten seconds of waiting"
    assert shortest < 6, "the second run has waited too"
    assert seconds < 45
    assert len(list((tmp_path / "runs" / "short" / "wandb").glob("offline-run-*"))) >= 2
