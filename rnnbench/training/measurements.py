"""The figures of a run beside its probes: its sizes and costs, its speed, its scores."""

from __future__ import annotations

import math
from typing import Any

import lightning as L
from numpy.typing import NDArray

from rnnbench.config import Run
from rnnbench.data.datamodule import SequenceDataModule
from rnnbench.data.source import Batches, Part
from rnnbench.data.text.streams import TextData
from rnnbench.models.build import matched_parameters, state_size
from rnnbench.probes.flops import cost_per_token
from rnnbench.training.callbacks import StepClock
from rnnbench.training.fitting import QUIET, AssignedDevice
from rnnbench.training.metrics import LikelihoodMetric, PositionLosses, StreamLosses
from rnnbench.training.sequence_module import SequenceModule

#: A training loss so many times the first batch's, before any update, is that of a training gone astray. A fresh
#: model's cross-entropy is nearly the same on any batch; its squared error is as large as the batch's values are.
WORSE, WORSE_SQUARED = 1.05, 2.0


def constants(run: Run, module: SequenceModule, data: SequenceDataModule) -> dict[str, Any]:
    """What is known before the first step: sizes, costs, and the figures a fool would get."""
    references = data.references()
    if isinstance(data.source, TextData):
        references |= data.source.references_read(run.steps)
    cost = cost_per_token(module.model, data.task)
    return {
        "model/hidden_size": module.model.hidden_size,
        "model/parameters": sum(p.numel() for p in module.model.parameters()),
        "model/recurrent_parameters": sum(p.numel() for cell in module.model.cells for p in cell.parameters()),
        "model/matched_parameters": matched_parameters(module.model),
        "model/state_size": state_size(module.model),
        "model/flops_per_token": cost.flops,
        "model/pointwise_per_token": cost.pointwise,
        **{f"reference/{name}": value for name, value in references.items()},
    }


def speed(run: Run, clock: StepClock, module: SequenceModule) -> dict[str, Any]:
    """Throughput of the training step and the gradient norms before clipping."""
    seconds = clock.median()
    norms = module.gradient_norms()
    clip = run.optim.clip
    clipped = float((norms > clip).float().mean()) if clip else 0.0
    return {
        "throughput/step_ms": 1e3 * seconds,
        **({"throughput/step_cpu_ms": 1e3 * clock.cpu_median()} if module.device.type == "cpu" else {}),
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
    tester = L.Trainer(accelerator=accelerator, devices=1, logger=False, plugins=[AssignedDevice(0)], **QUIET)
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
        (found,) = tester.test(module, dataloaders=batches, verbose=False)
        for name, value in found.items():
            figures[name.replace("test/", f"{part}/", 1) + suffix] = value
    if isinstance(module.metric, LikelihoodMetric):
        module.metric.watcher = None
    curves = {f"test/{name}": curve for one in watchers.values() for name, curve in one.curves().items()}
    return figures, curves


def has_diverged(metrics: dict[str, Any], module: SequenceModule) -> bool:
    """A loss on some part that is no finite number, or on what was trained on clearly larger than before any update.

    To be worse than a baseline is a finding, not a divergence: on some texts nothing beats the unigram. Nor is it one
    to have learnt the training part by heart, however large the validation loss is then.
    """
    name, worse = ("mse", WORSE_SQUARED) if module.task.predicts == "values" else ("nll", WORSE)
    finite = all(math.isfinite(metrics[f"{part}/{name}"]) for part in ("train", "val", "test"))
    return not (finite and metrics[f"train/{name}"] <= worse * module.first_loss)
