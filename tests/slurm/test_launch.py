"""What the process that submits an array decides, without a cluster: Slurm is played by a few lines."""

from __future__ import annotations

import dataclasses
import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rnnbench.config import Run
from rnnbench.config.timing import Timing
from rnnbench.errors import UserError
from rnnbench.runs import RunDirectory, Start
from rnnbench.sweep import slurm_launcher as slurm
from rnnbench.sweep.display import Display
from rnnbench.sweep.run_study import Options, Outcome
from rnnbench.sweep.slurm_launcher import QueuedTask, check_slurm, parse_parameters, queue, slurm_launcher, submit
from rnnbench.sweep.slurm_task import ArrayTask

JOBS = [Run(seed=seed) for seed in range(5)]


def finish(root: Path, job: Run, status: str = "done", **more: Any) -> None:
    directory = RunDirectory(root, "s", job.id)
    with directory.opened(job.to_dict()):
        directory.finish(job, status, Start(), {}, {}, **more)


class Cluster:
    """Plays Slurm: each array that is submitted does what ``script`` says next, and is gone by the second look."""

    def __init__(self, root: Path, *script: Callable[[Sequence[ArrayTask]], None]) -> None:
        self.root, self.script = root, list(script)
        self.arrays: list[Sequence[ArrayTask]] = []
        self.queued: dict[str, list[QueuedTask]] = {}

    def submit(self, tasks: Sequence[ArrayTask], folder: Path, name: str, parameters: object) -> str:
        self.arrays.append(tasks)
        number = str(100 + len(self.arrays))
        self.queued[number] = [QueuedTask(name, "RUNNING", "None")]
        self.script.pop(0)(tasks)
        return number

    def queue(self) -> dict[str, list[QueuedTask]]:
        found, self.queued = self.queued, {}
        return found

    def does(self, *seeds: int, status: str = "done") -> Callable[[Sequence[ArrayTask]], None]:
        def do(tasks: Sequence[ArrayTask]) -> None:
            for seed in seeds:
                finish(self.root, JOBS[seed], status, error="no")

        return do


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    played = Cluster(tmp_path)
    monkeypatch.setattr(slurm, "check_slurm", lambda: None)
    monkeypatch.setattr(slurm, "submit", played.submit)
    monkeypatch.setattr(slurm, "queue", played.queue)
    monkeypatch.setattr(slurm.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(slurm, "ASK", 0.0)
    return played


def launched(cluster: Cluster, tasks: int = 2, **options: Any) -> tuple[Outcome, str]:
    console = Console(record=True, quiet=False, width=400, file=open(os.devnull, "w"))  # noqa: SIM115
    with Display(console) as display:
        outcome = slurm_launcher(tasks, {})(JOBS, cluster.root, "s", Options(**options), display)
    return outcome, console.export_text()


def ids(*seeds: int) -> list[str]:
    return [JOBS[seed].id for seed in seeds]


def test_an_array_does_what_is_missing_and_its_tasks_begin_at_different_places(cluster: Cluster) -> None:
    finish(cluster.root, JOBS[0])
    cluster.script = [cluster.does(1, 2, 3, 4)]
    outcome, _ = launched(cluster)
    assert (outcome.skipped, outcome.finished, outcome.trouble) == (ids(0), ids(1, 2, 3, 4), [])
    (tasks,) = cluster.arrays
    assert [task.options.offset for task in tasks] == [0, 2]
    assert all([job.id for job in task.jobs] == ids(1, 2, 3, 4) for task in tasks)
    assert launched(cluster)[0].skipped == ids(0, 1, 2, 3, 4)
    assert len(cluster.arrays) == 1, "nothing was missing, and an array was submitted"


def test_what_is_missing_is_submitted_again_as_long_as_that_helps(cluster: Cluster) -> None:
    cluster.script = [cluster.does(0, 1), cluster.does(2), cluster.does(3), cluster.does(4)]
    outcome, _ = launched(cluster)
    assert [len(tasks[0].jobs) for tasks in cluster.arrays] == [5, 3, 2]
    assert outcome.finished == ids(0, 1, 2, 3)
    assert [id for id, _ in outcome.trouble] == ids(4)

    cluster.arrays, cluster.script = [], [cluster.does(), cluster.does(4)]
    outcome, _ = launched(cluster)
    assert len(cluster.arrays) == 1, "a round that did nothing was followed by another"
    ((id, reason),) = outcome.trouble
    assert id == JOBS[4].id
    assert "choose an --out that all nodes of the cluster share" in reason, "there were no logs at all"


def test_a_run_that_a_task_refuses_is_not_submitted_again(cluster: Cluster) -> None:
    def refuse(tasks: Sequence[ArrayTask]) -> None:
        cluster.does(0, 1)(tasks)
        (cluster.root / "s" / "slurm" / "101-trouble-1.json").write_text(f'{{"{JOBS[4].id}": "no such file"}}')

    cluster.script = [refuse, cluster.does(2, 3)]
    outcome, _ = launched(cluster)
    assert [job.id for job in cluster.arrays[1][0].jobs] == ids(2, 3)
    assert outcome.finished == ids(0, 1, 2, 3)
    assert outcome.trouble == [(JOBS[4].id, "no such file")]


def test_what_failed_is_trouble_and_is_tried_again_once_where_that_is_asked_for(cluster: Cluster) -> None:
    finish(cluster.root, JOBS[0])
    cluster.script = [cluster.does(1, 2, 3), cluster.does(4, status="failed")]
    outcome, _ = launched(cluster)
    assert (outcome.finished, outcome.trouble) == (ids(1, 2, 3), [(JOBS[4].id, "no")])
    cluster.script = [cluster.does(4)]
    outcome, _ = launched(cluster, retry=frozenset({"failed"}))
    assert (outcome.skipped, outcome.finished) == (ids(0, 1, 2, 3), ids(4))
    assert all(not task.options.retry for task in cluster.arrays[-1]), "each task would try it once more"


def test_tasks_that_are_queued_are_followed_and_not_submitted_twice(cluster: Cluster) -> None:
    """The first command is interrupted; the second finds the array, until Slurm has it no more."""

    def interrupted(tasks: Sequence[ArrayTask]) -> None:
        cluster.does(0)(tasks)
        cluster.queue = lambda: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[method-assign]
        slurm.queue = cluster.queue

    cluster.script = [interrupted]
    outcome, text = launched(cluster)
    assert outcome.stopped
    assert outcome.trouble == []
    assert "the tasks go on" in text
    assert "scancel 101" in text

    looks = iter([{"101": [QueuedTask("rnnbench-s", "PENDING", "Resources")]}] * 3)

    def queued() -> dict[str, list[QueuedTask]]:
        found = next(looks, {})
        if not found:
            cluster.does(1, 2, 3, 4)([])
        return found

    slurm.queue = queued
    outcome, text = launched(cluster)
    assert len(cluster.arrays) == 1
    assert outcome.finished == ids(1, 2, 3, 4)
    assert "1 of 1 tasks wait: Resources" in text


def test_another_job_of_the_same_number_is_not_ours(cluster: Cluster) -> None:
    (cluster.root / "s" / "slurm").mkdir(parents=True)
    note = cluster.root / "s" / "slurm" / "77-runs.json"
    note.write_text("[]")
    cluster.queued = {"77": [QueuedTask("protein", "RUNNING", "None")]}
    cluster.script = [cluster.does(0, 1, 2, 3, 4)]
    assert launched(cluster)[0].finished == ids(0, 1, 2, 3, 4)
    assert not note.exists()


def test_a_timing_needs_a_node_to_itself(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a timing, which needs a machine to itself; add --slurm exclusive"):
        slurm_launcher(1, {})([Timing()], tmp_path, "s", Options(), Display(Console(quiet=True)))


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ([], {}),
        (["partition=long,time=4:00:00"], {"partition": "long", "time": "4:00:00"}),
        (["gres=gpu:1,exclusive", "cpus_per_task=4"], {"gres": "gpu:1", "exclusive": True, "cpus-per-task": "4"}),
        (["--mem=8G"], {"mem": "8G"}),
        (["comment=a=b"], {"comment": "a=b"}),
    ],
)
def test_parameters(texts: list[str], found: dict[str, object]) -> None:
    assert parse_parameters(texts) == found


