"""One Run, from its config to its `result.json`."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import torch

from rnnbench import machine
from rnnbench.backends.dispatch import backend_name
from rnnbench.backends.recurrence import kernel_name
from rnnbench.config import Run
from rnnbench.data.datamodule import SequenceDataModule
from rnnbench.data.sequences.pairs import PairData
from rnnbench.data.source import Batches, Part
from rnnbench.errors import UserError
from rnnbench.ledger import CHECKPOINT, WEIGHTS, Entry, Progress, Start
from rnnbench.models.build import matched_parameters, state_size
from rnnbench.models.translation import EncoderDecoder
from rnnbench.modules.by_cell import module_for
from rnnbench.modules.metrics import HEADLINE
from rnnbench.modules.sequence import SequenceModule
from rnnbench.probes.flops import cost_per_token
from rnnbench.tracking import WandbMirror
from rnnbench.train.callbacks import Clock, LedgerLogger, NoProfiler, Reporter, ResumePoint
from rnnbench.train.decoded import decoded
from rnnbench.train.probing import Probing
from rnnbench.weights import load_tensors, save_weights

#: Of a checkpoint. In the first form Lightning counted the steps elsewhere: a run would go on from 0.
FORM = "2"


def train(
    run: Run,
    root: Path,
    study: str = "single",
    wandb: str = "offline",
    progress: Progress = lambda done, total, what: None,
    threads: int = 1,
    workers: int = 1,
    checkpoint_seconds: float = 5.0,
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

    Returns:
        What `result.json` holds.

    Raises:
        UserError: bad input. Busy: another process is at work on this run.
    """
    entry = Entry(root, study, run.id)
    if (known := entry.result()) is not None:
        return known
    machine.prepare(threads)
    _quieten()
    device = machine.resolve_device(run.device)
    # Built before the folder: data, a cell or a backend that are not there leave nothing behind.
    data = SequenceDataModule(run.data, run.seed, run.steps, run.budget.val_tokens)
    data.setup()
    torch.manual_seed(run.seed)
    module = module_for(run, data.task).to(device)
    environment = machine.environment(device) | {
        "backend": backend_name(module.model.cells[0], run.model.backend, torch.device(device)),
        "recurrence_kernel": kernel_name(torch.empty(0, device=device)),
        "workers": workers,
        "data_sha256": data.fingerprint,
    }
    with entry.opened(run.to_dict()):
        if (known := entry.result()) is not None:
            return known
        try:
            return _recorded(run, entry, data, module, environment, wandb, progress, checkpoint_seconds)
        except SystemExit:  # what Lightning makes of Ctrl-C and SIGTERM, the latter with status 0
            raise KeyboardInterrupt from None


def _recorded(
    run: Run,
    entry: Entry,
    data: SequenceDataModule,
    module: SequenceModule,
    environment: dict[str, Any],
    wandb: str,
    progress: Progress,
    checkpoint_seconds: float,
) -> dict[str, Any]:
    start = Start()
    device = environment["device"]
    metrics: dict[str, Any] = _constants(run, module, data)
    curves: dict[str, Any] = {}
    module.provenance = {"data_sha256": data.fingerprint, "form": FORM}
    progress(0, run.steps, "probe")
    probing = Probing(run.probes, module, data, run.steps)
    _probe("init", probing, metrics, curves)

    resume, step = _resume_point(entry, data.fingerprint)
    mirror = WandbMirror()
    mirror.open(entry.folder.parent, entry.study, entry.id, run.to_dict(), wandb)
    mirror.rows(entry.rewind(step))
    clock = probing.clock = Clock(interrupted=probing.due)
    if run.steps:
        # In this order: a checkpoint holds what the probes have found, and the history the rows that they have written.
        callbacks = [clock, probing, Reporter(progress, run.steps),
                     ResumePoint(entry.path(CHECKPOINT), checkpoint_seconds)]  # fmt: skip
        trainer = _trainer(run, entry, device, mirror, callbacks)
        peak = machine.PeakMemory(device)
        trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
        metrics["memory/peak_mib"] = peak.mib()
        metrics |= _speed(run, clock, module)
        curves["grad_norm"] = module.gradient_norms().numpy()
    module.to(device)  # Lightning leaves it on the CPU

    if module.diverged:
        status = "diverged"
    else:
        progress(run.steps, run.steps, "evaluate")
        module.restore_best()
        metrics |= _evaluate(module, data, device)
        if isinstance(data.source, PairData) and isinstance(module.model, EncoderDecoder):
            metrics |= decoded(module.model, data.source, entry.folder)
        if run.steps:
            _probe("final", probing, metrics, curves)
        status = "diverged" if _worse_than_guessing(metrics, module) and run.steps else "done"
    curves |= probing.along(curves)
    metrics |= probing.cost(metrics.get("throughput/train_seconds", 0.0))
    save_weights(entry.path(WEIGHTS), module.model, data.source)
    entry.write_curves(curves)
    mirror.finish(metrics | {"status": status}, curves)
    return entry.finish(run, status, start, metrics, environment)


