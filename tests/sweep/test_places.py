"""Where the next job may run, told from what is at work: cores, and GPUs with room."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rnnbench.config import DataConfig, ModelConfig, Run
from rnnbench.config.timing import Timing
from rnnbench.runs import RunDirectory
from rnnbench.sweep.queued_jobs import QueuedJob
from rnnbench.sweep.slots import PER_GPU, DeviceSlot, DeviceSlots, cores, expected_mib
from rnnbench.sweep.study import Job
from rnnbench.sweep.worker import Attempt
from rnnbench.system.machine import Gpu

SMALL = Run(data=DataConfig(seq_len=16, batch_size=4), model=ModelConfig(hidden_size=32))
#: About 17 GiB.
LARGE = Run(data=DataConfig(seq_len=1024, batch_size=64), model=ModelConfig(hidden_size=4096))


def task(job: Job, alone: bool = False) -> QueuedJob:
    made = QueuedJob(job, RunDirectory(Path("runs"), "s", job.id), Attempt())
    made.alone = alone
    return made


def placed(places: DeviceSlots, jobs: list[Job]) -> list[str | None]:
    """The GPUs of the jobs that find a place, one after the other, none of them ending."""
    busy: list[tuple[QueuedJob | None, DeviceSlot]] = []
    for job in jobs:
        one = task(job)
        if (place := places.find(one, busy)) is None:
            break
        busy.append((one, place))
    return [place.gpu for _, place in busy]


def seeds(run: Run, count: int) -> list[Job]:
    return [dataclasses.replace(run, seed=seed) for seed in range(count)]


def test_a_run_a_core() -> None:
    assert placed(DeviceSlots(found=[]), seeds(SMALL, 99)) == [None] * cores()
    assert placed(DeviceSlots(3, found=[]), seeds(LARGE, 99)) == [None] * 3


def test_a_timing_has_the_machine_to_itself() -> None:
    places, run, timing = DeviceSlots(4, found=[]), task(SMALL), task(Timing())
    assert places.find(timing, []) == DeviceSlot()
    assert places.find(timing, [(run, DeviceSlot())]) is None
    assert places.find(timing, [(None, DeviceSlot())]) is None, "data are being read"
    assert places.find(run, [(timing, DeviceSlot())]) is None


def test_small_runs_share_the_gpus_evenly() -> None:
    two = [Gpu("0", 80_000), Gpu("1", 80_000)]
    assert placed(DeviceSlots(6, two), seeds(SMALL, 99)) == ["0", "1"] * 3
    assert placed(DeviceSlots(None, two), seeds(SMALL, 99)) == (["0", "1"] * PER_GPU)[: cores()]


def test_large_runs_are_as_many_as_fit() -> None:
    need = expected_mib(LARGE)
    assert 10_000 < need < 60_000
    assert placed(DeviceSlots(64, [Gpu("0", 2.5 * need)]), seeds(LARGE, 9)) == ["0"] * 2
    assert placed(DeviceSlots(64, [Gpu("0", 0.5 * need)]), seeds(LARGE, 9)) == ["0"], "alone it may try: it is a guess"
    # What is left beside a large one is enough for a small one.
    assert placed(DeviceSlots(64, [Gpu("0", 1.5 * need)]), [LARGE, SMALL]) == ["0", "0"]


def test_who_lacked_memory_gets_a_gpu_to_itself() -> None:
    places = DeviceSlots(64, [Gpu("0", 80_000)])
    beside = [(task(SMALL), DeviceSlot("0", 1000.0))]
    assert places.find(task(SMALL, alone=True), beside) is None
    assert places.find(task(SMALL, alone=True), []) is not None
    assert places.find(task(SMALL), [(task(LARGE, alone=True), DeviceSlot("0", 1000.0))]) is None


def test_a_run_for_the_cpu_leaves_the_gpu_alone() -> None:
    places = DeviceSlots(64, [Gpu("0", 80_000)])
    assert placed(places, [dataclasses.replace(SMALL, device="cpu"), SMALL]) == [None, "0"]
