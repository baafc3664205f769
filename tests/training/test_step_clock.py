"""Step times by the wall and by the processor: what is no step is in neither."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rnnbench.runs import Start
from rnnbench.training.fitting import StepClock, steady_median

TRAINER: Any = SimpleNamespace(global_step=1)


def after(index: int) -> Any:
    """The trainer at the end of a batch, counted from 0."""
    return SimpleNamespace(global_step=index + 1)


class Now:
    """Time that passes when a test says so."""

    wall = cpu = 1000.0

    def passes(self, wall: float, cpu: float) -> None:
        self.wall += wall
        self.cpu += cpu


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    now = Now()
    clocks = SimpleNamespace(perf_counter=lambda: now.wall, process_time=lambda: now.cpu, monotonic=lambda: now.wall)
    monkeypatch.setattr("rnnbench.training.fitting.time", clocks)
    monkeypatch.setattr("rnnbench.runs.run_directory.time", clocks)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: now.passes(1.0, 0.0))
    return now


def module(device: str) -> Any:
    return SimpleNamespace(device=torch.device(device))


def test_on_a_cpu_each_step_has_its_own(now: Now) -> None:
    """Half of the processor is another's; a validation of an hour and a probe of two are no step."""
    clock = StepClock()
    now.passes(50.0, 50.0)
    clock.on_train_start(TRAINER, module("cpu"))
    for index in range(10):
        now.passes(2.0 + index, 1.0 + index / 2)
        clock.on_train_batch_end(TRAINER, module("cpu"), None, None, index)
        now.passes(3600.0, 1800.0)
        clock.on_validation_end(TRAINER, module("cpu"))
        now.passes(7200.0, 3600.0)
        clock.restart()
    assert clock.seconds == pytest.approx([2.0 + index for index in range(10)])
    assert clock.cpu_seconds == pytest.approx([1.0 + index / 2 for index in range(10)])
    assert steady_median(clock.seconds) == pytest.approx(7.0), "of the last nine"
    assert steady_median(clock.cpu_seconds) == pytest.approx(3.5)


def test_on_a_gpu_a_stretch_is_shared_out(now: Now) -> None:
    """Every fourth step is waited for, and one before a validation."""
    clock = StepClock(every=4, interrupted=lambda step: step == 10)
    clock.on_train_start(TRAINER, module("cuda"))
    for index in range(10):
        now.passes(1.0, 0.5)
        clock.on_train_batch_end(after(index), module("cuda"), None, None, index)
    assert clock.seconds == pytest.approx([1.25] * 8 + [1.5] * 2), "four and four, then two; each waited for once"
    assert clock.cpu_seconds == pytest.approx([0.5] * 10)


@pytest.mark.parametrize("end", ["checkpoint", "training"])
def test_on_a_gpu_no_step_is_left_out(now: Now, end: str) -> None:
    """What stands in a checkpoint, or at the end of a training that was stopped early, is of all steps so far."""
    clock = StepClock(every=4)
    clock.on_train_start(TRAINER, module("cuda"))
    for index in range(6):
        now.passes(1.0, 0.5)
        clock.on_train_batch_end(after(index), module("cuda"), None, None, index)
    if end == "checkpoint":
        assert clock.state_dict()["seconds"].tolist() == pytest.approx([1.25] * 4 + [1.5] * 2)
    clock.on_train_end(TRAINER, module("cuda"))
    assert clock.seconds == pytest.approx([1.25] * 4 + [1.5] * 2)


def test_a_clock_goes_on_from_a_checkpoint(now: Now) -> None:
    """An hour passes between two processes, and a step after the checkpoint is lost: neither is in any of the times."""
    first = StepClock(start=Start("2026-01-01", now.wall))
    now.passes(10.0, 10.0)
    first.on_train_start(TRAINER, module("cpu"))
    for index in range(3):
        now.passes(2.0, 1.0)
        first.on_train_batch_end(after(index), module("cpu"), None, None, index)
    saved = first.state_dict()
    now.passes(2.0, 1.0)
    first.on_train_batch_end(after(3), module("cpu"), None, None, 3)
    now.passes(3600.0, 0.0)
    second = StepClock(start=Start("2026-01-02", now.wall))
    now.passes(5.0, 5.0)
    second.load_state_dict(saved)
    second.on_train_start(TRAINER, module("cpu"))
    now.passes(4.0, 3.0)
    second.on_train_batch_end(after(3), module("cpu"), None, None, 3)
    assert second.seconds == pytest.approx([2.0, 2.0, 2.0, 4.0])
    assert second.cpu_seconds == pytest.approx([1.0, 1.0, 1.0, 3.0])
    assert second.start.stamp == "2026-01-01"
    assert second.start.seconds == pytest.approx(10.0 + 3 * 2.0 + 5.0 + 4.0)
