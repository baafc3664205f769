"""A sweep does what is missing, survives what fails, and can be killed at any moment."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from support.processes import alive, descendants

from rnnbench.cells import registry
from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run
from rnnbench.config.timing import Timing
from rnnbench.errors import UserError
from rnnbench.runs import RunDirectory
from rnnbench.sweep.display import Display
from rnnbench.sweep.outcome import Options
from rnnbench.sweep.scheduler import Scheduler
from rnnbench.sweep.study import Study, find_study
from rnnbench.training import train

#: Two runs of a few steps, one of some seconds, and three that cannot be done. The cell is one of the study's own.
STUDY = '''
from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run, Study
from rnnbench.cells import RNN, register_cell

@register_cell("fragile")
class Fragile(RNN):
    """Breaks when it is run."""

    torch_mode = None

    def step(self, u, s):
        raise ArithmeticError("the cell is broken\\nin two")

def run(cell, steps=3, **options):
    return Run(cell=CellConfig(cell, options), model=ModelConfig(hidden_size=8),
               data=DataConfig(path={path!r}, seq_len=8, batch_size=4), budget=BudgetConfig(steps=steps, evals=1),
               probes=ProbeConfig(gradient_flow=False))

good = [run("lstm"), run("gru")]
missing = Run(data=DataConfig(path="missing.txt"))
STUDY = Study("mixed", "Does it hold?", {{
    "quick": lambda: [*good, *good],
    "failing": lambda: [run("fragile"), run("gru", forget_bias=1.0), missing, run("rnn"), *good],
    "long": lambda: [run("rnn", 1500), *good],
}})
'''


@pytest.fixture
def study(text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The study's file. What loading it here changes is put back after the test."""
    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("RNNBENCH_CELLS", "")
    monkeypatch.setattr(registry, "_CELLS", dict(registry._CELLS))
    path = tmp_path / "mixed.py"
    path.write_text(STUDY.format(path=str(text_file)))
    return path


def command(study: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "rnnbench", "sweep", str(study), "--out", str(study.parent / "runs"), *words]


def swept(study: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(study, *words), capture_output=True, text=True, timeout=120)


def entries(study: Path, preset: str) -> list[RunDirectory]:
    return [RunDirectory(study.parent / "runs", "mixed", job.id) for job in find_study(str(study)).jobs(preset)]


def times(study: Path) -> dict[Path, int]:
    """When each file of a run was written; the report is made anew every time."""
    return {path: path.stat().st_mtime_ns for path in (study.parent / "runs" / "mixed").glob("*-T8-*/*")}


