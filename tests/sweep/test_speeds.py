"""Speeds of a study's settings: measured once its runs are done, of those alone, in a process of its own."""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from rich.console import Console

from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, Run
from rnnbench.config.timing import Timing
from rnnbench.runs import read_speeds, setting_of
from rnnbench.runs.study_files import SPEEDS
from rnnbench.sweep import speeds
from rnnbench.sweep.speeds import measure_speeds


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


def timed(runs: Sequence[Run], told_by: Mapping[str, str], pipe: Connection) -> None:
    """As if each were timed: a figure that says how many were, and in which process."""
    pipe.send(("progress", 1, 2))
    found = [
        {"config": run.to_dict(), "step_ms": float(len(runs)), "environment": {"pid": os.getpid()}} for run in runs
    ]
    pipe.send(("done", found))


def killed(*_: object) -> None:
    os._exit(9)


def refused(runs: Sequence[Run], told_by: Mapping[str, str], pipe: Connection) -> None:
    pipe.send(("failed", "not today."))


def test_each_setting_once_and_only_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what failed, nor what has no step, nor a timing; seeds and rates of a setting are one."""
    monkeypatch.setattr(speeds, "_time", timed)
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
    found = read_speeds(tmp_path)
    assert set(found) == settings(gru)
    assert [one["step_ms"] for one in found.values()] == [1.0]
    assert all(one["environment"]["pid"] != os.getpid() for one in found.values())
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
    monkeypatch.setattr(speeds, "_time", end)
    run = text_run(tmp_path / "x.txt")
    out = io.StringIO()
    measure_speeds(tmp_path, [run], {run.id: {"status": "done"}}, Console(file=out, width=200))
    assert f"no speeds were measured: {said}" in out.getvalue()
    assert not (tmp_path / SPEEDS).exists()
    measure_speeds(tmp_path, [], {}, Console(file=out))
    assert not (tmp_path / SPEEDS).exists()


def test_two_trainings_are_really_timed(text_file: Path, tmp_path: Path) -> None:
    runs = [text_run(text_file), dataclasses.replace(text_run(text_file), model=ModelConfig(hidden_size=64))]
    measure_speeds(tmp_path, runs, {run.id: {"status": "done"} for run in runs}, Console(quiet=True))
    found = read_speeds(tmp_path)
    assert set(found) == settings(*runs)
    for speed in found.values():
        assert speed["tokens_per_second"] == pytest.approx(4 * 16 / (1e-3 * speed["step_ms"]))
        assert (speed["environment"]["workers"], len(speed["environment"]["pinned"])) == (1, 1)
