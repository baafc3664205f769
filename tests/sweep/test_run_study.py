"""A study in rounds, until its results ask for nothing more; then the speeds of its settings."""

from __future__ import annotations

import dataclasses
import io
import json
import os
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from rich.console import Console

from rnnbench.cli.main import main
from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, Run
from rnnbench.config.timing import Timing
from rnnbench.runs import RunDirectory, Start, StudyFile, read_speeds, read_study, setting_of
from rnnbench.runs.study_files import SPEEDS
from rnnbench.sweep import run_study
from rnnbench.sweep.display import Display
from rnnbench.sweep.run_study import Options, Outcome, measure_speeds
from rnnbench.sweep.study import Job, Panel, Results, Study

#: Widths doubled from 2 on as long as the results ask for it, at most to ``last``; of 8 the data are missing.
STUDY = """
from rnnbench import BudgetConfig, DataConfig, ModelConfig, ProbeConfig, Run, Study

def run(width):
    data = DataConfig("adding", seq_len=4, batch_size=4) if width < 8 else DataConfig(path="missing.csv")
    return Run(model=ModelConfig(hidden_size=width), data=data, budget=BudgetConfig(steps=2, evals=1),
               probes=ProbeConfig(gradient_flow=False))

def further(preset, results):
    width = 2
    while width < LAST and run(width).id in results:
        assert results[run(width).id]["metrics"]["model/hidden_size"] == width
        width *= 2
        yield run(width)

LAST = {last}
STUDY = Study("widths", "How wide?", {{"quick": lambda: [run(2)]}}, further)
"""


def test_rounds_follow_from_the_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNNBENCH_CELLS", "")
    path = tmp_path / "widths.py"

    def swept(*words: str, status: int = 0) -> str:
        assert main(["sweep", str(path), "--out", str(tmp_path / "runs"), "--wandb", "disabled", *words]) == status
        return capsys.readouterr().out

    path.write_text(STUDY.format(last=4))
    listed = swept("--dry_run").splitlines()
    assert [line.split(maxsplit=1)[1] for line in listed] == ["to do"], "the first round, before there are results"
    outcome = json.loads(swept("--json"))
    assert len(outcome["finished"]) == 2, "one round has led to another"
    assert outcome["skipped"] == []
    listed = swept("--dry_run").splitlines()
    assert [line.split(maxsplit=1) for line in listed] == [[id, "finished"] for id in outcome["finished"]]

    # As if it had been killed in its second round.
    (tmp_path / "runs" / "widths" / outcome["finished"][1] / "result.json").unlink()
    again = json.loads(swept("--json"))
    assert again["skipped"] == outcome["finished"][:1]
    assert again["finished"] == outcome["finished"][1:]

    # A run that cannot be done ends the search, instead of being asked for for ever.
    path.write_text(STUDY.format(last=8))
    outcome = json.loads(swept("--json", status=1))
    assert len(outcome["skipped"]) == 2
    ((_, reason),) = outcome["trouble"]
    assert "'missing.csv' does not exist" in reason


A, B, C, D = (Run(CellConfig(cell), seed=7) for cell in ("rnn", "lstm", "gru", "mgu"))


def ids(*jobs: Job) -> frozenset[str]:
    return frozenset(job.id for job in jobs)


def pretended(study: Study, preset: str, root: Path) -> list[StudyFile]:
    """The study's file at each launch; no job is really done."""
    files: list[StudyFile] = []

    def launch(jobs: Sequence[Job], root: Path, name: str, options: Options, display: Display) -> Outcome:
        files.append(read_study(root / name))
        for job in jobs:
            directory = RunDirectory(root, name, job.id)
            with directory.opened(job.to_dict()):
                directory.finish(job, "done", Start(), {}, {})
        return Outcome(finished=[job.id for job in jobs])

    run_study.run_study(study, preset, root, Options(1, "disabled"), launch, Console(quiet=True))
    return files


def test_the_studys_file_is_written_before_the_first_run_and_grows(tmp_path: Path) -> None:
    """With the rounds; and presets share a folder and its panels."""

    def further(preset: str, results: Results) -> Iterable[Job]:
        return [job for known, job in ((A, C), (C, D)) if known.id in results]

    files = pretended(Study("mine", "Which?", {"quick": lambda: [A, B]}, further, search=True), "quick", tmp_path)
    assert [file.panels[0].runs for file in files] == [ids(A, B), ids(A, B, C), ids(A, B, C, D)]
    assert read_study(tmp_path / "mine") == files[-1]
    assert (files[-1].question, files[-1].search) == ("Which?", True)

    few = [Panel("one", "A and B.", [A, B]), Panel("two", "B and C.", [B, C])]
    both = Study("panels", "Which?", {"quick": lambda: few, "other": lambda: [Panel("one", "C.", [C])]})
    for preset in both.presets:
        pretended(both, preset, tmp_path)
    panels = {panel.name: panel for panel in read_study(tmp_path / "panels").panels}
    assert (panels["one"].runs, panels["one"].title) == (ids(A, B, C), "C.")
    assert panels["two"].runs == ids(B, C)


