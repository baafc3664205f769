"""One Run, from its config to its `result.json`."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from numpy.typing import NDArray

from rnnbench.backends.dispatch import backend_name
from rnnbench.backends.recurrence import kernel_name
from rnnbench.cells.weights import count_weights
from rnnbench.config import Run
from rnnbench.data.datamodule import SequenceDataModule
from rnnbench.data.seq2seq.pairs import PairData
from rnnbench.data.source import Batches, Part, Source, generator
from rnnbench.data.text.streams import TextData
from rnnbench.models.build import matched_parameters, state_size
from rnnbench.models.translation import EncoderDecoder
from rnnbench.probes.flops import cost_per_token
from rnnbench.runs import CHECKPOINT, WEIGHTS, Progress, RunDirectory, Start
from rnnbench.runs.lock import Busy, State
from rnnbench.system import machine
from rnnbench.system.signals import Stopped
from rnnbench.tracking import WandbMirror
from rnnbench.training.checkpoints import FORM, ResumePoint, resume_point, save_weights
from rnnbench.training.ddp import batch_split, by_torchrun, launch, process_group
from rnnbench.training.fitting import QUIET, HistoryLogger, Reporter, StepClock, built, fit, quieten, steady_median
from rnnbench.training.generate import decoded, write_sample
from rnnbench.training.metrics import LikelihoodMetric, PositionLosses, StreamLosses
from rnnbench.training.micro_batches import BatchSplit
from rnnbench.training.probing import Probing
from rnnbench.training.sequence_module import SequenceModule

#: A training that ends with so many times the loss of the first batch, before any update, has diverged. A fresh model's
#: cross-entropy is nearly the same on any batch; its squared error is as large as the batch's values are.
WORSE, WORSE_SQUARED = 1.05, 2.0


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
    look: Callable[[Source], None] | None = None,
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
        micro_batches: Parts of a batch that are taken one after the other, for a batch that the memory cannot hold;
            the same training up to rounding (and what dropout and stochastic cells draw), so that it is no part of
            the Run.
        devices: GPUs (on a CPU processes) that share each batch; likewise. torchrun starts them; where the user has
            started some by it, all of them call this, and those that are not the first return nothing.
        over: A lock of the run whose holder, on another machine, is known to be dead.
        look: Given the data once they are loaded, before anything is trained or written; with several devices a
            function of a module, as it is called in another process.

    Returns:
        What `result.json` holds.

    Raises:
        UserError: bad input. Busy: another process is at work on this run.
        Stopped: a signal asked for it, see `rnnbench.system.signals`.
    """
    directory = RunDirectory(root, study, run.id)
    if (known := directory.result()) is not None:
        return known
    device = machine.resolve_device(run.device)
    split = batch_split(run, device, devices, micro_batches)
    if devices > 1 and not by_torchrun():
        arguments = {"run": run, "root": root, "study": study, "wandb": wandb, "threads": threads, "workers": workers}
        arguments |= {"checkpoint_seconds": checkpoint_seconds, "micro_batches": micro_batches, "devices": devices}
        return launch(train, arguments | {"over": over, "look": look}, devices, progress)
    machine.prepare(threads)
    quieten()
    if split.rank > 0:
        if run.steps:
            _take_part(run, directory, split, device)
        return {}
    # Built before the folder: data, a cell or a backend that are not there leave nothing behind.
    data, module = built(run, split, device)
    environment = machine.environment(device) | {
        "backend": backend_name(module.model.cells[0], run.model.backend, torch.device(device)),
        "recurrence_kernel": kernel_name(torch.empty(0, device=device)),
        "workers": workers,
        "data_sha256": data.fingerprint,
        **({"data_notes": data.source.notes.plain()} if data.source.notes else {}),
        **({"micro_batches": micro_batches} if micro_batches > 1 else {}),
        **({"devices": devices} if devices > 1 else {}),
        **({"exemptions": {run.cell.label: dict(exempt)}} if (exempt := module.model.cells[0].exempt) else {}),
    }
    if look is not None:
        look(data.source)
    with directory.opened(run.to_dict(), over):
        if (known := directory.result()) is not None:
            if devices > 1:  # the other ranks wait for this one to train
                raise Busy(f"another process has just finished {directory.folder}")
            return known
        try:
            return _recorded(run, directory, data, module, split, environment, wandb, progress, checkpoint_seconds)
        except SystemExit:  # what Lightning makes of Ctrl-C and SIGTERM, the latter with status 0
            raise KeyboardInterrupt from None


