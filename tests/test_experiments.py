"""Every experiment that is shipped: its runs are what it says, and its first one really runs."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rnnbench.config import BudgetConfig, Run
from rnnbench.data.catalog import DATASETS, entry
from rnnbench.data.download.files import FILES as DOWNLOADS
from rnnbench.files import load_file
from rnnbench.ledger import Entry
from rnnbench.report.kinds import KINDS
from rnnbench.sweep.study import Study, find_study
from rnnbench.sweep.worker import Attempt, execute
from rnnbench.throughput.timing import Timing

FOLDER = Path(__file__).resolve().parents[1] / "experiments"
FILES = sorted(FOLDER.glob("*.py"))
every_experiment = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a study names its file to workers; put back after the test."""
    monkeypatch.setenv("RNNBENCH_CELLS", "")


def test_there_are_experiments() -> None:
    assert {path.stem for path in FILES} >= {
        "seqlen_perplexity", "seqlen_gradients", "seqlen_throughput", "batch_throughput", "width_throughput",
        "decode_latency", "published_shapes",
    }  # fmt: skip


@every_experiment
def test_presets_expand_to_valid_jobs(path: Path) -> None:
    study = find_study(str(path))
    assert isinstance(study, Study)
    assert study.name == path.stem, "a study is found, and its results are kept, by its file's name"
    assert study.question.endswith("?")
    assert {"quick", "full"} <= set(study.presets)
    for preset in study.presets:
        given, jobs = list(study.presets[preset]()), study.jobs(preset)
        assert jobs == given, "a job is listed twice"
        assert len({job.id for job in jobs}) == len(jobs) > 0
        for job in jobs:
            again = type(job).from_dict(job.to_dict())
            assert again == job
            assert again.id == job.id
    assert len(study.jobs("quick")) <= len(study.jobs("full"))


@every_experiment
@pytest.mark.parametrize("preset", ["quick", "full"])
def test_lengths_are_compared_fairly(path: Path, preset: str) -> None:
    """Batch × length is the same at every length, and so are the tokens; every variant gets every length and seed.

    All this for each data set by itself: the figures of one do not compare with those of another.
    """
    jobs = find_study(str(path)).jobs(preset)
    runs = [job for job in jobs if isinstance(job, Run)]
    timings = [job for job in jobs if isinstance(job, Timing)]
    for data in {(job.data.label, job.data.permuted) for job in runs}:
        own = [job for job in runs if (job.data.label, job.data.permuted) == data]
        assert len({job.data.batch_size * job.data.seq_len for job in own}) == 1
        assert len({job.budget.tokens for job in own}) == 1
        assert own[0].budget.tokens is not None
        assert len({job.steps for job in own}) == 1
        variants = {(job.cell.label, job.model, job.optim) for job in own}
        lengths = {job.data.seq_len for job in own}
        assert len(own) == len(variants) * len(lengths) * len({job.seed for job in own})
    if path.stem.startswith("seqlen"):
        assert len({job.batch_size * job.seq_len for job in timings}) <= 1
    seeds = {job.seed for job in runs}
    if path.stem.startswith("seqlen"):
        assert len({job.data.seq_len for job in runs} | {job.seq_len for job in timings}) > 1
    assert not runs or preset == "quick" or len(seeds) > 1, "one seed is no measurement"
    assert all(job.samples >= 30 for job in timings)


@every_experiment
def test_the_first_job_runs(path: Path, tmp_path: Path) -> None:
    """Cut down in size, through what a worker calls."""
    job = find_study(str(path)).jobs("quick")[0]
    if isinstance(job, Run):
        small = dataclasses.replace(
            job,
            model=dataclasses.replace(job.model, hidden_size=8, parameters=None),
            data=dataclasses.replace(job.data, batch_size=4),
            budget=BudgetConfig(steps=4, evals=1, val_tokens=1000),
            probes=dataclasses.replace(job.probes, seq_len=12, batch_size=2),
        )
        result = execute(small, tmp_path, "tried", Attempt(), lambda done, total, what: None)
        metric = KINDS[entry(str(job.data.name)).kind].headline.metric
        assert {f"test/{metric}", f"val/{metric}"} <= set(result["metrics"])
        flows = job.probes.gradient_flow and job.data.seq_len > 1
        assert any(key.startswith("init/") for key in result["metrics"]) == flows
    else:
        small_timing = dataclasses.replace(job, batch_size=2, seq_len=8, hidden_size=8, samples=3, warmup=1)
        result = execute(small_timing, tmp_path, "tried", Attempt(), lambda done, total, what: None)
        assert any(key.endswith(("/step_ms", "/decode_ms")) for key in result["metrics"])
    assert result["status"] in ("done", "diverged")
    assert Entry(tmp_path, "tried", result["id"]).result() is not None


@every_experiment
def test_it_runs_by_itself(path: Path, tmp_path: Path) -> None:
    """``python experiments/X.py --dry_run`` lists the quick preset and writes nothing."""
    done = subprocess.run(
        [sys.executable, str(path), "--dry_run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "RNNBENCH_CELLS": ""},
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert [id for id, _ in lines] == [job.id for job in find_study(str(path)).jobs("quick")]
    assert all(state == "to do" for _, state in lines)
    assert list(tmp_path.iterdir()) == []


def test_all_tasks_are_all_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every data set of the catalogue has its line; one that is not here is left out, and said so."""
    module = load_file(FOLDER / "all_tasks.py")
    assert {task.data.name for task in module.TASKS} == set(DATASETS) - {"text", "csv"}
    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path))
    for name in set(DOWNLOADS) - {"ETTh1.csv"}:
        with (tmp_path / name).open("wb") as file:
            file.truncate(DOWNLOADS[name].size)
    monkeypatch.setitem(sys.modules, "bokeh_sampledata", None)  # as if it were not installed
    for preset in ("quick", "full"):
        names = {job.data.name for job in module.STUDY.jobs(preset)}
        assert names >= {"etth2", "kjv", "jsb"}
        assert not names & {"etth1", "glucose", "sea_temperature", "stocks"}
        said = capsys.readouterr().err.splitlines()
        assert "left out etth1: rnnbench data fetch etth1" in said
        assert "left out glucose: pip install bokeh-sampledata" in said
        assert len(said) == 4
