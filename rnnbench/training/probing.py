"""The probes of a run, on one fixed batch: at both ends of the training and, where asked for, along it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import lightning as L
import numpy as np
import torch

from rnnbench.config import ProbeConfig
from rnnbench.data.datamodule import SequenceDataModule
from rnnbench.data.task import Batch
from rnnbench.data.text.streams import TextData
from rnnbench.errors import UserError
from rnnbench.models.sequence import SequenceModel
from rnnbench.probes.context import context_curve
from rnnbench.probes.curve import Curve
from rnnbench.probes.gates import measure_gates
from rnnbench.probes.gradient_flow import (
    FlowCurve,
    measure_gradient_flow,
    measure_gradient_share,
    measure_saliency,
    shuffled,
)
from rnnbench.probes.jacobian import measure_singular_values
from rnnbench.probes.lyapunov import measure_lyapunov
from rnnbench.training.fitting import StepClock
from rnnbench.training.sequence_module import SequenceModule

Figures = dict[str, Any]
#: The curves that are measured, of the data and of noise, and how the names of their scalars begin.
FLOWS = {"gradient_flow": "", "gradient_flow_noise": "noise_"}
#: Targets whose prediction is compared over contexts, singular values that are kept, and samples that they are of.
CONTEXTS, SINGULAR_VALUES, SAMPLES = 1000, 10, 2


class Probing(L.Callback):
    """Measures a module on the data's fixed probe batch.

    As a callback it does so every ``config.every`` steps; what it has measured is in every checkpoint. Nothing of the
    training is touched: a copy is measured, no random number is drawn, and the clock stands still. ``steps`` is the
    training's length: the last measurement along it is the one at its end.
    """

    def __init__(self, config: ProbeConfig, module: SequenceModule, data: SequenceDataModule, steps: int) -> None:
        self.config, self.module, self.data, self.steps = config, module, data, steps
        self.clock: StepClock | None = None
        #: Seconds of all measurements so far, and of those along the training.
        self.seconds = self.seconds_along = 0.0
        self._at: list[int] = []
        self._flows: dict[str, list[Curve]] = {name: [] for name in FLOWS}
        batch = data.probe_batch(config.seq_len, config.batch_size) if config.gradient_flow else None
        # Where one vector is read there is nothing to flow through.
        self._batch = None if batch is None or batch.x.shape[1] < 2 else batch

    # --- both ends ------------------------------------------------------------------------------------------------

    def measure(self, when: str) -> tuple[Figures, Figures]:
        """Metrics and curves by name, each beginning with ``when``/: init or final."""
        metrics: Figures = {}
        curves: Figures = {}
        if self._batch is None:
            return metrics, curves
        with self._counted():
            flows = self._flows_now()
            measured = [(_scalars(flows), {}), *(({}, flow.curves(name)) for name, flow in flows.items())]
            measured.append(self._spectrum())
            if self.config.detail:
                measured.append(self._detail())
            if when == "final":
                measured.append(self._context())
        for figures, arrays in measured:
            metrics |= {f"{when}/{name}": value for name, value in figures.items()}
            curves |= {f"{when}/{name}": value for name, value in arrays.items()}
        return metrics, curves

    def _flows_now(self) -> dict[str, FlowCurve]:
        """By name, as `FLOWS` has them."""
        batch, model, task = self._on_device(), self.module.model, self.data.task
        batches = zip(FLOWS, (batch, shuffled(batch)), strict=True)
        return {name: measure_gradient_flow(model, one, task) for name, one in batches}

    def _spectrum(self) -> tuple[Figures, Figures]:
        if not self.config.lyapunov:
            return {}, {}
        measured = measure_lyapunov(self.module.model, self._on_device(), self.data.task, self.config.lyapunov)
        return {"lyapunov_1": float(measured.exponents[0])}, {"lyapunov": measured.exponents}

    def _detail(self) -> tuple[Figures, Figures]:
        """What explains a curve; a probe that this model or task has no use for is left out."""
        model, batch, task = self.module.model, self._on_device(), self.data.task
        metrics: Figures = {}
        curves: Figures = {"saliency": measure_saliency(model, batch, task).mean}
        for name, gate in measure_gates(model, batch, task).items():
            curves[f"gates/{name}"] = gate.counts
            metrics |= {f"gates/{name}/{what}": getattr(gate, what) for what in ("closed", "open", "mean")}
        with suppress(UserError):
            curves["gradient_share"] = measure_gradient_share(model, batch, task)
        with suppress(UserError):
            averaged = measure_gradient_flow(model, batch, task, average=True)
            curves["gradient_flow_averaged"] = averaged.mean
            if scalars := averaged.scalars():
                metrics["averaged_log10_gain_at_last_lag"] = scalars["log10_gain_at_last_lag"]
        with suppress(UserError):
            lags = [2**k for k in range(batch.x.shape[1].bit_length()) if 2**k < batch.x.shape[1]]
            values = measure_singular_values(model, batch.rows(slice(SAMPLES)), task, lags, SINGULAR_VALUES)
            curves |= {"singular_lags": np.array(lags), "singular_values": values}
        return metrics, curves

    def _context(self) -> tuple[Figures, Figures]:
        """Functional memory, of models that predict text."""
        source, model = self.data.source, self.module.model
        if not (isinstance(source, TextData) and isinstance(model, SequenceModel)):
            return {}, {}
        context = context_curve(model, source.context_windows(CONTEXTS, self.config.seq_len + 1))
        scalars = {f"context_{key}": value for key, value in context.scalars().items()}
        return scalars, {f"context_{name}": getattr(context, name) for name in ("lengths", "nll", "gain", "gain_error")}

    def _on_device(self) -> Batch:
        assert self._batch is not None
        return self._batch.to(self.module.device)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        if self.module.device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds += time.perf_counter() - begin

    # --- along the training -----------------------------------------------------------------------------------------

    def due(self, step: int) -> bool:
        """Is there a measurement after that many steps?"""
        every = self.config.every
        return self._batch is not None and every is not None and step % every == 0 and 0 < step < self.steps

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if not self.due(step) or self.module.diverged:
            return
        before = self.seconds
        with self._counted():
            flows = self._flows_now()
            row = {f"probe/{key}": float(value) for key, value in (_scalars(flows) | self._spectrum()[0]).items()}
        self.seconds_along += self.seconds - before
        self._at.append(step)
        for name, flow in flows.items():
            self._flows[name].append(flow.mean)
        for logger in trainer.loggers:
            logger.log_metrics(row, step)
        if self.clock is not None:
            self.clock.restart()

    def along(self, curves: Figures) -> Figures:
        """``along/step`` (P,), and (P, K) each, the ends included, ``along/gradient_flow`` and the same of noise.

        Empty without measurements.
        """
        if not self._at:
            return {}
        out: Figures = {}
        for name, measured in self._flows.items():
            ends = {0: curves.get(f"init/{name}"), self.steps: curves.get(f"final/{name}")}
            flows = {step: flow for step, flow in ends.items() if flow is not None}
            flows |= dict(zip(self._at, measured, strict=True))
            out["along/step"] = np.array(sorted(flows))
            out[f"along/{name}"] = np.stack([flows[step] for step in sorted(flows)])
        return out

    def cost(self, training_seconds: float) -> Figures:
        """Seconds of all measurements, and of those along the training what they added to its time."""
        cost = {"probes/seconds": self.seconds} if self.seconds else {}
        if self._at and training_seconds:
            cost |= {"probes/added_share": self.seconds_along / training_seconds}
        return cost

    def state_dict(self) -> dict[str, Any]:
        flows = {name: torch.from_numpy(np.stack(curves)) for name, curves in self._flows.items() if curves}
        return {"at": list(self._at), "flows": flows, "seconds_along": self.seconds_along}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._at = list(state_dict["at"])
        self._flows |= {name: list(curves.numpy()) for name, curves in state_dict["flows"].items()}
        self.seconds_along = float(state_dict["seconds_along"])
        self.seconds += self.seconds_along


def _scalars(flows: Mapping[str, FlowCurve]) -> Figures:
    return {f"{FLOWS[name]}{key}": value for name, flow in flows.items() for key, value in flow.scalars().items()}
