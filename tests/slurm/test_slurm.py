"""Sweeps on a real Slurm of two simulated nodes, disturbed in every way that a cluster knows; `make test-slurm`."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from support.sweeps import assert_same

from rnnbench.runs import RunDirectory
from rnnbench.sweep.study import find_study
from slurm.cluster import NODES, Cluster, wait_for

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1200)]

STUDY = """
from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run, Study

def run(seed, steps):
    return Run(cell=CellConfig("rnn"), model=ModelConfig(hidden_size=8), seed=seed,
               data=DataConfig(path={path!r}, seq_len=8, batch_size=4), budget=BudgetConfig(steps=steps, evals=1),
               probes=ProbeConfig(gradient_flow=False))

STUDY = Study("small", "Does it hold?", {{
    "quick": lambda: [run(seed, 2500) for seed in range(12)],
    "long": lambda: [run(seed, 6000) for seed in range(3)],
    "one": lambda: [run(0, 8000)],
}})
"""


@dataclasses.dataclass
class Sweep:
    """`rnnbench sweep` of the small study, on the cluster or here, in one folder of results."""

    cluster: Cluster
    study: Path
    root: Path
    preset: str

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "rnnbench", "sweep", str(self.study), "--preset", self.preset]
        command += ["--out", str(self.root), "--jobs", "2", *words]
        environment = self.cluster.environment | {"RNNBENCH_DATA": str(self.root.parent / "cache")}
        return subprocess.Popen(
            command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.root.parent
        )

    def on_cluster(self) -> subprocess.Popen[str]:
        return self.start("--launcher", "slurm", "--slurm", "time=30")

    def entries(self) -> list[RunDirectory]:
        return [RunDirectory(self.root, "small", job.id) for job in find_study(str(self.study)).jobs(self.preset)]

    def done(self) -> list[RunDirectory]:
        return [directory for directory in self.entries() if directory.result() is not None]

    def logs(self) -> str:
        return "".join(path.read_text() for path in sorted((self.root / "small" / "slurm").glob("*_log.*")))

    def arrays(self) -> int:
        return len(list((self.root / "small" / "slurm").glob("*_submission.sh")))


@pytest.fixture
def study(text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RNNBENCH_CELLS", "")
    path = tmp_path / "small.py"
    path.write_text(STUDY.format(path=str(text_file)))
    return path


def ended(process: subprocess.Popen[str], seconds: float, cluster: Cluster | None = None) -> str:
    """What a command printed, once it has ended by itself; what waits in the queue is hurried along."""

    def over() -> bool:
        if cluster is not None:
            cluster.hurry()
        with suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
        return process.returncode is not None

    try:
        wait_for(over, seconds, "the command has ended")
    finally:
        if process.poll() is None:
            process.kill()
    assert process.stdout is not None
    return process.stdout.read()


def task_on(cluster: Cluster, node: str) -> int | None:
    """The process of the sweep that runs on a node."""
    for pid, command in cluster.processes(node).items():
        if "submitit.core._submit" in command and "srun" not in command and "/bin/sh" not in command:
            return pid
    return None


def held_on(sweep: Sweep, cluster: Cluster, node: str) -> list[RunDirectory]:
    """The runs that a node is in the middle of: their locks are held from its process name space."""
    spaces = {os.readlink(f"/proc/{pid}/ns/pid") for pid in cluster.processes(node) if Path(f"/proc/{pid}").exists()}
    found = []
    for directory in sweep.entries():
        for path in directory.folder.glob(".lock-*"):
            with suppress(OSError, ValueError):
                if json.loads(path.read_text())["machine"].rpartition("/")[2] in spaces and directory.history():
                    found.append(directory)
    return found


def assert_as_undisturbed(sweep: Sweep) -> None:
    """Every result is there, and is bit for bit that of a local sweep that nobody disturbed."""
    calm = dataclasses.replace(sweep, root=sweep.root.parent / "calm")
    process = calm.start()
    text = ended(process, 300)
    assert process.returncode == 0, text
    for ours, theirs in zip(sweep.entries(), calm.entries(), strict=True):
        result = ours.result()
        assert result is not None
        assert result["status"] == "done"
        assert_same(ours, theirs)
        assert not list(ours.folder.glob(".lock-*")) + list(ours.folder.glob("*.part")), ours.id


def test_a_process_and_then_a_whole_node_are_killed(real_cluster: Cluster, study: Path, tmp_path: Path) -> None:
    """First kill -9 of one task, which Slurm lets rest; then a power cut of the other's node, which comes back."""
    sweep = Sweep(real_cluster, study, tmp_path / "runs", "quick")
    process = sweep.on_cluster()
    written: dict[Path, int] = {}

    def note_results() -> None:
        for directory in sweep.done():
            written.setdefault(directory.path("result.json"), directory.path("result.json").stat().st_mtime_ns)

    try:
        wait_for(lambda: note_results() or len(written) >= 2, 90, "two runs are done")
        first, second = NODES
        wait_for(lambda: held_on(sweep, real_cluster, first), 30, f"{first} is in the middle of a run")
        (orphan,) = held_on(sweep, real_cluster, first)
        victim = task_on(real_cluster, first)
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: task_on(real_cluster, first) is None and not real_cluster.processes(first), 30, "it is gone")
        assert orphan.result() is None, "the run was over already: the test showed nothing"

        wait_for(lambda: held_on(sweep, real_cluster, second), 30, f"{second} is in the middle of a run")
        (cut,) = held_on(sweep, real_cluster, second)
        real_cluster.kill_node(second)
        note_results()
        before = len(written)
        assert cut.result() is None, "the run was over already: the test showed nothing"
        assert before < 11, "nothing was left for those that took over"
        wait_for(lambda: "down*" in real_cluster.run("sinfo", "-h", "-N", "-p", "all", "-o", "%t"), 60, "Slurm notices")
        real_cluster.start_node(second)
        text = ended(process, 300, real_cluster)
    finally:
        process.kill()
    assert process.returncode == 0, text + sweep.logs()
    assert len(sweep.done()) == 12
    assert {path: path.stat().st_mtime_ns for path in written} == written, "a run that was done was done again"
    # A task says of a run "done" and how long it took; of one that it found done by another, that.
    for job in find_study(str(study)).jobs("quick"):
        lines = [line for line in sweep.logs().splitlines() if re.search(rf"{job.label} +done +\d", line)]
        assert len(lines) <= 1, lines
    assert_as_undisturbed(sweep)


