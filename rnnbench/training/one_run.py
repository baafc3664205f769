"""One Run, from its config to its `result.json`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from rnnbench.backends.dispatch import backend_name
from rnnbench.backends.recurrence import kernel_name
from rnnbench.config import Run
from rnnbench.data.datamodule import SequenceDataModule
from rnnbench.data.seq2seq.pairs import PairData
from rnnbench.data.source import Source
from rnnbench.data.text.streams import TextData
from rnnbench.models.translation import EncoderDecoder
from rnnbench.runs import CHECKPOINT, WEIGHTS, Progress, RunDirectory, Start
from rnnbench.runs.lock import State
from rnnbench.system import machine
from rnnbench.tracking import WandbMirror
from rnnbench.training import ddp
from rnnbench.training.callbacks import HistoryLogger, Reporter, StepClock
from rnnbench.training.checkpoints import FORM, ResumePoint, SharedResumePoint, resume_point
from rnnbench.training.ddp import DdpWorkers
from rnnbench.training.fitting import built, fit, quieten
from rnnbench.training.generate import decoded, write_sample
from rnnbench.training.measurements import constants, evaluate, has_diverged, speed
from rnnbench.training.probing import Probing
from rnnbench.training.sequence_module import SequenceModule
from rnnbench.training.weights import save_weights


def train(
    run: Run,
    root: Path,
    study: str = "single",
    wandb: str = "offline",
    progress: Progress = lambda done, total, what: None,
    threads: int = 1,
    workers: int = 1,
    checkpoint_seconds: float = 5.0,
    micro_batches: int = 1,
    devices: int = 1,
    over: State | None = None,
    look: Callable[[Source], None] = lambda source: None,
) -> dict[str, Any]:
    """Train, measure and record one run; a run that is finished already is only read.

    Args:
        run: What to do.
        root: The runs folder; everything is written below ``root/study/run.id``.
        study: The study the run belongs to.
        wandb: offline, online or disabled.
        progress: Told how far the run is.
        threads: Intra-op threads.
        workers: Runs that share the machine with this one, itself included: recorded, as they slow each other down.
        checkpoint_seconds: Time between checkpoints to resume from.
        micro_batches: Parts of a batch that are taken one after the other, for a batch that the memory has no room for;
            the same training up to rounding (and dropout's drawing), so that it is no part of the Run.
        devices: GPUs (on a CPU processes) that share each batch; likewise. torchrun's processes are used where it
            has started some: all of them call this, and those that are not the first return nothing.
        over: A lock of the run whose holder, on another machine, is known to be dead.
        look: Given the data once they are loaded, before anything is trained or written.

    Returns:
        What `result.json` holds.

    Raises:
        UserError: bad input. Busy: another process is at work on this run.
        Stopped: a signal asked for it, see `rnnbench.system.signals`.
    """
    directory = RunDirectory(root, study, run.id)
    if (known := directory.result()) is not None:
        return known
    machine.prepare(threads)
    quieten()
    device = machine.resolve_device(run.device)
    division = ddp.division(device, devices, micro_batches)
    if division.rank > 0:
        ddp.take_part(run, directory, division, device)
        return {}
    # Built before the folder: data, a cell or a backend that are not there leave nothing behind.
    data, module = built(run, division, device)
    environment = machine.environment(device) | {
        "backend": backend_name(module.model.cells[0], run.model.backend, torch.device(device)),
        "recurrence_kernel": kernel_name(torch.empty(0, device=device)),
        "workers": workers,
        "data_sha256": data.fingerprint,
        **({"data_notes": data.source.notes.plain()} if data.source.notes else {}),
        **({"micro_batches": micro_batches} if micro_batches > 1 else {}),
        **({"devices": devices} if devices > 1 else {}),
    }
    look(data.source)
    with directory.opened(run.to_dict(), over):
        if (known := directory.result()) is not None:
            return known
        try:
            with DdpWorkers(run, directory, division, device, threads) as others:
                return _recorded(run, directory, data, module, environment, wandb, progress, checkpoint_seconds, others)
        except SystemExit:  # what Lightning makes of Ctrl-C and SIGTERM, the latter with status 0
            raise KeyboardInterrupt from None


def _recorded(
    run: Run,
    directory: RunDirectory,
    data: SequenceDataModule,
    module: SequenceModule,
    environment: dict[str, Any],
    wandb: str,
    progress: Progress,
    checkpoint_seconds: float,
    others: DdpWorkers,
) -> dict[str, Any]:
    start = Start()
    device = environment["device"]
    metrics: dict[str, Any] = constants(run, module, data)
    curves: dict[str, Any] = {}
    module.provenance = {"data_sha256": data.fingerprint, "form": FORM}
    progress(0, run.steps, "probe")
    probing = Probing(run.probes, module, data, run.steps)
    _probe("init", probing, metrics, curves)

    resume, step = resume_point(directory, data.fingerprint)
    mirror = WandbMirror()
    mirror.open(directory.folder.parent, directory.study, directory.id, run.to_dict(), wandb)
    mirror.rows(directory.rewind(step))
    clock = probing.clock = StepClock(interrupted=lambda step: probing.due(step) or run.validates(step), start=start)
    if run.steps:
        resuming = SharedResumePoint if others.division.devices > 1 else ResumePoint
        # In this order: a checkpoint holds what the probes have found, and the history the rows that they have written.
        callbacks = [clock, probing, Reporter(progress, run.steps),
                     resuming(directory.path(CHECKPOINT), run, checkpoint_seconds)]  # fmt: skip
        peak = machine.PeakMemory(device)
        with others.met(resume is not None):
            fit(run, data, module, directory, HistoryLogger(directory, mirror, module), callbacks, resume)
        metrics["memory/peak_mib"] = peak.mib()
        metrics |= speed(run, clock, module)
        curves["grad_norm"] = module.gradient_norms().numpy()
    module.to(device)  # Lightning leaves it on the CPU

    if module.diverged:
        status = "diverged"
    else:
        progress(run.steps, run.steps, "evaluate")
        module.restore_best()
        scores, losses = evaluate(module, data, device)
        metrics |= scores
        curves |= losses
        directory.check()
        if isinstance(data.source, PairData) and isinstance(module.model, EncoderDecoder):
            metrics |= decoded(module.model, data.source, directory.folder)
        if run.steps:
            _probe("final", probing, metrics, curves)
        status = "diverged" if run.steps and has_diverged(metrics, module) else "done"
        if status == "done" and run.steps and isinstance(data.source, TextData):
            write_sample(module.model, data.source, run.seed, directory.folder)
    curves |= probing.along(curves)
    metrics |= probing.cost(metrics.get("throughput/train_seconds", 0.0))
    directory.check()
    save_weights(directory.path(WEIGHTS), module.model, data.source)
    directory.write_curves(curves)
    mirror.finish(metrics | {"status": status}, curves)
    return directory.finish(run, status, clock.start, metrics, environment)


def _probe(when: str, probing: Probing, metrics: dict[str, Any], curves: dict[str, Any]) -> None:
    figures, arrays = probing.measure(when)
    metrics |= figures
    curves |= arrays
