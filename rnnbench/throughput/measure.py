"""Do a `Timing`: certify the contestants, let them take turns, write the ledger.

The work of a contestant is a whole layer, the input's matrix product included, on the same weights, inputs and random
cotangents; gradients are taken by ``autograd.grad``, so that nothing is accumulated inside the timed part.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnbench import machine
from rnnbench.backends.backend import Request
from rnnbench.backends.dispatch import BACKENDS, run
from rnnbench.backends.recurrence import kernel_name
from rnnbench.cells.cell import Cell
from rnnbench.cells.registry import checked_options, make_cell
from rnnbench.errors import unknown
from rnnbench.ledger import Entry, Progress, Start
from rnnbench.throughput.certificate import certificate
from rnnbench.throughput.timing import Timing
from rnnbench.tracking import WandbMirror

#: What is timed, each apart: inference; the forward pass of training; its backward pass; both and the optimiser.
PARTS = ("forward", "train_forward", "backward", "step")


@dataclass
class Contestant:
    """A cell on a backend, with what it works on."""

    name: str
    cell: Cell
    backend: str
    x: Tensor
    cotangent: Tensor

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.Adam(self.cell.parameters(), lr=0.0, fused=True)

    def turn(self, clock: Callable[[], float]) -> tuple[float, ...]:
        """Seconds for each of `PARTS`."""
        marks = [clock()]
        with torch.inference_mode():
            run(self.cell, self.x, None, self.backend)
        marks.append(clock())
        y, _ = run(self.cell, self.x, None, self.backend)
        marks.append(clock())
        gradients = torch.autograd.grad(y, [self.x, *self.cell.parameters()], self.cotangent)
        marks.append(clock())
        for parameter, gradient in zip(self.cell.parameters(), gradients[1:], strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        marks.append(clock())
        forward, train_forward, backward, update = np.diff(marks)
        return forward, train_forward, backward, train_forward + backward + update


def measure(
    job: Timing,
    root: Path,
    study: str,
    wandb: str = "offline",
    progress: Progress = lambda done, total, what: None,
) -> dict[str, Any]:
    """Measure and record; a timing that is finished already is only read.

    Raises:
        UserError: an unknown cell, option or backend. Busy: another process is at work on it.
    """
    entry = Entry(root, study, job.id)
    if (known := entry.result()) is not None:
        return known
    machine.prepare()
    device = torch.device(machine.resolve_device(job.device))
    # Before the folder: what does not exist leaves nothing behind.
    for cell in job.cells:
        checked_options(cell)
    for name in job.backends:
        if name not in BACKENDS:
            raise unknown("backend", name, BACKENDS)
    with entry.opened(job.to_dict()):
        start = Start()
        metrics: dict[str, Any] = {"work": "layer"}
        contestants = _certified(job, device, metrics)
        samples = _take_turns(contestants, job, device, progress)
        curves = {f"{name}/{part}": values[:, i] for name, values in samples.items() for i, part in enumerate(PARTS)}
        for contestant in contestants:
            metrics |= _figures(contestant, samples, job)
        entry.write_curves(curves)
        mirror = WandbMirror()  # only now: its process must not run beside what is timed
        mirror.open(entry.folder.parent, study, entry.id, job.to_dict() | {"kind": job.kind}, wandb)
        mirror.finish(metrics, {})
        environment = machine.environment(device.type) | {
            "recurrence_kernel": kernel_name(torch.empty(0, device=device))
        }
        return entry.finish(job, "done", start, metrics, environment)


def _certified(job: Timing, device: torch.device, metrics: dict[str, Any]) -> list[Contestant]:
    """Every cell on every backend that can run it and computes the right thing; the metrics say why not the others."""
    dtype = getattr(torch, job.dtype)
    contestants = []
    for config in job.cells:
        torch.manual_seed(job.seed)
        cell = make_cell(config, job.hidden_size, job.hidden_size).to(device=device, dtype=dtype)
        x = torch.randn(job.batch_size, job.seq_len, job.hidden_size, device=device, dtype=dtype)
        cotangent = torch.randn(job.batch_size, job.seq_len, job.hidden_size, device=device, dtype=dtype)
        state = torch.randn_like(cell.initial_state(job.batch_size)) / 2
        for name, backend in BACKENDS.items():
            if name not in job.backends and (job.backends or backend.on_request_only):
                continue
            key = f"{config.label}/{name}"
            request = Request(device, dtype)
            reason = backend.refusal(cell, request)
            if reason is None:
                multiples = certificate(cell, x, state, (cotangent, torch.randn_like(state)), name)
                worst = max(multiples, key=lambda k: multiples[k])
                metrics[f"{key}/certificate"] = multiples[worst]
                if not multiples[worst] <= backend.multiple(request):
                    reason = f"wrong result: the error of {worst} is {multiples[worst]:.3g} times the loop's"
            if reason is None:
                contestants.append(Contestant(key, cell, name, x.clone().requires_grad_(), cotangent))
            else:
                metrics[f"{key}/refused"] = reason
    return contestants


def _take_turns(
    contestants: list[Contestant], job: Timing, device: torch.device, progress: Progress
) -> dict[str, NDArray[np.float64]]:
    """(samples, parts) seconds of each contestant; round-robin in a new random order each round."""

    def clock() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    order = np.random.default_rng(job.seed)
    taken: dict[str, list[tuple[float, ...]]] = {contestant.name: [] for contestant in contestants}
    for round_ in range(job.warmup + job.samples):
        for index in order.permutation(len(contestants)):
            seconds = contestants[index].turn(clock)
            if round_ >= job.warmup:
                taken[contestants[index].name].append(seconds)
        progress(round_ + 1, job.warmup + job.samples, "time")
    return {name: np.array(values) for name, values in taken.items()}


def _figures(contestant: Contestant, samples: dict[str, NDArray[np.float64]], job: Timing) -> dict[str, float]:
    """Medians, interquartile ranges, tokens/s of the step, and the speed-up over the loop with a 95 % interval."""
    own = samples[contestant.name]
    figures: dict[str, float] = {}
    for i, part in enumerate(PARTS):
        low, middle, high = np.percentile(1e3 * own[:, i], [25, 50, 75])
        figures[f"{part}_ms"], figures[f"{part}_iqr_ms"] = float(middle), float(high - low)
    figures["tokens_per_second"] = 1e3 * job.batch_size * job.seq_len / figures["step_ms"]
    loop = samples.get(contestant.name.rsplit("/", 1)[0] + "/loop")
    if loop is not None:
        middle, low, high = speed_up(loop[:, -1], own[:, -1])
        figures |= {"speedup": middle, "speedup_low": low, "speedup_high": high}
    return {f"{contestant.name}/{key}": value for key, value in figures.items()}


def speed_up(
    base: NDArray[np.float64], other: NDArray[np.float64], resamples: int = 2000
) -> tuple[float, float, float]:
    """Ratio of medians base/other with a paired-bootstrap 95 % interval: rounds are drawn, not single times."""
    rounds = np.random.default_rng(0).integers(len(base), size=(resamples, len(base)))
    ratios = np.median(base[rounds], axis=1) / np.median(other[rounds], axis=1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(np.median(base) / np.median(other)), float(low), float(high)
