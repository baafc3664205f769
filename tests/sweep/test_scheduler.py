"""A sweep does what is missing, names what fails, and can be stopped or killed at any moment; two share their runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.processes import alive, descendants
from support.sweeps import assert_same, command, entries, load, scheduled, sweep_here, write_study

from rnnbench.cells import registry
from rnnbench.cli.main import main
from rnnbench.config import BudgetConfig, DataConfig, ModelConfig, ProbeConfig, Run
from rnnbench.config.timing import Timing
from rnnbench.runs import CHECKPOINT, RESULT, RunDirectory, lock
from rnnbench.sweep import slots
from rnnbench.sweep.display import Display
from rnnbench.sweep.run_study import Options, Outcome
from rnnbench.sweep.scheduler import Scheduler
from rnnbench.sweep.study import find_study

#: Runs of a cell of the study's own, which meets what KIND says; BREAKS is a file as long as that is so.
STUDY = """
import os, signal, time
from pathlib import Path
import torch
from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run, Study
from rnnbench.cells import RNN, register_cell

KIND, BREAKS = {kind!r}, Path({breaks!r})

@register_cell("troubled")
class Troubled(RNN):
    torch_mode = None

    def drive(self, x):
        if self.training and BREAKS.exists():
            if KIND == "large" and x.shape[0] == 16:
                raise torch.OutOfMemoryError("tried to allocate 40 GiB")
            if KIND == "full":
                raise MemoryError
            if KIND == "broken":
                raise ArithmeticError("the cell is broken\\nin two")
            if KIND == "slow":
                time.sleep(0.05)
            if KIND == "shot":
                BREAKS.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            if KIND == "exit":
                os._exit(3)
        return super().drive(x)

def run(cell, steps=3, **options):
    return Run(cell=CellConfig(cell, options), model=ModelConfig(hidden_size=8),
               data=DataConfig(path={text!r}, seq_len=8, batch_size=16), budget=BudgetConfig(steps=steps, evals=1),
               probes=ProbeConfig(gradient_flow=False))

good = [run("lstm"), run("gru")]
missing = Run(data=DataConfig(path="missing.txt"))
STUDY = Study("trouble", "What then?", {{
    "quick": lambda: [run("troubled", 120)],
    "good": lambda: [*good, *good],
    "mixed": lambda: [run("troubled"), run("gru", forget_bias=1.0), missing, run("rnn"), *good],
}})
"""


class Trouble:
    """The study, and sweeps of it by one worker."""

    def __init__(self, folder: Path, text: Path, kind: str) -> None:
        self.folder, self.breaks, self.study = folder, folder / "breaks", folder / "trouble.py"
        self.breaks.touch()
        self.study.write_text(STUDY.format(kind=kind, breaks=str(self.breaks), text=str(text)))
        (job,) = find_study(str(self.study)).jobs("quick")
        assert isinstance(job, Run)
        self.run, self.directory = job, RunDirectory(folder / "runs", "trouble", job.id)

    def calm(self) -> RunDirectory:
        """The run where nothing troubles it."""
        self.breaks.unlink(missing_ok=True)
        scheduled([self.run], self.folder / "calm", "trouble", Options(1, "disabled"))
        return RunDirectory(self.folder / "calm", "trouble", self.run.id)

    def sweep(self, timeout: float | None = None, retry: str = "") -> tuple[Outcome, str]:
        options = Options(1, "disabled", timeout, frozenset({retry} - {""}))
        return scheduled([self.run], self.folder / "runs", "trouble", options)

    def result(self) -> dict[str, Any]:
        result = self.directory.result()
        assert result is not None
        return result


Make = Callable[[str], Trouble]


@pytest.fixture
def trouble(tmp_path: Path, text_file: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a study of a kind, with one short pause before a run is given up; its cell is forgotten afterwards."""
    monkeypatch.setattr(slots, "DELAYS", (0.2,))
    monkeypatch.setattr(registry, "_CELLS", dict(registry._CELLS))
    monkeypatch.setenv("RNNBENCH_CELLS", "")
    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path / "cache"))
    return lambda kind: Trouble(tmp_path, text_file, kind)