def _trainer(run: Run, entry: Entry, device: str, mirror: WandbMirror, callbacks: list[L.Callback]) -> L.Trainer:
    """A lean Trainer: no bar, no summary, no sanity check, nothing written outside the run's folder."""
    return L.Trainer(
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        max_steps=run.steps,
        max_epochs=1,
        val_check_interval=max(1, run.steps // run.budget.evals),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        logger=LedgerLogger(entry, mirror),
        log_every_n_steps=run.steps + 1,  # the module sends its own rows
        callbacks=callbacks,
        profiler=NoProfiler(),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=entry.folder,
    )


def _constants(run: Run, module: SequenceModule, data: SequenceDataModule) -> dict[str, Any]:
    """What is known before the first step: sizes, costs, and the figures a fool would get."""
    references = dict(data.references())
    # Scored on the validation part, it decides what counts as diverged; the report's lines are the test part's.
    floor = {"val/unigram_bpc": references.pop("unigram_bpc_val")} if "unigram_bpc_val" in references else {}
    cost = cost_per_token(module.model, data.task)
    return floor | {
        "model/hidden_size": module.model.hidden_size,
        "model/parameters": sum(p.numel() for p in module.model.parameters()),
        "model/recurrent_parameters": sum(p.numel() for cell in module.model.cells for p in cell.parameters()),
        "model/matched_parameters": matched_parameters(module.model),
        "model/state_size": state_size(module.model),
        "model/flops_per_token": cost.flops,
        "model/pointwise_per_token": cost.pointwise,
        **{f"reference/{name}": value for name, value in references.items()},
    }


def _probe(when: str, probing: Probing, metrics: dict[str, Any], curves: dict[str, Any]) -> None:
    figures, arrays = probing.measure(when)
    metrics |= figures
    curves |= arrays


def _speed(run: Run, clock: Clock, module: SequenceModule) -> dict[str, Any]:
    """Throughput of the training step and the gradient norms before clipping."""
    seconds = clock.median()
    norms = module.gradient_norms()
    clip = run.optim.clip
    clipped = float((norms > clip).float().mean()) if clip else 0.0
    return {
        "throughput/step_ms": 1e3 * seconds,
        "throughput/tokens_per_second": module.tokens / run.steps / seconds,
        "throughput/train_seconds": sum(clock.seconds),
        "grad_norm/median": float(norms.median()),
        "grad_norm/max": float(norms.max()),
        # Cut off weight by weight, a gradient's norm does not tell whether it was.
        **({} if clip and run.optim.clip_by == "value" else {"grad_norm/clipped_share": clipped}),
    }


def _evaluate(module: SequenceModule, data: SequenceDataModule, device: str) -> dict[str, Any]:
    """Every part by stateful evaluation; beside it the test part's stateless figure, or those of longer sequences."""
    tester = L.Trainer(
        accelerator="gpu" if device == "cuda" else "cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
    )  # fmt: skip
    # The train part only tells over- from underfitting; as much of it as a validation looks at is enough.
    ways: list[tuple[Part, str, Batches]] = [
        ("train", "", data.evaluation("train", True, data.val_tokens)),
        ("val", "", data.evaluation("val")),
        ("test", "", data.evaluation("test")),
    ]
    if data.task.stateful:
        ways.append(("test", "_stateless", data.evaluation("test", stateful=False)))
    ways += [("test", suffix, batches) for suffix, batches in data.source.longer().items()]
    figures = {}
    for part, suffix, batches in ways:
        (found,) = tester.test(module, dataloaders=batches, verbose=False)
        for name, value in found.items():
            figures[name.replace("test/", f"{part}/", 1) + suffix] = value
    return figures


def _worse_than_guessing(metrics: dict[str, Any], module: SequenceModule) -> bool:
    """Validation that is NaN, or for text worse than the unigram, is a divergence (protocol: failures count)."""
    value = metrics[f"val/{HEADLINE[module.task.predicts]}"]
    return not value < metrics.get("val/unigram_bpc", float("inf"))


def _resume_point(entry: Entry, fingerprint: str) -> tuple[Path | None, int]:
    """The checkpoint of an interrupted run and its step, vetted: opened as plain tensors, never unpickled.

    Raises:
        UserError: it cannot be read so, or belongs to other data.
    """
    path = entry.path(CHECKPOINT)
    if not path.exists():
        return None, 0
    saved = load_tensors(path)
    if not isinstance(saved, dict) or "rnnbench" not in saved or "global_step" not in saved:
        raise UserError(f"{path} is not a checkpoint of rnnbench; delete it to start the run anew.")
    if saved["rnnbench"].get("data_sha256") != fingerprint:
        raise UserError(f"{path} belongs to other data (the file has changed since); delete it to start the run anew.")
    if saved["rnnbench"].get("form") != FORM:
        raise UserError(f"{path} is of another version of rnnbench; delete it to start the run anew.")
    return path, int(saved["global_step"])


def _quieten() -> None:
    """Lightning's tips and deprecation notices are for us, not for the people who run a benchmark."""
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning(\.|$)")
    warnings.filterwarnings("ignore", message=r".*(LeafSpec|isinstance\(treespec|litlogger).*")