def _take_part(run: Run, directory: RunDirectory, split: BatchSplit, device: str) -> None:
    """What a process of another rank than 0 does: it trains, and writes nothing."""
    _on_signals(signal.SIG_DFL)
    if device == "cuda":
        torch.cuda.set_device(split.rank)
        device = f"cuda:{split.rank}"
    data, module = built(run, split, device)
    torch.manual_seed(generator(run.seed, "rank", split.rank).initial_seed())  # dropout, draws: no two ranks the same
    path = directory.path(CHECKPOINT)
    try:
        with process_group(split, module.device, None) as resume:
            _on_signals(signal.SIG_IGN)  # from here on rank 0 decides when to stop
            fit(run, data, module, directory, None, [ResumePoint(path, run, devices=split.devices)], resume)
    except Stopped as stopped:  # rank 0 tells of it
        raise SystemExit(stopped.status) from None
    finally:
        _on_signals(signal.SIG_DFL)


def _on_signals(action: signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, action)


def _recorded(
    run: Run,
    directory: RunDirectory,
    data: SequenceDataModule,
    module: SequenceModule,
    split: BatchSplit,
    environment: dict[str, Any],
    wandb: str,
    progress: Progress,
    checkpoint_seconds: float,
) -> dict[str, Any]:
    start = Start()
    device = environment["device"]
    module.provenance = {"data_sha256": data.fingerprint, "form": FORM}
    progress(0, run.steps, "probe")
    probing = Probing(run.probes, module, data, run.steps)
    metrics, curves = probing.measure("init")
    metrics = constants(run, module, data) | metrics

    resume, step = resume_point(directory, data.fingerprint)
    mirror = WandbMirror()
    mirror.open(directory.folder.parent, directory.study, directory.id, run.to_dict(), wandb)
    mirror.rows(directory.rewind(step))
    clock = probing.clock = StepClock(interrupted=lambda step: probing.due(step) or run.validates(step), start=start)
    if run.steps:
        saving = ResumePoint(directory.path(CHECKPOINT), run, checkpoint_seconds, split.devices)
        # In this order: a checkpoint holds what the probes have measured, and the history the rows they have written.
        callbacks = [clock, probing, Reporter(progress, run.steps), saving]
        peak = machine.PeakMemory(device)
        with process_group(split, module.device, resume):
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
        scores, arrays = evaluate(module, data, device)
        metrics |= scores
        curves |= arrays
        directory.check()
        if isinstance(data.source, PairData) and isinstance(module.model, EncoderDecoder):
            metrics |= decoded(module.model, data.source, directory.folder)
        if run.steps:
            scores, arrays = probing.measure("final")
            metrics |= scores
            curves |= arrays
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


# --- figures beside the probes ---------------------------------------------------------------------------------------


def constants(run: Run, module: SequenceModule, data: SequenceDataModule) -> dict[str, Any]:
    """What is known before the first step: sizes, costs, and the scores of baselines."""
    references = data.references()
    if isinstance(data.source, TextData):
        references |= data.source.references_read(run.steps)
    cost, weights = cost_per_token(module.model, data.task), count_weights(module.model)
    return {
        "model/hidden_size": module.model.hidden_size,
        "model/parameters": weights.trainable,
        **({"model/frozen_parameters": weights.frozen} if weights.frozen else {}),
        "model/recurrent_parameters": sum(count_weights(cell).trainable for cell in module.model.cells),
        "model/matched_parameters": matched_parameters(module.model, run.model.match),
        "model/state_size": state_size(module.model),
        "model/flops_per_token": cost.flops,
        "model/pointwise_per_token": cost.pointwise,
        **{f"reference/{name}": value for name, value in references.items()},
    }


