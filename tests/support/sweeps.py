"""A study of short runs as a file, ways to sweep it, and what it means that two runs are identical."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from rnnbench.config import Run
from rnnbench.runs import CURVES, HISTORY, WEIGHTS, RunDirectory
from rnnbench.sweep.display import Display
from rnnbench.sweep.run_study import Options, Outcome
from rnnbench.sweep.scheduler import Scheduler
from rnnbench.sweep.study import Job, Study, find_study

#: COUNT runs, of cells in turn; STEPS updates each, a millisecond or two a step. Dropout, so that random numbers count.
STUDY = """
from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run, Study

def run(seed):
    return Run(cell=CellConfig(("rnn", "lstm", "gru")[seed % 3]), model=ModelConfig(hidden_size=16, dropout=0.1),
               data=DataConfig(path={text!r}, seq_len=16, batch_size=8), budget=BudgetConfig(steps={steps}, evals=2),
               probes=ProbeConfig(seq_len=16, batch_size=2), seed=seed)

STUDY = Study("short", "Is every run there, once?", {{"quick": lambda: map(run, range({count}))}})
"""


def write_study(folder: Path, text: Path, count: int, steps: int) -> Path:
    """The file of such a study."""
    path = folder / "short.py"
    path.write_text(STUDY.format(text=str(text), steps=steps, count=count))
    return path


def command(study: Path, root: Path, *words: str) -> list[str]:
    """``rnnbench sweep``, in a process of its own."""
    return [sys.executable, "-m", "rnnbench", "sweep", str(study), "--out", str(root), *words]


def swept(study: Path, root: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The finished command and what it printed."""
    return subprocess.run(
        command(study, root, *words), capture_output=True, text=True, timeout=240, env={**os.environ, **environment}
    )


def load(study: Path) -> Study:
    """The study; that its file might hold cells for workers to come is forgotten at once."""
    before = os.environ.get("RNNBENCH_CELLS", "")
    try:
        return find_study(str(study))
    finally:
        os.environ["RNNBENCH_CELLS"] = before


def scheduled(jobs: Sequence[Job], root: Path, study: str, options: Options) -> tuple[Outcome, str]:
    """A sweep from this process, whose server of workers has the imports done: its outcome, and what it printed."""
    out = io.StringIO()
    outcome = Scheduler(jobs, root, study, options, Display(Console(file=out, width=200))).run()
    return outcome, out.getvalue()


def sweep_here(study: Path, root: Path, workers: int = 2) -> Outcome:
    """The study's sweep from this process; every run must get done."""
    loaded = load(study)
    outcome, _ = scheduled(loaded.jobs("quick"), root, loaded.name, Options(workers, "disabled"))
    assert not outcome.trouble, outcome.trouble
    return outcome


def entries(study: Path, root: Path) -> list[RunDirectory]:
    """The study's run directories, in its order."""
    loaded = load(study)
    return [RunDirectory(root, loaded.name, job.id) for job in loaded.jobs("quick")]


def runs(study: Path) -> list[Run]:
    """The study's runs."""
    return [job for job in load(study).jobs("quick") if isinstance(job, Run)]


def assert_same(ours: RunDirectory, theirs: RunDirectory) -> None:
    """Bit for bit: weights, history, curves, and every metric that is not a time or a memory."""
    a, b = (torch.load(directory.path(WEIGHTS), weights_only=True)["model"] for directory in (ours, theirs))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in b), f"the weights of {ours.id} differ"
    assert ours.path(HISTORY).read_text() == theirs.path(HISTORY).read_text(), f"the histories of {ours.id} differ"
    with np.load(ours.path(CURVES)) as mine, np.load(theirs.path(CURVES)) as other:
        assert all(np.array_equal(mine[name], other[name]) for name in other), f"the curves of {ours.id} differ"
    assert numbers(ours) == numbers(theirs)


def numbers(directory: RunDirectory) -> Mapping[str, object]:
    """The metrics that a killed run has in common with an undisturbed one."""
    result = directory.result()
    assert result is not None, f"{directory.id} has no result"
    clocked = ("throughput/", "memory/", "probes/")
    return {key: value for key, value in result["metrics"].items() if not key.startswith(clocked)}