# --- speeds -----------------------------------------------------------------------------------------------------------


def text_run(path: Path, cell: str = "gru", seed: int = 0, lr: float = 0.01, steps: int = 50) -> Run:
    return Run(
        cell=CellConfig(cell),
        model=ModelConfig(hidden_size=8),
        data=DataConfig(path=str(path), seq_len=16, batch_size=4),
        optim=OptimConfig(lr=lr),
        budget=BudgetConfig(steps=steps),
        seed=seed,
    )


def settings(*runs: Run) -> set[str]:
    return {setting_of(run.to_dict()) for run in runs}


def timed(runs: Sequence[Run], pipe: Connection) -> None:
    """As if each were timed: a figure that says how many were, and in which process."""
    pipe.send(("progress", 1, 2))
    environment = {"pid": os.getpid()}
    pipe.send(
        ("done", [{"config": run.to_dict(), "step_ms": float(len(runs)), "environment": environment} for run in runs])
    )


def killed(*_: object) -> None:
    os._exit(9)


def refused(runs: Sequence[Run], pipe: Connection) -> None:
    pipe.send(("failed", "not today."))


def test_each_setting_once_and_only_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what failed, nor what has no step, nor a timing; seeds and rates of a setting are one."""
    monkeypatch.setattr(run_study, "_time", timed)
    text = tmp_path / "x.txt"
    gru, again, other = text_run(text), text_run(text, seed=1), text_run(text, lr=0.5)
    lost, idle, unknown = text_run(text, "rnn"), text_run(text, "mgu", steps=0), text_run(text, "janet")
    late = text_run(text, "lstm")
    jobs = [gru, again, other, lost, idle, unknown, Timing(), late]
    results = {job.id: {"status": "done"} for job in (gru, again, other, idle, jobs[6])} | {
        lost.id: {"status": "diverged"}
    }
    console = Console(file=io.StringIO())
    measure_speeds(tmp_path, jobs, results, console)
    speeds = read_speeds(tmp_path)
    assert set(speeds) == settings(gru)
    assert [one["step_ms"] for one in speeds.values()] == [1.0]
    assert all(one["environment"]["pid"] != os.getpid() for one in speeds.values())
    before = (tmp_path / SPEEDS).stat().st_mtime_ns
    measure_speeds(tmp_path, jobs, results, console)
    assert (tmp_path / SPEEDS).stat().st_mtime_ns == before, "all of them are known"
    measure_speeds(tmp_path, jobs, results | {late.id: {"status": "done"}}, console)
    assert {key: one["step_ms"] for key, one in read_speeds(tmp_path).items()} == dict.fromkeys(
        settings(gru, late), 2.0
    ), "what is compared is measured in turns"


@pytest.mark.parametrize(("end", "said"), [(killed, "its process was ended"), (refused, "not today.")])
def test_where_none_are_measured_it_is_said(
    end: object, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_study, "_time", end)
    run = text_run(tmp_path / "x.txt")
    out = io.StringIO()
    measure_speeds(tmp_path, [run], {run.id: {"status": "done"}}, Console(file=out, width=200))
    assert f"no speeds were measured: {said}" in out.getvalue()
    measure_speeds(tmp_path, [], {}, Console(file=out))
    assert not (tmp_path / SPEEDS).exists()


def test_two_trainings_are_really_timed(text_file: Path, tmp_path: Path) -> None:
    runs = [text_run(text_file), dataclasses.replace(text_run(text_file), model=ModelConfig(hidden_size=64))]
    measure_speeds(tmp_path, runs, {run.id: {"status": "done"} for run in runs}, Console(quiet=True))
    speeds = read_speeds(tmp_path)
    assert set(speeds) == settings(*runs)
    for speed in speeds.values():
        assert speed["tokens_per_second"] == pytest.approx(4 * 16 / (1e-3 * speed["step_ms"]))
        assert (speed["environment"]["workers"], len(speed["environment"]["pinned"])) == (1, 1)
