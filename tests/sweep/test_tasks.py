"""What an attempt's end means for the next: remedies in order, and when there is none left."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnbench.config import DataConfig, Run
from rnnbench.config.timing import Timing
from rnnbench.runs import RunDirectory
from rnnbench.sweep import queued_jobs as tasks
from rnnbench.sweep.queued_jobs import DELAYS, QueuedJob
from rnnbench.sweep.study import Job
from rnnbench.sweep.worker import Attempt


def task(job: Job | None = None) -> QueuedJob:
    job = job or Run(data=DataConfig(batch_size=4))
    return QueuedJob(job, RunDirectory(Path("runs"), "s", job.id), Attempt())


@pytest.mark.parametrize("status", ["died", "storage", "stopped"])
def test_a_mishap_is_tried_again_after_longer_and_longer_pauses(status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.time, "monotonic", lambda: 100.0)
    one = task()
    waits = []
    while one.remedy(status) is not None:
        waits.append(one.not_before - 100.0)
    assert tuple(waits) == DELAYS
    assert one.attempt == Attempt(), "what is not the job's fault does not change how it is done"


@pytest.mark.parametrize("status", ["failed", "refused", "diverged", "oom", "timeout", "done"])
def test_an_honest_end_is_an_end(status: str) -> None:
    assert task().remedy(status) is None


def test_too_little_memory_on_a_gpu_that_is_shared() -> None:
    """First alone, then in halves, then it is a result."""
    one = task()
    assert one.remedy("memory", shared=True) == "again, with the GPU to itself"
    assert (one.alone, one.attempt.micro_batches) == (True, 1)
    assert one.remedy("memory") == "again, each batch in two halves"
    assert one.attempt.micro_batches == 2
    assert one.remedy("memory") is None


def test_killed_by_the_kernel_for_want_of_memory() -> None:
    """Once may have been another's greed, so the run goes on as it is; twice, and it goes on in halves, once."""
    one = task()
    assert one.remedy("starved") == "again in 1 s"
    assert one.attempt.micro_batches == 1
    assert one.remedy("starved") == "again, each batch in two halves"
    assert one.remedy("starved") is None


def test_what_cannot_be_halved() -> None:
    assert task(Run(data=DataConfig(batch_size=1))).remedy("memory") is None
    assert task(Timing()).remedy("memory") is None