def wait_for(condition: Callable[[], object], seconds: float, why: str) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, why
        time.sleep(0.02)


def times(root: Path) -> dict[Path, int]:
    """When each file of a run was written; the report is made anew every time."""
    return {path: path.stat().st_mtime_ns for path in root.glob("*/*-T8-*/*")}


# --- what may become of a run -----------------------------------------------------------------------------------------


def test_what_fails_is_named_and_the_others_go_on(trouble: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """First the good runs, then nothing; then a preset with runs that cannot be done beside them."""
    study = trouble("broken").study
    root = study.parent / "runs"

    def swept(preset: str, *words: str, status: int = 0) -> tuple[str, str]:
        line = ["sweep", str(study), "--out", str(root), "--wandb", "disabled", "--preset", preset, "--jobs", "2"]
        assert main([*line, *words]) == status
        return capsys.readouterr()

    swept("good")
    before = times(root)
    assert "nothing was trained" in swept("good")[0]
    assert times(root) == before

    jobs = find_study(str(study)).jobs("mixed")
    broken, option, missing, plain, *good = (RunDirectory(root, "trouble", job.id) for job in jobs)
    out, err = swept("mixed", "--json", status=1)
    outcome = json.loads(out)
    assert outcome["finished"] == [plain.id]
    assert sorted(outcome["skipped"]) == sorted(directory.id for directory in good)
    reasons = dict(outcome["trouble"])
    assert reasons.keys() == {broken.id, option.id, missing.id}
    assert reasons[broken.id] == "ArithmeticError: the cell is broken"
    assert 'unknown option of the cell gru "forget_bias"' in reasons[option.id]
    assert "'missing.txt' does not exist" in reasons[missing.id]
    assert before.items() <= times(root).items()
    assert "Traceback" not in err
    assert all(id in err for id in reasons)

    # What broke is recorded; what was refused is tried again once it is mended.
    result = broken.result()
    assert result is not None
    assert Run.from_dict(result["run"]).id == broken.id
    assert option.result() is missing.result() is None
    listed = swept("mixed", "--dry_run")[0].splitlines()
    assert [line.split(maxsplit=1)[0] for line in listed] == [job.id for job in jobs]
    assert sum("to do" in line for line in listed) == 2


def test_an_error_of_the_code_is_recorded_at_once(trouble: Make) -> None:
    """With its traceback; it is not tried again unless asked."""
    broken = trouble("broken")
    outcome, printed = broken.sweep()
    assert dict(outcome.trouble) == {broken.run.id: "ArithmeticError: the cell is broken"}
    assert "again" not in printed
    assert "Traceback" not in printed
    assert broken.result()["status"] == "failed"
    assert 'raise ArithmeticError("the cell is broken' in broken.result()["traceback"]
    broken.breaks.unlink()
    assert broken.sweep()[0].skipped == [broken.run.id]
    assert broken.sweep(retry="oom")[0].skipped == [broken.run.id]
    assert broken.sweep(retry="failed")[0].finished == [broken.run.id]
    assert broken.result()["status"] == "done"


def test_no_memory_whatever_is_tried(trouble: Make) -> None:
    full = trouble("full")
    outcome, printed = full.sweep()
    assert dict(outcome.trouble) == {full.run.id: "MemoryError"}
    assert printed.count("each batch in two halves") == 1
    assert full.result()["status"] == "oom"
    assert full.result()["environment"] == {"micro_batches": 2}
    full.breaks.unlink()
    assert full.sweep(retry="oom")[0].finished == [full.run.id]
    assert full.result()["status"] == "done"


def test_too_large_for_the_memory_in_one_piece(trouble: Make) -> None:
    """It is done in two halves, which is recorded, and comes to the metrics of a machine with more memory."""
    large = trouble("large")
    _, printed = large.sweep()
    assert "tried to allocate 40 GiB: again, each batch in two halves" in printed
    assert large.result()["status"] == "done"
    assert large.result()["environment"]["micro_batches"] == 2
    calm = large.calm().result()
    assert calm is not None
    assert "micro_batches" not in calm["environment"]
    assert large.result()["metrics"]["test/bpc"] == pytest.approx(calm["metrics"]["test/bpc"], rel=1e-4)


@pytest.mark.parametrize(("kind", "how"), [("exit", "ended with code 3"), ("shot", "was ended by SIGKILL")])
def test_a_process_that_is_gone_is_no_result(trouble: Make, kind: str, how: str) -> None:
    """Killed once, the run is retried; ending again and again, it is given up until the next sweep."""
    gone = trouble(kind)
    outcome, printed = gone.sweep()
    assert f"its process {how}: again in 0 s" in printed
    if kind == "exit":
        assert dict(outcome.trouble) == {gone.run.id: "its process ended with code 3"}
        assert gone.directory.result() is None
        gone.breaks.unlink()
        outcome, _ = gone.sweep()
    assert outcome.finished == [gone.run.id]
    assert gone.result()["status"] == "done"


def test_a_timeout(trouble: Make) -> None:
    """It is stopped and recorded; given more time it resumes, to an undisturbed run's end."""
    slow = trouble("slow")
    outcome, _ = slow.sweep(timeout=3.0)
    error = slow.result()["error"]
    assert slow.result()["status"] == "timeout"
    assert error.startswith("took longer than 3 s, at step ")
    assert dict(outcome.trouble) == {slow.run.id: error}
    assert slow.directory.path(CHECKPOINT).exists()
    slow.breaks.unlink()
    slow.sweep(retry="timeout")
    assert slow.result()["status"] == "done"
    assert_same(slow.directory, slow.calm())


class Witness(Display):
    """Notes which jobs are under way whenever one begins."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True))
        self.under_way: set[str] = set()
        self.beside: dict[str, set[str]] = {}

    def begin(self, id: str, label: str) -> None:
        self.beside[id] = set(self.under_way)
        self.under_way.add(id)
        super().begin(id, label)

    def end(self, id: str, label: str, status: str, sentence: str, result: Mapping[str, Any] | None = None) -> None:
        self.under_way.discard(id)
        super().end(id, label, status, sentence, result)


@pytest.mark.first
def test_a_timing_has_the_machine_to_itself(tmp_path: Path, text_file: Path) -> None:
    """Runs go side by side, and say so in their record; nothing runs beside a timing."""
    runs = [
        Run(
            model=ModelConfig(hidden_size=4),
            data=DataConfig(path=str(text_file), seq_len=8, batch_size=4),
            budget=BudgetConfig(steps=1),
            probes=ProbeConfig(gradient_flow=False),
            seed=seed,
        )
        for seed in range(2)
    ]
    timings = [Timing(seq_len=n, batch_size=1, hidden_size=4, samples=2, warmup=0) for n in (2, 3)]
    witness = Witness()
    outcome = Scheduler([timings[0], *runs, timings[1]], tmp_path, "s", Options(2, "disabled"), witness).run()
    assert outcome.trouble == []
    assert witness.beside[runs[1].id] == {runs[0].id}
    assert all(witness.beside[job.id] == set() for job in timings)
    result = RunDirectory(tmp_path, "s", runs[0].id).result()
    assert result is not None
    assert result["environment"]["workers"] == 2


# --- stopped, killed, side by side ------------------------------------------------------------------------------------


@pytest.mark.first
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_killed_and_taken_up_again(tmp_path: Path, text_file: Path) -> None:
    """kill -9 of the sweep: its workers die, finished runs stay, a second sweep ends as an undisturbed one."""
    study, root = write_study(tmp_path, text_file, count=3, steps=700), tmp_path / "runs"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command(study, root, "--jobs", "2"), **quiet)  # type: ignore[call-overload]
    directories = entries(study, root)

    def finished() -> list[RunDirectory]:
        return [directory for directory in directories if directory.result() is not None]

    try:
        wait_for(
            lambda: finished() and any(d.history() and d.result() is None for d in directories), 60, "nothing runs"
        )
        workers = descendants(process.pid)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(workers) >= 2
    wait_for(lambda: not alive(workers), 15, f"{alive(workers)} of {workers} outlive the sweep")
    before = {directory.path(RESULT): directory.path(RESULT).stat().st_mtime_ns for directory in finished()}
    assert 0 < len(before) < 3, "all runs were over already: the test showed nothing"
    for folder in (root, tmp_path / "calm"):
        sweep_here(study, folder)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    for ours, theirs in zip(directories, entries(study, tmp_path / "calm"), strict=True):
        assert_same(ours, theirs)


WORK = """
import os, sys, time
from multiprocessing import Pipe
from pathlib import Path
from rnnbench.config import Run
from rnnbench.sweep import worker
ours, theirs = Pipe()
def execute(job, root, study, attempt, progress):
    os.close(ours.fileno())
    progress(1, 2, "train")
worker.execute = execute
worker.work(Run(), Path(sys.argv[1]), "study", worker.Attempt(), theirs)
"""


def test_a_sweep_that_is_gone_is_no_failure_of_the_run(tmp_path: Path) -> None:
    """A worker that finds the pipe broken ends, and records nothing: the next sweep has to take the run up."""
    done = subprocess.run([sys.executable, "-c", WORK, str(tmp_path)], timeout=60)
    assert done.returncode == 1
    directory = RunDirectory(tmp_path, "study", Run().id)
    assert directory.folder.is_dir()
    assert directory.result() is None


@pytest.mark.first
@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_ctrl_c(tmp_path: Path, text_file: Path, times: int) -> None:
    """Once: a checkpoint, and the end, in order. Twice: the end. Either way the same command resumes."""
    study = write_study(tmp_path, text_file, count=1, steps=1500)
    process = subprocess.Popen(
        command(study, tmp_path / "runs"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    (entry,) = entries(study, tmp_path / "runs")
    try:
        wait_for(entry.history, 60, "nothing runs")
        begin = time.monotonic()
        for _ in range(times):
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: to all
            time.sleep(0.02)
        printed, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert time.monotonic() - begin < 15
    assert process.returncode == 130, printed
    assert "Traceback" not in printed
    assert "the same command resumes it" in printed
    assert entry.result() is None, "it was over already: the test showed nothing"
    if times == 1:
        assert entry.path(CHECKPOINT).exists()
        assert "stopping, 1 at work write their checkpoints" in printed
    for root in ("runs", "calm"):
        sweep_here(study, tmp_path / root)
    assert_same(entry, entries(study, tmp_path / "calm")[0])


def test_a_dead_machines_run_is_taken_over(tmp_path: Path, text_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lock is stale: the sweep waits, sees that, and its worker need not wait a minute of its own."""
    monkeypatch.setattr(lock, "STALE", 1.0)
    study = write_study(tmp_path, text_file, count=2, steps=20)
    first, second = entries(study, tmp_path / "runs")
    first.folder.mkdir(parents=True)
    path = first.path(".lock-000007")
    path.write_text(json.dumps({"host": "quark", "pid": 1, "born": "1", "machine": "other", "id": "x"}))
    os.utime(path, ns=(10**9, 10**9))
    begin = time.monotonic()
    outcome, printed = scheduled(load(study).jobs("quick"), tmp_path / "runs", "short", Options(1, "disabled"))
    assert sorted(outcome.finished) == sorted([first.id, second.id])
    assert "seed 0 is being run by process 1 on quark" in printed
    assert time.monotonic() - begin < 40
    assert not list(first.folder.glob(".lock-*"))
