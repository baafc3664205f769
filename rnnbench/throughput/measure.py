"""Do a `Timing`: check the contestants, let them take turns, compute the figures, write the run directory.

A contestant runs whole layers, the input's matrix product included, on the same weights, inputs and random cotangents
as every other contestant of its cell.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rnnbench.backends.recurrence import kernel_name
from rnnbench.cells.registry import make_cell
from rnnbench.config.timing import Timing
from rnnbench.errors import UserError
from rnnbench.intervals import speed_up
from rnnbench.runs import Progress, RunDirectory, Start
from rnnbench.system import machine
from rnnbench.throughput.clock import DeviceClock, Seconds, clock_of
from rnnbench.throughput.contestant import PARTS, REPLAYED, Contestant, Replay, dtype_of
from rnnbench.throughput.cost import Ceilings, Work, work_of
from rnnbench.throughput.memory import fence
from rnnbench.throughput.selection import checked_contestants, chosen, failure
from rnnbench.tracking import WandbMirror

#: Energy is read over so many seconds of a contestant's work at the least: the counter moves in steps.
SECONDS_OF_ENERGY = 0.5
#: Ends the name of a part whose seconds are processor time.
CPU = "_cpu"
#: Seconds by name.
Samples = Mapping[str, NDArray[np.float64]]


class TimedItem(NamedTuple):
    """Something that takes turns, and the names of the parts of a turn."""

    name: str
    parts: Sequence[str]
    turn: Callable[[DeviceClock], tuple[Seconds, ...]]


def measure(
    job: Timing,
    root: Path,
    study: str,
    wandb: str = "offline",
    progress: Progress = lambda done, total, what: None,
) -> dict[str, Any]:
    """Measure and record; the result of a finished timing is only read.

    Raises:
        UserError: an unknown cell, option or backend, or a number format that the device has not. Busy: another process
            is at work on it.
    """
    directory = RunDirectory(root, study, job.id)
    if (known := directory.result()) is not None:
        return known
    machine.prepare()
    device = torch.device(machine.resolve_device(job.device))
    # Before the folder is created: what does not exist leaves nothing behind.
    exempt = {cell.label: dict(make_cell(cell, job.width, job.hidden_size).exempt) for cell in job.cells}
    backends = chosen(job.backends)
    if job.dtype == "tf32" and device.type != "cuda":
        raise UserError("tf32 is a way in which GPUs multiply; take float32 on a CPU.")
    with directory.opened(job.to_dict()), _products(job), fence() if device.type == "cpu" else nullcontext():
        start = Start()
        metrics: dict[str, Any] = {"work": "layer"}
        contestants = checked_contestants(job, backends, device, metrics, progress)
        works = {cell.label: work_of(job, cell) for cell in job.cells}
        largest = max(work.bytes for parts in works.values() for work in parts.values())
        ceilings = Ceilings(dtype_of(job), device, largest, job.batch_size, job.hidden_size)
        pinning: AbstractContextManager[list[int]] = machine.pinned() if device.type == "cpu" else nullcontext([])
        with pinning as pinned:
            samples = _take_turns(contestants, ceilings, job, device, metrics, progress)
        metrics |= figures(samples, job, works, ceilings)
        if device.type == "cuda":
            metrics |= _energy(contestants, job, metrics)
        directory.write_curves(samples)
        environment = machine.environment(device.type) | machine.facts(device.type) | {"cpu_mhz": machine.cpu_clock()}
        environment["pinned"] = pinned
        environment["recurrence_kernel"] = kernel_name(torch.empty(0, device=device))
        if any(exempt.values()):
            environment["exemptions"] = {label: reasons for label, reasons in exempt.items() if reasons}
        mirror = WandbMirror()  # only now: its process must not run beside what is timed
        mirror.open(directory.folder.parent, study, directory.id, job.to_dict() | {"kind": job.kind}, wandb)
        mirror.finish(metrics, {})
        return directory.finish(job, "done", start, metrics, environment)


@contextmanager
def _products(job: Timing) -> Iterator[None]:
    """Within it a GPU multiplies float32 in TF32 if the job says so, and else not."""
    settings: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [setting.allow_tf32 for setting in settings]
    for setting in settings:
        setting.allow_tf32 = job.dtype == "tf32"
    try:
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.allow_tf32 = value


def _take_turns(
    contestants: Sequence[Contestant],
    ceilings: Ceilings,
    job: Timing,
    device: torch.device,
    metrics: dict[str, Any],
    progress: Progress,
) -> Samples:
    """(samples,) seconds of each part of each item, and of processor time (``PART_cpu``) where it is known.

    Round-robin, in a new random order each round.
    """
    items = [TimedItem("ceiling", Ceilings.PARTS, ceilings.turn)]
    for contestant in contestants:
        items.append(TimedItem(contestant.name, PARTS[job.what], partial(contestant.turn, job.what)))
        if device.type == "cuda" and (replay := _replay(contestant, job)) is not None:
            items.append(TimedItem(contestant.name, REPLAYED[job.what], replay.turn))
    clock, order = clock_of(device), np.random.default_rng(job.seed)
    taken: dict[str, list[float]] = {}
    with _no_collector():
        for round_ in range(job.warmup + job.samples):
            for index in order.permutation(len(items)):
                item = items[index]
                if f"{item.name}/refused" in metrics:
                    continue
                seconds: list[Seconds] = []
                reason = failure(lambda: seconds.extend(item.turn(clock)), job, device)  # noqa: B023 - done at once
                if reason is not None:
                    metrics[f"{item.name}/refused"] = reason
                elif round_ >= job.warmup:
                    for part, value in zip(item.parts, seconds, strict=True):
                        taken.setdefault(f"{item.name}/{part}", []).append(value.wall)
                        if not math.isnan(value.cpu):
                            taken.setdefault(f"{item.name}/{part}{CPU}", []).append(value.cpu)
            progress(round_ + 1, job.warmup + job.samples, "time")
    return {name: np.array(v) for name, v in taken.items() if f"{name.rpartition('/')[0]}/refused" not in metrics}


def _replay(contestant: Contestant, job: Timing) -> Replay | None:
    """None of what is a graph already, or cannot be captured: then there is no such figure."""
    if contestant.backend.name == "graph":
        return None
    try:
        return Replay(contestant, job.what)
    except RuntimeError:
        return None


@contextmanager
def _no_collector() -> Iterator[None]:
    """Python's garbage is collected before the turns, not in the middle of one."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def figures(
    samples: Samples, job: Timing, works: Mapping[str, Mapping[str, Work]], ceilings: Ceilings
) -> dict[str, float]:
    """All figures of all contestants: medians, ratios, rates, and the share of what the hardware can do.

    From seconds by CELL/BACKEND/PART, and of ``ceiling/gemm``, ``ceiling/copy`` and ``ceiling/step``, and from the
    work of each cell, by its label.
    """
    ceiling = ceilings.ceiling(*(float(np.median(samples[f"ceiling/{name}"])) for name in Ceilings.PARTS))
    out = {
        "gemm_flops_per_second": ceiling.gemm,
        "copy_bytes_per_second": ceiling.copy,
        "step_flops_per_second": ceiling.step,
    }
    main = PARTS[job.what][-1]
    for cell in job.cells:
        for name in (key.rpartition("/")[0] for key in samples if key.endswith(f"/{main}")):
            if name.rpartition("/")[0] != cell.label:
                continue
            parts = {key.rpartition("/")[2]: value for key, value in samples.items() if key.rpartition("/")[0] == name}
            row = times(parts)
            row["tokens_per_second"] = 1e3 * job.tokens / row[f"{main}_ms"]
            if (loop := samples.get(f"{cell.label}/loop/{main}")) is not None:
                row["speedup"], row["speedup_low"], row["speedup_high"] = speed_up(loop, parts[main])
            for what, work in works[cell.label].items():
                floor = 1e3 * work.floor(ceiling)
                row |= {f"{what}_flops": work.flops / job.tokens, f"{what}_bytes": work.bytes / job.tokens}
                row |= {f"{what}_floor_ms": floor, f"{what}_share": floor / row[f"{what}_ms"]}
                if work.sequential:
                    looped = 1e3 * work.loop_floor(ceiling)
                    row |= {f"{what}_loop_floor_ms": looped, f"{what}_loop_share": looped / row[f"{what}_ms"]}
            out |= {f"{name}/{key}": value for key, value in row.items()}
    return out


