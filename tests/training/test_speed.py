"""How fast trainings run, each alone: figures of every run that can be built, and nothing left behind."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig, Run
from rnnbench.runs import RunDirectory, setting_of
from rnnbench.training import speed, train
from rnnbench.training.fitting import StepClock
from rnnbench.training.speed import ROUNDS, STEPS, WARM_UP, time_steps


def text_run(path: Path, cell: str = "gru", **model: int) -> Run:
    return Run(
        cell=CellConfig(cell),
        model=ModelConfig(**{"hidden_size": 8, **model}),  # type: ignore[arg-type]
        data=DataConfig(path=str(path), seq_len=16, batch_size=4),
        optim=OptimConfig(lr=0.01),
        budget=BudgetConfig(steps=1_000_000, evals=50),
        probes=ProbeConfig(seq_len=64, every=10),
        seed=3,
    )


def test_each_is_timed_by_itself(text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two trainings in turns, and one that cannot be built, of which nothing is said; the process is let go."""
    monkeypatch.chdir(tmp_path)
    before, files = os.sched_getaffinity(0), set(tmp_path.rglob("*"))
    runs = [text_run(text_file), text_run(tmp_path / "missing.txt"), text_run(text_file, "lstm", hidden_size=64)]
    told: list[tuple[int, int]] = []
    found = time_steps(runs, lambda done, total: told.append((done, total)))
    assert told == [(turn, 3 * ROUNDS) for turn in range(1, 3 * ROUNDS + 1)]
    assert [setting_of(one["config"]) for one in found] == [setting_of(run.to_dict()) for run in (runs[0], runs[2])]
    for one, run in zip(found, (runs[0], runs[2]), strict=True):
        assert set(one) == {"config", "step_ms", "step_iqr_ms", "step_cpu_ms", "tokens_per_second", "environment"}
        assert not {"seed", "data_seed", "probes"} & set(one["config"])
        assert "lr" not in one["config"]["optim"]
        again = {**one["config"], "optim": {**one["config"]["optim"], "lr": 0.01}, "seed": 3}
        assert dataclasses.replace(Run.from_dict(again), probes=run.probes) == run, "all that decides a speed"
        assert one["step_ms"] > 0
        assert one["step_cpu_ms"] > 0
        assert one["step_iqr_ms"] >= 0
        assert one["tokens_per_second"] == pytest.approx(4 * 16 / (1e-3 * one["step_ms"]))
        environment = one["environment"]
        assert (environment["workers"], environment["pinned"], environment["device"]) == (1, [max(before)], "cpu")
    assert os.sched_getaffinity(0) == before
    assert set(tmp_path.rglob("*")) == files


def test_the_medians_are_of_all_rounds_without_their_first_steps(
    text_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turns are in a random order; what is allocated at a turn's first steps is no speed."""
    order: list[str] = []

    def trained(run: Run, device: str, clock: StepClock) -> float:
        order.append(run.cell.name)
        turn, step = order.count(run.cell.name), 1.0 if run.cell.name == "gru" else 3.0
        clock.seconds = [1e6] * WARM_UP + [turn * step] * (STEPS - WARM_UP)
        clock.cpu_seconds = [1e6] * WARM_UP + [turn * step / 2] * (STEPS - WARM_UP)
        return 64.0

    monkeypatch.setattr(speed, "_train", trained)
    gru, lstm = time_steps([text_run(text_file), text_run(text_file, "lstm")])
    assert sorted(order) == ["gru"] * ROUNDS + ["lstm"] * ROUNDS
    assert all(set(order[2 * i : 2 * i + 2]) == {"gru", "lstm"} for i in range(ROUNDS)), "each once a round"
    assert (gru["step_ms"], gru["step_cpu_ms"]) == (2000.0, 1000.0)  # of rounds of 1, 2 and 3 seconds
    assert (lstm["step_ms"], lstm["step_iqr_ms"]) == (6000.0, 6000.0)
    assert gru["tokens_per_second"] == 4 * 16 / 2


def test_tokens_are_those_that_are_read(tmp_path: Path) -> None:
    """As the run itself counts them: copying over T steps reads T and, twice, what is to be remembered."""
    run = Run(
        cell=CellConfig("gru"),
        model=ModelConfig(hidden_size=8),
        data=DataConfig("copy", seq_len=20, batch_size=4, items=3),
        budget=BudgetConfig(steps=20, evals=1, val_tokens=100),
        probes=ProbeConfig(gradient_flow=False),
    )
    (found,) = time_steps([run])
    read = found["tokens_per_second"] * found["step_ms"] / 1e3
    assert read == pytest.approx(4 * (20 + 2 * 3))
    train(run, tmp_path, wandb="disabled")
    result = RunDirectory(tmp_path, "single", run.id).result()
    assert result is not None
    own = result["metrics"]["throughput/tokens_per_second"] * result["metrics"]["throughput/step_ms"] / 1e3
    assert own == pytest.approx(read)


def test_where_nothing_can_be_built_there_is_nothing(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    assert time_steps([text_run(tmp_path / "missing.txt")]) == []
    assert os.sched_getaffinity(0) == before
