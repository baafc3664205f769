"""Where the next job may run, and what is done after an attempt that left no result."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from rnnbench.config import DataConfig, ModelConfig, Run
from rnnbench.config.timing import Timing
from rnnbench.runs import RunDirectory
from rnnbench.sweep import slots
from rnnbench.sweep.slots import DELAYS, PER_GPU, DeviceSlot, DeviceSlots, QueuedJob, cores, expected_mib
from rnnbench.sweep.study import Job
from rnnbench.system.machine import Gpu

SMALL = Run(data=DataConfig(seq_len=16, batch_size=4), model=ModelConfig(hidden_size=32))
#: About 17 GiB.
LARGE = Run(data=DataConfig(seq_len=1024, batch_size=64), model=ModelConfig(hidden_size=4096))


def queued(job: Job = SMALL, alone: bool = False) -> QueuedJob:
    return QueuedJob(job, RunDirectory(Path("runs"), "s", job.id), alone=alone)


def placed(devices: DeviceSlots, jobs: list[Job]) -> list[str | None]:
    """The GPUs of the jobs that get a slot, one after the other, none of them ending."""
    running: list[tuple[QueuedJob | None, DeviceSlot]] = []
    for job in jobs:
        one = queued(job)
        if (slot := devices.find(one, running)) is None:
            break
        running.append((one, slot))
    return [slot.gpu for _, slot in running]


def seeds(run: Run, count: int) -> list[Job]:
    return [dataclasses.replace(run, seed=seed) for seed in range(count)]


def test_a_run_a_core() -> None:
    assert placed(DeviceSlots(devices=[]), seeds(SMALL, 99)) == [None] * cores()
    assert placed(DeviceSlots(3, devices=[]), seeds(LARGE, 99)) == [None] * 3


def test_a_timing_has_the_machine_to_itself() -> None:
    devices, run, timing = DeviceSlots(4, devices=[]), queued(), queued(Timing())
    assert devices.find(timing, []) == DeviceSlot()
    assert devices.find(timing, [(run, DeviceSlot())]) is None
    assert devices.find(timing, [(None, DeviceSlot())]) is None, "data are being read"
    assert devices.find(run, [(timing, DeviceSlot())]) is None


def test_runs_share_the_gpus_evenly_and_as_many_as_fit() -> None:
    two = [Gpu("0", 80_000), Gpu("1", 80_000)]
    assert placed(DeviceSlots(6, two), seeds(SMALL, 99)) == ["0", "1"] * 3
    assert placed(DeviceSlots(None, two), seeds(SMALL, 99)) == (["0", "1"] * PER_GPU)[: cores()]
    need = expected_mib(LARGE)
    assert 10_000 < need < 60_000
    assert placed(DeviceSlots(64, [Gpu("0", 2.5 * need)]), seeds(LARGE, 9)) == ["0"] * 2
    assert placed(DeviceSlots(64, [Gpu("0", 0.5 * need)]), seeds(LARGE, 9)) == ["0"], "alone it may try: it is a guess"
    # What is left beside a large one is enough for a small one.
    assert placed(DeviceSlots(64, [Gpu("0", 1.5 * need)]), [LARGE, SMALL]) == ["0", "0"]


def test_a_job_that_lacked_memory_gets_a_gpu_to_itself_and_one_for_the_cpu_none() -> None:
    devices = DeviceSlots(64, [Gpu("0", 80_000)])
    assert devices.find(queued(alone=True), [(queued(), DeviceSlot("0", 1000.0))]) is None
    assert devices.find(queued(alone=True), []) is not None
    assert devices.find(queued(), [(queued(LARGE, alone=True), DeviceSlot("0", 1000.0))]) is None
    assert placed(devices, [dataclasses.replace(SMALL, device="cpu"), SMALL]) == [None, "0"]


@pytest.mark.parametrize("status", ["died", "storage", "stopped"])
def test_a_failure_of_the_machine_is_retried_after_longer_and_longer_pauses(
    status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots.time, "monotonic", lambda: 100.0)
    one = queued()
    waits = []
    while one.retry(status) is not None:
        waits.append(one.not_before - 100.0)
    assert tuple(waits) == DELAYS
    assert one.micro_batches == 1, "what is not the job's fault does not change how it is done"


@pytest.mark.parametrize("status", ["failed", "refused", "diverged", "oom", "timeout", "done"])
def test_an_end_with_a_reason_is_not_retried(status: str) -> None:
    assert queued().retry(status) is None


def test_too_little_memory() -> None:
    """On a shared GPU first alone, then in halves, then it is a result. A single kill by the kernel may be another
    process's fault, so the run is retried as it is; after the second in halves, once."""
    one = queued()
    assert one.retry("memory", shared=True) == "again, with the GPU to itself"
    assert (one.alone, one.micro_batches) == (True, 1)
    assert one.retry("memory") == "again, each batch in two halves"
    assert one.micro_batches == 2
    assert one.retry("memory") is None
    killed = queued()
    assert killed.retry("starved") == "again in 1 s"
    assert killed.micro_batches == 1
    assert killed.retry("starved") == "again, each batch in two halves"
    assert killed.retry("starved") is None
    assert queued(Run(data=DataConfig(batch_size=1))).retry("memory") is None, "cannot be halved"
    assert queued(Timing()).retry("memory") is None