def times(samples: Samples) -> dict[str, float]:
    """PART_ms and PART_iqr_ms of seconds by part: median and interquartile range; of processor time PART_cpu_ms."""
    out: dict[str, float] = {}
    for part, seconds in samples.items():
        low, middle, high = np.percentile(1e3 * seconds, [25, 50, 75])
        if part.endswith(CPU):
            out[f"{part}_ms"] = 1e3 * float(np.median(seconds))
        else:
            out |= {f"{part}_ms": float(middle), f"{part}_iqr_ms": float(high - low)}
    return out


def _energy(contestants: Sequence[Contestant], job: Timing, metrics: dict[str, Any]) -> dict[str, float]:
    """Joules a token of the training step, or of decoding; none where NVML does not answer."""
    out = {}
    for contestant in contestants:
        median = metrics.get(f"{contestant.name}/{PARTS[job.what][-1]}_ms")
        if median is None or (before := machine.millijoules()) is None:
            continue
        symbols = job.seq_len if job.what == "decoding" else 1
        repeats = max(1, round(1e3 * SECONDS_OF_ENERGY / (median * symbols)))
        work = contestant.once(job.what)
        for _ in range(repeats):
            work()
        torch.cuda.synchronize()
        if (after := machine.millijoules()) is not None:
            out[f"{contestant.name}/joules_per_token"] = 1e-3 * (after - before) / (repeats * symbols * job.tokens)
    return out
