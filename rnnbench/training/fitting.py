"""The training itself: Lightning's Trainer, set up the same way in every process of a run, and its callbacks."""

from __future__ import annotations

import logging
import time
import warnings
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import DDPStrategy

from rnnbench.config import Run
from rnnbench.config.run import check_size
from rnnbench.data.datamodule import SequenceDataModule
from rnnbench.runs import Progress, RunDirectory, Start
from rnnbench.system import machine, signals
from rnnbench.tracking import WandbMirror
from rnnbench.training.checkpoints import WholeFile
from rnnbench.training.ddp import TIMEOUT
from rnnbench.training.micro_batches import BatchSplit
from rnnbench.training.sequence_module import SequenceModule, module_for

#: No bar, no summary, nothing written outside the run's folder, every process reads the same batches. The environment
#: given as a plugin is the one that Lightning is to see: it would take a worker under Slurm for a task of Slurm's.
QUIET: dict[str, Any] = {
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "use_distributed_sampler": False,
}


def built(run: Run, split: BatchSplit, device: str) -> tuple[SequenceDataModule, SequenceModule]:
    """A run's data, read, and its module, initialised and on the device.

    Raises:
        UserError: data, a cell or a backend that are not there, or sizes that this machine cannot hold.
    """
    check_size(run, machine.memory(device))
    data = SequenceDataModule(run.data, run.order_seed, run.steps, run.budget.val_tokens)
    data.setup()
    torch.manual_seed(run.seed)
    module = module_for(run, data.task).to(device)
    if split.devices * split.micro_batches > 1:
        module.split = split
    return data, module


def fit(
    run: Run,
    data: SequenceDataModule,
    module: SequenceModule,
    directory: RunDirectory,
    logger: Logger | None,
    callbacks: Sequence[L.Callback],
    resume: Path | None,
) -> None:
    """Train what was `built` to the end of the budget or to a divergence; raises `Stopped` where a signal asked for it.

    Without a logger this process writes no rows; ``resume`` is the checkpoint to resume from.
    """
    devices = 1 if module.split is None else module.split.devices
    cluster: dict[str, Any] = {"plugins": [WholeFile(directory), LightningEnvironment()]}
    if devices > 1:
        # Of a stream only the first batch of a pass reaches a learned initial state.
        sparse = data.task.stateful and any(cell.initial_state(1).requires_grad for cell in module.model.cells)
        strategy = DDPStrategy(
            cluster_environment=TorchElasticEnvironment(),
            broadcast_buffers=False,
            timeout=TIMEOUT,
            find_unused_parameters=sparse,
        )
        cluster = {"plugins": [WholeFile(directory)], "strategy": strategy}
    trainer = L.Trainer(
        accelerator="gpu" if module.device.type == "cuda" else "cpu",
        devices=devices,
        max_steps=run.steps,
        max_epochs=1,
        num_sanity_val_steps=0,
        logger=logger if logger is not None else False,
        log_every_n_steps=run.steps + 1,  # the module sends its own rows
        callbacks=list(callbacks),
        profiler=NoProfiler(),
        default_root_dir=directory.folder,
        **cluster,
        **QUIET,
    )
    # Lightning validates every n batches, so it cannot validate 4 times in 11 steps and the last time at their end; and
    # it validates once more where it stops early, which here it does when the loss is not finite.
    loop = trainer.fit_loop.epoch_loop
    loop._should_check_val_fx = lambda _: run.validates(module.updates)  # type: ignore[method-assign,assignment]
    # Lightning would ask all processes at every step, and wait for their answer, whether one got a SIGTERM.
    loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
    with signals.at_a_batchs_end():
        trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)


def quieten() -> None:
    """Turn off Lightning's tips and deprecation notices: they are for us, not for who runs a benchmark."""
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning(\.|$)")
    warnings.filterwarnings("ignore", message=r".*(LeafSpec|isinstance\(treespec|litlogger).*")


# --- what happens around the steps -----------------------------------------------------------------------------------