def test_what_fails_is_named_and_the_others_go_on(study: Path) -> None:
    """First the good runs, then nothing; then a preset with runs that cannot be done beside them."""
    done = swept(study, "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert all(directory.result() is not None for directory in entries(study, "quick"))
    before = times(study)

    again = swept(study)
    assert again.returncode == 0, again.stderr
    assert "nothing was trained" in again.stdout
    after = times(study)
    assert {path: after[path] for path in before} == before

    fragile, option, missing, plain, *good = entries(study, "failing")
    failing = swept(study, "--preset", "failing", "--jobs", "2", "--json")
    assert failing.returncode == 1
    outcome = json.loads(failing.stdout)
    assert outcome["finished"] == [plain.id]
    assert sorted(outcome["skipped"]) == sorted(directory.id for directory in good)
    trouble = dict(outcome["trouble"])
    assert trouble.keys() == {fragile.id, option.id, missing.id}
    assert trouble[fragile.id] == "ArithmeticError: the cell is broken"
    assert 'unknown option of the cell gru "forget_bias"' in trouble[option.id]
    assert "'missing.txt' does not exist" in trouble[missing.id]
    assert {path: times(study)[path] for path in before} == before
    assert "Traceback" not in failing.stderr
    for directory in (fragile, option, missing):
        assert directory.id in failing.stderr

    # What broke is recorded; what was refused is tried again once it is mended.
    result = fragile.result()
    assert result is not None
    assert result["status"] == "failed"
    assert 'raise ArithmeticError("the cell is broken' in result["traceback"]
    assert Run.from_dict(result["run"]).id == fragile.id
    assert option.result() is None
    assert missing.result() is None
    (dry,) = [swept(study, "--preset", "failing", "--dry_run").stdout.splitlines()]
    assert [line.split(maxsplit=1)[0] for line in dry] == [directory.id for directory in entries(study, "failing")]
    assert sum("to do" in line for line in dry) >= 2


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_killed_and_taken_up_again(study: Path, tmp_path: Path) -> None:
    """kill -9 of the sweep: its workers die, what was finished stays, a second sweep ends as an undisturbed one."""
    long, *short = entries(study, "long")
    process = subprocess.Popen(
        command(study, "--preset", "long", "--jobs", "2"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        limit = time.monotonic() + 60
        while not (short[0].result() and short[1].result() and long.history()):
            assert process.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.02)
        workers = descendants(process.pid)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert long.result() is None, "the long run was over already: the test showed nothing"
    assert len(workers) >= 2
    limit = time.monotonic() + 5
    while left := alive(workers):
        assert time.monotonic() < limit, f"processes {left} outlive the sweep"
        time.sleep(0.05)
    assert long.result() is None, "a killed run left a result"
    before = {path: at for path, at in times(study).items() if path.parent != long.folder}

    done = swept(study, "--preset", "long", "--jobs", "2", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["finished"] == [long.id]
    assert {path: times(study)[path] for path in before} == before

    for job, directory in zip(find_study(str(study)).jobs("long"), (long, *short), strict=True):
        assert isinstance(job, Run)
        train(job, tmp_path / "calm", wandb="disabled")
        calm = RunDirectory(tmp_path / "calm", "single", job.id)
        ours, theirs = (torch.load(e.path("model.pt"), weights_only=True)["model"] for e in (directory, calm))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs), directory.id
        assert directory.path("history.jsonl").read_text() == calm.path("history.jsonl").read_text()


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
worker._die_with_launcher = lambda pipe: None  # the watcher comes too late
worker.execute = execute
worker.work(Run(), Path(sys.argv[1]), "study", worker.Attempt(), {}, theirs)
"""


def test_a_launcher_that_is_gone_is_no_failure_of_the_run(tmp_path: Path) -> None:
    """A worker that finds the pipe broken ends, and records nothing: the next sweep has to take the run up."""
    done = subprocess.run([sys.executable, "-c", WORK, str(tmp_path)], timeout=60)
    assert done.returncode == 1
    directory = RunDirectory(tmp_path, "study", Run().id)
    assert directory.folder.is_dir()
    assert directory.result() is None


def tiny(seed: int = 0) -> Run:
    return Run(
        cell=CellConfig("gru"),
        model=ModelConfig(hidden_size=4),
        data=DataConfig(path="text.txt"),
        budget=BudgetConfig(steps=1),
        probes=ProbeConfig(gradient_flow=False),
        seed=seed,
    )


def test_jobs_are_done_once_and_in_order() -> None:
    study = Study("s", "?", {"quick": lambda: [tiny(2), tiny(1), tiny(2), tiny(1), tiny(3)]})
    assert study.jobs("quick") == [tiny(2), tiny(1), tiny(3)]
    with pytest.raises(UserError, match='unknown preset of s "quik". Did you mean "quick"?'):
        study.jobs("quik")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "study.py does not exist"),
        ("", "study.py does not define STUDY = Study"),
        ("STUDY = 3", "study.py does not define STUDY = Study"),
        ("import nothing_like_that", "study.py failed to load: ModuleNotFoundError: No module named"),
        ("raise OSError('a\\nb')", "study.py failed to load: OSError"),
        ("from rnnbench import Run; Run(seed=-1)", "seed must be in 0"),
    ],
)
def test_a_file_that_is_no_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, message: str
) -> None:
    monkeypatch.setenv("RNNBENCH_CELLS", "")
    if content is not None:
        (tmp_path / "study.py").write_text(content)
    with pytest.raises(UserError) as caught:
        find_study(str(tmp_path / "study.py"))
    assert message in str(caught.value)
    assert os.environ["RNNBENCH_CELLS"] == "", "what is no study is left to the workers"


def test_a_study_is_found_by_name_here_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNBENCH_CELLS", "")
    assert find_study("seqlen_perplexity").name == "seqlen_perplexity"
    with pytest.raises(UserError, match='unknown study "seqlen_perplexit". Did you mean "seqlen_perplexity"?'):
        find_study("seqlen_perplexit")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    own = 'from rnnbench import Study\nSTUDY = Study("own", "?", {})\n'
    (tmp_path / "experiments" / "seqlen_perplexity.py").write_text(own)
    assert find_study("seqlen_perplexity").name == "own"
    assert find_study("seqlen_gradients").name == "seqlen_gradients"


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


def test_a_timing_has_the_machine_to_itself(tmp_path: Path, text_file: Path) -> None:
    """Runs go side by side, and say so in their record; nothing runs beside a timing."""
    data = DataConfig(path=str(text_file), seq_len=8, batch_size=4)
    runs = [dataclasses.replace(tiny(seed), data=data) for seed in range(2)]
    timings = [Timing(seq_len=n, batch_size=1, hidden_size=4, samples=2, warmup=0) for n in (2, 3)]
    witness = Witness()
    outcome = Scheduler([timings[0], *runs, timings[1]], tmp_path, "s", Options(2, "disabled"), witness).run()
    assert outcome.trouble == []
    assert witness.beside[runs[1].id] == {runs[0].id}
    assert all(witness.beside[job.id] == set() for job in timings)
    result = RunDirectory(tmp_path, "s", runs[0].id).result()
    assert result is not None
    assert result["environment"]["workers"] == 2