def speed(run: Run, clock: StepClock, module: SequenceModule) -> dict[str, Any]:
    """Throughput of the training step and the gradient norms before clipping."""
    seconds = steady_median(clock.seconds)
    norms = module.gradient_norms()
    clip = run.optim.clip
    clipped = float((norms > clip).float().mean()) if clip else 0.0
    return {
        "throughput/step_ms": 1e3 * seconds,
        **({"throughput/step_cpu_ms": 1e3 * steady_median(clock.cpu_seconds)} if module.device.type == "cpu" else {}),
        "throughput/tokens_per_second": module.tokens / module.updates / seconds,
        "throughput/train_seconds": sum(clock.seconds),
        "grad_norm/median": float(norms.median()),
        "grad_norm/max": float(norms.max()),
        # Cut off weight by weight, a gradient's norm does not tell whether it was.
        **({} if clip and run.optim.clip_by == "value" else {"grad_norm/clipped_share": clipped}),
    }


def evaluate(
    module: SequenceModule, data: SequenceDataModule, device: str
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Every part by stateful evaluation; beside it the test part's stateless figure, or those of longer sequences.

    Returns:
        Figures, and of a text the curves of its test part: its loss by blocks and by positions, see
        `rnnbench.training.metrics`.
    """
    accelerator = "gpu" if device == "cuda" else "cpu"
    tester = L.Trainer(accelerator=accelerator, devices=1, logger=False, plugins=[LightningEnvironment()], **QUIET)
    # The train part only tells over- from underfitting; as much of it as a validation looks at is enough.
    ways: list[tuple[Part, str, Batches]] = [
        ("train", "", data.evaluation("train", True, data.val_tokens)),
        ("val", "", data.evaluation("val")),
        ("test", "", data.evaluation("test")),
    ]
    if data.task.stateful:
        ways.append(("test", "_stateless", data.evaluation("test", stateful=False)))
    ways += [("test", suffix, batches) for suffix, batches in data.source.longer().items()]
    watchers: dict[str, StreamLosses | PositionLosses] = {}
    if isinstance(data.source, TextData):
        watchers = {"": StreamLosses(), "_stateless": PositionLosses()}
    figures: dict[str, Any] = {}
    for part, suffix, batches in ways:
        if isinstance(module.metric, LikelihoodMetric):
            module.metric.watcher = watchers.get(suffix) if part == "test" else None
        (scores,) = tester.test(module, dataloaders=batches, verbose=False)
        for name, value in scores.items():
            figures[name.replace("test/", f"{part}/", 1) + suffix] = value
    if isinstance(module.metric, LikelihoodMetric):
        module.metric.watcher = None
    curves = {f"test/{name}": curve for one in watchers.values() for name, curve in one.curves().items()}
    return figures, curves


def has_diverged(metrics: dict[str, Any], module: SequenceModule) -> bool:
    """A loss on some part that is not finite, or the training part's clearly larger than before any update.

    To be worse than a baseline is a finding, not a divergence: on some texts no model is better than the unigram. Nor
    is it one to have learnt the training part by heart, however large the validation loss is then.
    """
    name, worse = ("mse", WORSE_SQUARED) if module.task.predicts == "values" else ("nll", WORSE)
    finite = all(math.isfinite(metrics[f"{part}/{name}"]) for part in ("train", "val", "test"))
    return not (finite and metrics[f"train/{name}"] <= worse * module.first_loss)