def test_preempted_left_alone_and_followed_again(real_cluster: Cluster, study: Path, tmp_path: Path) -> None:
    """Ctrl-C leaves the tasks; Slurm's signal makes them write checkpoints and queue again; none is done twice."""
    sweep = Sweep(real_cluster, study, tmp_path / "runs", "long")
    process = sweep.on_cluster()
    try:
        wait_for(lambda: all(held_on(sweep, real_cluster, node) for node in NODES), 90, "both nodes are at work")
        process.send_signal(signal.SIGINT)
        text = ended(process, 30)
        assert process.returncode == 130, text
        assert "the tasks go on" in text
        ((array, *_), *_) = real_cluster.queue("%F")
        assert f"scancel {array}" in text

        begun = [directory for node in NODES for directory in held_on(sweep, real_cluster, node)]
        assert len(begun) == 2, "a run was over already: the test showed nothing"
        real_cluster.run("scancel", "--signal=USR2", array)
        wait_for(lambda: {row[0] for row in real_cluster.queue("%T")} == {"PENDING"}, 60, "both tasks are requeued")
        for directory in begun:
            assert directory.result() is None
            assert directory.path("last.ckpt").exists(), sweep.logs()
            assert not directory.path(".lock-000001").exists() or directory.path(".lock-000001").stat().st_mtime == 0

        process = sweep.on_cluster()
        text = ended(process, 200, real_cluster)
    finally:
        process.kill()
    assert process.returncode == 0, text + sweep.logs()
    assert sweep.arrays() == 1, "what was queued already was handed in once more"
    again = sweep.on_cluster()
    text = ended(again, 60)
    assert again.returncode == 0, text
    assert "nothing was trained" in text
    assert sweep.arrays() == 1
    assert_as_undisturbed(sweep)


def test_who_is_more_urgent_goes_first(real_cluster: Cluster, study: Path, tmp_path: Path) -> None:
    """Slurm asks the task to make room and gives it some seconds: it writes a checkpoint, and is queued again."""
    sweep = Sweep(real_cluster, study, tmp_path / "runs", "one")
    process = sweep.on_cluster()
    (directory,) = sweep.entries()
    try:
        wait_for(lambda: any(held_on(sweep, real_cluster, node) for node in NODES), 90, "a node is at work")
        (node,) = (node for node in NODES if held_on(sweep, real_cluster, node))
        ((task, *_),) = real_cluster.queue("%i")
        real_cluster.run("sbatch", "-p", "urgent", "-w", node, "--output=/dev/null", "--wrap", "sleep 2")
        wait_for(lambda: ["urgent", "RUNNING"] in real_cluster.queue("%P %T"), 60, "the urgent job runs")
        assert directory.result() is None, "the run was over already: the test showed nothing"
        assert directory.path("last.ckpt").exists(), sweep.logs()
        assert task in [row[0] for row in real_cluster.queue("%i")], "the task is not queued again"
        text = ended(process, 120, real_cluster)
    finally:
        process.kill()
    assert process.returncode == 0, text + sweep.logs()
    assert sweep.arrays() == 1
    assert_as_undisturbed(sweep)