@pytest.mark.parametrize("text", ["", "=3", "partition=", "a=1,,b=2", "two words", "-p=long", "x\ny=3"])
def test_parameters_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match=r"--slurm takes sbatch's long options as NAME=VALUE"):
        parse_parameters([text])
    with pytest.raises(UserError, match="--slurm array cannot be set: --jobs says how many tasks there are"):
        parse_parameters(["array=1-3"])


def test_without_slurm_or_submitit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="needs Slurm's sbatch, which this machine does not have"):
        check_slurm()
    commands(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"--launcher slurm needs submitit; pip install 'rnnbench\[slurm\]'"):
        check_slurm()


def commands(folder: Path, **texts: str) -> None:
    """Commands of Slurm's by name, each a shell script."""
    for name in ("sbatch", "squeue", "srun"):
        path = folder / name
        path.write_text("#!/bin/sh\n" + texts.get(name, ""))
        path.chmod(0o755)


def test_what_sbatch_is_given_and_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    tasks = [ArrayTask(tuple(JOBS), tmp_path, "s", Options(offset=i)) for i in range(3)]
    commands(tmp_path, sbatch=f'cp "$1" {tmp_path}/script; echo Submitted batch job 4711')
    folder = tmp_path / "runs" / "s" / "slurm"
    assert submit(tasks, folder, "rnnbench-s", {"time": "5", "exclusive": True}) == "4711"
    lines = (tmp_path / "script").read_text().splitlines()
    for line in ("--array=0-2%3", "--time=5", "--cpus-per-task=1", "--exclusive", "--requeue", "--signal=USR2@90"):
        assert f"#SBATCH {line}" in lines
    assert any(line.startswith("srun") and "-P -u -m submitit" in line for line in lines)
    pickles = [pickle.loads((folder / f"4711_{i}_submitted.pkl").read_bytes()) for i in range(3)]
    assert [each.function for each in pickles] == tasks


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            ["sbatch: error: invalid partition specified: long", "sbatch: error: No."],
            "invalid partition specified: long; No",
        ),
        (["sbatch: unrecognized option '--partitio=x'", 'Try "sbatch --help"'], "unrecognized option '--partitio=x'"),
        ([], "no reason is given"),
    ],
)
def test_what_sbatch_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], said: list[str], reason: str
) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    text = "\n".join(said)
    commands(tmp_path, sbatch=f"cat >&2 <<'EOF'\n{text}\nEOF\nexit 1")
    with pytest.raises(UserError) as caught:
        submit([ArrayTask((JOBS[0],), tmp_path, "s", Options())], tmp_path / "slurm", "rnnbench-s", {})
    assert str(caught.value) == f"sbatch refuses the array: {reason}; --slurm NAME=VALUE sets its options."
    assert capfd.readouterr() == ("", "")


def test_the_queue_as_squeue_prints_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    rows = [
        "7|PENDING|Resources|rnnbench-s",
        "7|RUNNING|None|rnnbench-s",
        "8|COMPLETED|None|a|b",
        "9|COMPLETING|None|c",
    ]
    commands(tmp_path, squeue="cat <<'EOF'\n" + "\n".join(rows) + "\nEOF")
    assert queue() == {
        "7": [QueuedTask("rnnbench-s", "PENDING", "Resources"), QueuedTask("rnnbench-s", "RUNNING", "None")],
        "9": [QueuedTask("c", "COMPLETING", "None")],
    }
    commands(tmp_path, squeue="echo 'Unable to contact slurm controller' >&2; exit 1")
    assert queue() is None, "no answer was taken for an empty queue"


def test_a_requeued_task_is_as_new(tmp_path: Path) -> None:
    task = ArrayTask(tuple(JOBS), tmp_path, "s", Options(timeout=3.0), {"RNNBENCH_DATA": "x"})
    task._stop()
    again = pickle.loads(pickle.dumps(dataclasses.replace(task)))
    assert again == task
    assert not again._stopping
