"""Every experiment that is shipped: its runs are what it says, and its first one really runs."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from rnnbench.catalog import DATA_SETS, data_set
from rnnbench.config import BudgetConfig, Run
from rnnbench.config.timing import Timing
from rnnbench.data.download.files import FILES as DOWNLOADS
from rnnbench.report.task_families import TASK_FAMILIES
from rnnbench.runs import RunDirectory, setting_of
from rnnbench.sweep.study import Panel, Study, find_study
from rnnbench.sweep.tuning import known_choices, tuned_study, tuning_study
from rnnbench.sweep.wandb_sweep import flat
from rnnbench.sweep.worker import Attempt, execute
from rnnbench.system.python_files import load_file

FOLDER = Path(__file__).resolve().parents[1] / "experiments"
FILES = sorted(FOLDER.glob("*.py"))
J = TypeVar("J", Run, Timing)
every_experiment = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a study names its file to workers; put back after the test."""
    monkeypatch.setenv("RNNBENCH_CELLS", "")


def test_there_are_experiments() -> None:
    assert {path.stem for path in FILES} >= {
        "seqlen_perplexity", "seqlen_gradients", "seqlen_throughput", "width_throughput", "decode_latency",
        "published_shapes", "variance",
    }  # fmt: skip


@every_experiment
def test_presets_expand_to_valid_jobs(path: Path) -> None:
    study = find_study(str(path))
    assert isinstance(study, Study)
    assert study.name == path.stem, "a study is found, and its results are kept, by its file's name"
    assert study.question.endswith("?")
    assert {"quick", "full"} <= set(study.presets)
    for preset in study.presets:
        items, jobs = list(study.presets[preset]()), study.jobs(preset)
        panels = [item for item in items if isinstance(item, Panel)]
        loose = [item for item in items if not isinstance(item, Panel)]
        names = [panel.name for panel in panels] + [""] * bool(loose)
        assert len(set(names)) == len(names), "a panel takes another one's place"
        listed = [list(panel.jobs) for panel in panels] + [loose]
        assert all(len({job.id for job in some}) == len(some) for some in listed), "a job is listed twice"
        assert jobs == list({job.id: job for some in listed for job in some}.values())
        assert len(jobs) > 0
        for panel in study.panels(preset):
            assert panel.title.endswith(".") == (panel.name != "" or panel in panels), "it says what is compared"
            assert all(panel.axis in flat(job) for job in panel.jobs)
        for job in jobs:
            again = type(job).from_dict(job.to_dict())
            assert again == job
            assert again.id == job.id
    assert len(study.jobs("quick")) <= len(study.jobs("full"))


PRESETS = [(path, preset) for path in FILES for preset in load_file(path).STUDY.presets]
every_preset = pytest.mark.parametrize(("path", "preset"), PRESETS, ids=lambda one: getattr(one, "stem", one))


@every_preset
def test_what_is_compared_differs_in_what_is_said(path: Path, preset: str) -> None:
    """In every panel, every variant gets every point of the axis and every seed, and pays for as many tokens.

    All this for each data set by itself: the figures of one do not compare with those of another. Where the gradient is
    cut, the batches are the very same. Where T varies, the streams are as many, or the time steps of a batch are; in
    the studies of the length it is the streams, for else their number would be the confound.
    """
    study = find_study(str(path))
    for panel in study.panels(preset):
        runs = [job for job in panel.jobs if isinstance(job, Run)]
        for group in by(runs, lambda job: (job.data.label, job.data.permuted)):
            assert len({job.budget for job in group}) == 1
            assert group[0].budget.tokens is not None
            points = {(job.data.seq_len, job.data.batch_size, job.optim.truncate) for job in group}
            variants = {(job.cell.label, job.model, replace(job.optim, truncate=None)) for job in group}
            seeds = {(job.seed, job.order_seed) for job in group}
            assert len(group) == len(points) * len(variants) * len(seeds), "something is not crossed with the rest"
            if panel.axis == "optim.truncate":
                assert len({job.data for job in group}) == len({job.steps for job in group}) == 1
            steady = {job.data.batch_size for job in group}, {job.data.batch_size * job.data.seq_len for job in group}
            assert 1 in map(len, steady)
            if path.stem.startswith("seqlen"):
                assert len(steady[0]) == 1
                assert len(points) > 1 or panel.name == "width", "a study of lengths has several"
            if panel.name:
                assert len({job.model for job in group}) == len({optim for *_, optim in variants}) == 1
        shuffled = {job.order_seed for job in runs}
        assert not runs or preset == "quick" or len(shuffled) > 1, "one seed is no measurement"


@every_preset
def test_timings_differ_in_what_is_said(path: Path, preset: str) -> None:
    """Along a named panel's axis nothing else changes; whoever is timed along it is timed at several points."""
    for panel in find_study(str(path)).panels(preset):
        timings = [job for job in panel.jobs if isinstance(job, Timing)]
        assert all(job.samples >= 30 for job in timings)
        if not panel.name:
            continue
        # Which backends can take part depends on the length; which number formats are worth it on the card.
        alike = by(timings, lambda job: replace(job, backends=(), **{panel.axis: 1}).id)  # noqa: B023 - done at once
        along = {group[0].dtype: {getattr(job, panel.axis) for job in group} for group in alike}
        for group in alike:
            points = [getattr(job, panel.axis) for job in group]
            assert len(set(points)) == len(points) > 1
            assert set(points) == along[group[0].dtype] <= along["float32"]


