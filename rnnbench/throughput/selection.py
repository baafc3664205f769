"""Which backends and external implementations are timed: those that can run a cell here, are correct and fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from rnnbench.backends.backend import MULTIPLE, Backend, Request
from rnnbench.backends.dispatch import BACKENDS
from rnnbench.cells.registry import make_cell
from rnnbench.config import CellConfig
from rnnbench.config.timing import ALL, Timing
from rnnbench.errors import UserError, unknown
from rnnbench.runs import Progress
from rnnbench.throughput.clock import kernels_of
from rnnbench.throughput.contestant import Contestant, dtype_of, implementations
from rnnbench.throughput.correctness import CorrectnessCheck
from rnnbench.throughput.memory import available, fresh_peak, out_of_memory, peak_of

#: Beyond so many time steps the profiler is shown a shorter sequence: it keeps every operation of the loop.
PROFILED = 512


def chosen(names: Sequence[str]) -> list[Backend]:
    """The backends that a `Timing` names.

    Raises:
        UserError: There is none of that name.
    """
    every = implementations()
    for name in names:
        if name != ALL and name not in every:
            raise unknown("backend", name, [ALL, *every])
    if ALL in names:
        return list(every.values())
    return [one for name, one in every.items() if name in names or (not names and not one.on_request_only)]


def checked_contestants(
    job: Timing, backends: Sequence[Backend], device: torch.device, metrics: dict[str, Any], progress: Progress
) -> list[Contestant]:
    """Those that will be timed. ``metrics`` gets the error, kernels and peak memory of each, or why it is refused."""
    taken, count = [], len(job.cells) * len(backends)
    for i, config in enumerate(job.cells):
        trial = _Trial(job, config, device)
        for k, backend in enumerate(backends):
            key = f"{config.label}/{backend.name}"
            reason = failure(partial(trial.examine, backend, key, metrics), job, device)
            if reason is None:
                taken.append(trial.contestant.on(backend))
            else:
                metrics[f"{key}/refused"] = reason
            progress(i * len(backends) + k + 1, count, "certify")
    return taken


def did_not_fit(job: Timing, device: torch.device) -> str:
    """``out of memory: 1 × B 32 × T 16384 × H 256, float32, did not fit into 21.3 GiB``."""
    free = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else available()
    layers = f"{job.num_layers} layers × " if job.num_layers > 1 else ""
    size = f"{layers}B {job.batch_size} × T {job.seq_len} × H {job.hidden_size}"
    return f"out of memory: {size}, {job.dtype}, did not fit into {free / 2**30:.1f} GiB"


def failure(work: Callable[[], object], job: Timing, device: torch.device) -> str | None:
    """Do some work; None, or in a sentence why it could not be done."""
    try:
        work()
    except UserError as error:
        return str(error).rstrip(".")
    except Exception as error:
        if not out_of_memory(error):
            return f"it failed: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}".rstrip(": ")
    else:
        return None
    # Outside the except clause: the error's traceback holds the frames, and they the tensors that filled the memory.
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return did_not_fit(job, device)


class _Trial:
    """One cell at one size, tried on one backend after the other.

    Raises:
        UserError: The cell's constructor refuses this size.
    """

    contestant: Contestant
    correctness: CorrectnessCheck

    def __init__(self, job: Timing, config: CellConfig, device: torch.device) -> None:
        self.job, self.config, self.device = job, config, device
        self.cell = make_cell(config, job.width, job.hidden_size)
        #: Why no backend can be tried.
        self.hopeless = failure(self._prepare, job, device)

    def _prepare(self) -> None:
        job = self.job
        self.contestant = Contestant.build(job, self.config, BACKENDS["loop"], self.device)
        generator = torch.Generator(self.device).manual_seed(job.seed + 1)
        states, last = (
            [torch.randn(state.shape, generator=generator, device=self.device, dtype=state.dtype) / scale
             for state in self.contestant.states]
            for scale in (2, 1)
        )  # fmt: skip
        # Ten bits of a TF32 product's factors are kept.
        unit = 2.0**-10 if job.dtype == "tf32" else None
        step = 1 if job.what == "decoding" else 0
        x, cotangent = self.contestant.x.detach(), self.contestant.cotangent
        self.correctness = CorrectnessCheck(self.contestant.layers, x, states, (cotangent, last), unit, step)
        _ = self.correctness.errors  # now, so that memory that runs out is reported as such

    def examine(self, backend: Backend, key: str, metrics: dict[str, Any]) -> None:
        """Puts the results into ``metrics``.

        Raises:
            UserError: Why it is not timed.
        """
        request = Request(self.device, dtype_of(self.job))
        reason = backend.refusal(self.cell, request) or self.hopeless
        if reason is not None:
            raise UserError(reason)
        multiples = self.correctness.multiples(backend)
        worst = max(multiples, key=lambda name: multiples[name])
        metrics[f"{key}/certificate"] = multiples[worst]
        # A backend that needs a larger multiple needs it where the loop is more exact than its own float32.
        allowed = backend.multiple(request) if self.job.dtype != "tf32" else MULTIPLE
        if not multiples[worst] <= allowed:
            raise UserError(f"wrong result: the error of {worst} is {multiples[worst]:.3g} times the loop's")
        contestant = self.contestant.on(backend)
        metrics[f"{key}/kernels"] = kernels_of(contestant.cut(PROFILED).once(self.job.what), self.device)
        peak = self._peak(contestant) if self.job.what == "training" else None
        if peak == math.inf:
            raise UserError(did_not_fit(self.job, self.device))
        if peak is not None:
            metrics[f"{key}/peak_mib"] = peak

    def _peak(self, contestant: Contestant) -> float | None:
        if self.device.type == "cpu":
            return fresh_peak(self.job, self.config, contestant.backend.name)
        work = contestant.once(self.job.what)
        work()  # allocations of the first call alone do not count
        return peak_of(work, self.device)