class HistoryLogger(Logger):
    """Lightning's logger interface onto the run's history, and through it onto Weights & Biases.

    Every row says how many updates the module has made and how many tokens it has read, which is what runs are compared
    at; a validation's row too, where Lightning's own count of steps is one behind.
    """

    def __init__(self, directory: RunDirectory, mirror: WandbMirror, module: SequenceModule) -> None:
        super().__init__()
        self.directory, self.mirror, self.module = directory, mirror, module

    @property
    def name(self) -> str:
        return self.directory.study

    @property
    def version(self) -> str:
        return self.directory.id

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing to do: `run.yaml` has them."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        row = {"step": self.module.updates, "tokens": float(self.module.tokens)}
        row |= {key: value for key, value in metrics.items() if key != "epoch"}
        self.directory.append(row)
        self.mirror.row(row)


class NoProfiler(PassThroughProfiler):
    """Lightning opens a profiler's context around each of its forty hooks a step: this one takes no time."""

    _nothing = nullcontext("")

    def profile(self, action_name: str) -> AbstractContextManager[str]:  # type: ignore[override]
        return self._nothing


class StepClock(L.Callback):
    """Step times from one step's end to the next one's: the Trainer's own share is in them, validation is not.

    On a CPU each step is timed, by the wall and by the processor's time, which other processes on the machine take less
    from. A GPU runs behind the host, so there the time of a segment of steps between two synchronisations is shared out
    among them. The clock is in every checkpoint: a resumed run has the times of all its steps and the seconds of all
    its processes. What a killed process did after its last checkpoint is done again, and only the second time counts.

    Args:
        every: Steps in a segment.
        interrupted: Whether something else takes time after that many steps; `restart` says when it is over.
        start: When this process began with the run; of a resumed run, from then on, as `Start` says.
    """

    def __init__(
        self,
        every: int = 20,
        interrupted: Callable[[int], bool] = lambda step: False,
        start: Start | None = None,
    ) -> None:
        self.every, self.interrupted, self.start = every, interrupted, start or Start()
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []
        self._begin = self._cpu_begin = 0.0
        self._segment = 0  # steps since the last one whose time is known

    def restart(self) -> None:
        """The next step begins now."""
        self._begin, self._cpu_begin = time.perf_counter(), time.process_time()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.restart()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.restart()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._segment += 1
        if pl_module.device.type == "cuda":
            # Validation and probes come after this hook: a segment must not reach over them.
            if self._segment < self.every and not self.interrupted(trainer.global_step):
                return
            torch.cuda.synchronize()
        self._end_segment()

    def _end_segment(self) -> None:
        """Each step of the segment has taken as long as the others."""
        now, cpu = time.perf_counter(), time.process_time()
        self.seconds += [(now - self._begin) / self._segment] * self._segment
        self.cpu_seconds += [(cpu - self._cpu_begin) / self._segment] * self._segment
        self._begin, self._cpu_begin, self._segment = now, cpu, 0

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._complete()

    def _complete(self) -> None:
        """End a segment that is shorter than others, on a GPU, so that every step so far has its time."""
        if self._segment:
            torch.cuda.synchronize()
            self._end_segment()

    def state_dict(self) -> dict[str, Any]:
        self._complete()
        return {
            "seconds": torch.tensor(self.seconds, dtype=torch.float64),
            "cpu_seconds": torch.tensor(self.cpu_seconds, dtype=torch.float64),
            "started": self.start.stamp,
            "elapsed": self.start.seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds, self.cpu_seconds = state_dict["seconds"].tolist(), state_dict["cpu_seconds"].tolist()
        self.start = self.start.resumed(state_dict["started"], state_dict["elapsed"])


def steady_median(seconds: list[float]) -> float:
    """The median of step times, the first tenth (warm-up) left out."""
    steady = seconds[len(seconds) // 10 :]
    return float(np.median(steady)) if steady else float("nan")


class Reporter(L.Callback):
    """Reports how far the run is, a few times a second at the most."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total = progress, total
        self._last = 0.0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        if now - self._last > 0.25:
            self._last = now
            self.progress(trainer.global_step, self.total, "train")