def by(jobs: Sequence[J], key: Callable[[J], object]) -> list[list[J]]:
    """The jobs in groups of those with the same key."""
    groups: dict[object, list[J]] = {}
    for job in jobs:
        groups.setdefault(key(job), []).append(job)
    return list(groups.values())


def test_length_and_batch_are_two_questions() -> None:
    """At a constant number of tokens what a small batch costs would be taken for what a length costs."""
    study = find_study(str(FOLDER / "seqlen_throughput.py"))
    for preset in study.presets:
        panels = {panel.name: [job for job in panel.jobs if isinstance(job, Timing)] for panel in study.panels(preset)}
        assert {panel.name: panel.axis for panel in study.panels(preset)} == {
            "length": "seq_len",
            "batch": "batch_size",
        }
        assert len({job.seq_len for job in panels["batch"]}) == 1
        for group in by(panels["length"], lambda job: job.batch_size):
            assert len({job.seq_len for job in group}) > 1


def test_the_longest_solvable_t_is_looked_for_at_several_rates() -> None:
    """Every length that may be tried makes whole batches, and a gradient is followed over the longest."""
    module = load_file(FOLDER / "longest_solvable.py")
    assert module.STUDY.search
    for preset, size in module.SIZES.items():
        first = module.STUDY.jobs(preset)
        assert {job.optim.lr for job in first} == {module.RATES[0]}
        assert all(size["batch_steps"] % length == 0 for length in size["lengths"])
        assert all(job.probes.seq_len >= size["lengths"][-1] for job in first)
        results = {job.id: {"status": "done", "metrics": {"test/mse": 1.0, "test/error": 1.0}} for job in first}
        asked = module.STUDY.jobs(preset, results)
        assert {job.optim.lr for job in asked} == set(module.RATES[:2]), "where nothing is learnt, at another rate"
        assert {job.data.seq_len for job in asked} == {size["lengths"][0]}


@every_experiment
def test_the_first_job_runs(path: Path, tmp_path: Path) -> None:
    """Cut down in size, through what a worker calls."""
    job = find_study(str(path)).jobs("quick")[0]
    if isinstance(job, Run):
        small = replace(
            job,
            model=replace(job.model, hidden_size=8, parameters=None),
            data=replace(job.data, batch_size=4),
            budget=BudgetConfig(steps=4, evals=1, val_tokens=1000),
            probes=replace(job.probes, seq_len=12, batch_size=2),
        )
        result = execute(small, tmp_path, "tried", Attempt(), lambda done, total, what: None)
        metric = TASK_FAMILIES[data_set(str(job.data.name)).kind].primary.metric
        assert {f"test/{metric}", f"val/{metric}"} <= set(result["metrics"])
        flows = job.probes.gradient_flow and job.data.seq_len > 1
        assert any(key.startswith("init/") for key in result["metrics"]) == flows
    else:
        small_timing = replace(job, batch_size=2, seq_len=8, hidden_size=8, samples=3, warmup=1)
        result = execute(small_timing, tmp_path, "tried", Attempt(), lambda done, total, what: None)
        assert any(key.endswith(("/step_ms", "/decode_ms")) for key in result["metrics"])
    assert result["status"] in ("done", "diverged")
    assert RunDirectory(tmp_path, "tried", result["id"]).result() is not None


@every_experiment
def test_it_runs_by_itself(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``python experiments/X.py --dry_run`` lists the quick preset and writes nothing.

    Where learning rates are to be chosen, and are not known yet, the trials come first.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path), "--dry_run"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name="__main__")
    printed = capsys.readouterr()
    assert ended.value.code == 0, printed.err
    lines = [line.split(maxsplit=1) for line in printed.out.splitlines()]
    study = find_study(str(path))
    if study.tune is not None:
        known = known_choices(study, "quick", tmp_path / "runs")
        if known is None:
            trials = tuning_study(study, "quick", study.tune.grid, study.tune.seeds)
            settings = {setting_of(job.to_dict()) for job in study.jobs("quick")}
            assert len(trials.jobs("quick")) == len(settings) * len(study.tune.grid) * study.tune.seeds
        study = trials if known is None else tuned_study(study, "quick", known)
    assert [id for id, _ in lines] == [job.id for job in study.jobs("quick")]
    assert all(state == "to do" for _, state in lines)
    assert list(tmp_path.iterdir()) == []


def test_all_tasks_are_all_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every data set of the catalogue has its line; one that is not here is left out, and said so."""
    module = load_file(FOLDER / "all_tasks.py")
    assert {task.data.name for task in module.TASKS} == set(DATA_SETS) - {"text", "csv"}
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
