"""Do a `Timing`: certify the contestants, let them take turns, write the ledger.

The work of a contestant is a whole layer, the input's matrix product included, on the same weights, inputs and random
cotangents as every other contestant of its cell.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
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
from rnnbench.runs import Progress, RunDirectory, Start
from rnnbench.system import machine
from rnnbench.throughput.clock import DeviceClock, Seconds, clock_of
from rnnbench.throughput.contestant import PARTS, REPLAYED, Contestant, Replay, dtype_of
from rnnbench.throughput.cost import Ceilings, work_of
from rnnbench.throughput.memory import fence
from rnnbench.throughput.metrics import CPU, figures
from rnnbench.throughput.selection import checked_contestants, chosen, failure
from rnnbench.tracking import WandbMirror

#: Energy is read over so many seconds of a contestant's work at the least: the counter moves in steps.
SECONDS_OF_ENERGY = 0.5


class TimedItem(NamedTuple):
    """Something that takes turns: the parts of a turn have names of their own."""

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
    """Measure and record; a timing that is finished already is only read.

    Raises:
        UserError: an unknown cell, option or backend, or a number format that the device has not. Busy: another process
            is at work on it.
    """
    directory = RunDirectory(root, study, job.id)
    if (known := directory.result()) is not None:
        return known
    machine.prepare()
    device = torch.device(machine.resolve_device(job.device))
    # Before the folder: what does not exist leaves nothing behind.
    for cell in job.cells:
        make_cell(cell, job.width, job.hidden_size)
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
        alone: AbstractContextManager[list[int]] = machine.pinned() if device.type == "cpu" else nullcontext([])
        with alone as pinned:
            samples = _take_turns(contestants, ceilings, job, device, metrics, progress)
        metrics |= figures(samples, job, works, ceilings)
        if device.type == "cuda":
            metrics |= _energy(contestants, job, metrics)
        directory.write_curves(samples)
        environment = machine.environment(device.type) | machine.facts(device.type) | {"cpu_mhz": machine.cpu_clock()}
        environment["pinned"] = pinned
        environment["recurrence_kernel"] = kernel_name(torch.empty(0, device=device))
        mirror = WandbMirror()  # only now: its process must not run beside what is timed
        mirror.open(directory.folder.parent, study, directory.id, job.to_dict() | {"kind": job.kind}, wandb)
        mirror.finish(metrics, {})
        return directory.finish(job, "done", start, metrics, environment)


@contextmanager
def _products(job: Timing) -> Iterator[None]:
    """While it lasts, a GPU multiplies float32 as the job says: in TF32 or not."""
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
) -> dict[str, NDArray[np.float64]]:
    """(samples,) seconds of each part of each player, and of the processor (``PART_cpu``), where they are known.

    Round-robin, in a new random order each round.
    """
    players = [TimedItem("ceiling", Ceilings.PARTS, ceilings.turn)]
    for one in contestants:
        players.append(TimedItem(one.name, PARTS[job.what], partial(one.turn, job.what)))
        if device.type == "cuda" and (replay := _replay(one, job)) is not None:
            players.append(TimedItem(one.name, REPLAYED[job.what], replay.turn))
    clock, order = clock_of(device), np.random.default_rng(job.seed)
    taken: dict[str, list[float]] = {}
    with _no_collector():
        for round_ in range(job.warmup + job.samples):
            for index in order.permutation(len(players)):
                player = players[index]
                if f"{player.name}/refused" in metrics:
                    continue
                seconds: list[Seconds] = []
                reason = failure(lambda: seconds.extend(player.turn(clock)), job, device)  # noqa: B023 - done at once
                if reason is not None:
                    metrics[f"{player.name}/refused"] = reason
                elif round_ >= job.warmup:
                    for part, value in zip(player.parts, seconds, strict=True):
                        taken.setdefault(f"{player.name}/{part}", []).append(value.wall)
                        if not math.isnan(value.cpu):
                            taken.setdefault(f"{player.name}/{part}{CPU}", []).append(value.cpu)
            progress(round_ + 1, job.warmup + job.samples, "time")
    refused = {key.removesuffix("/refused") for key in metrics if key.endswith("/refused")}
    return {name: np.array(values) for name, values in taken.items() if name.rpartition("/")[0] not in refused}


def _replay(contestant: Contestant, job: Timing) -> Replay | None:
    if contestant.backend.name == "graph":  # is one already
        return None
    try:
        return Replay(contestant, job.what)
    except RuntimeError:  # something in it cannot be captured: then there is no such figure
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


def _energy(contestants: Sequence[Contestant], job: Timing, metrics: dict[str, Any]) -> dict[str, float]:
    """Joules a token of the training step, or of decoding; none where NVML does not answer."""
    out = {}
    for one in contestants:
        median = metrics.get(f"{one.name}/{PARTS[job.what][-1]}_ms")
        if median is None or (before := machine.millijoules()) is None:
            continue
        symbols = job.seq_len if job.what == "decoding" else 1
        repeats = max(1, round(1e3 * SECONDS_OF_ENERGY / (median * symbols)))
        work = one.once(job.what)
        for _ in range(repeats):
            work()
        torch.cuda.synchronize()
        if (after := machine.millijoules()) is not None:
            out[f"{one.name}/joules_per_token"] = 1e-3 * (after - before) / (repeats * symbols * job.tokens)
    return out
