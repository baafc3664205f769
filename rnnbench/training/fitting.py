"""The training itself, by Lightning's Trainer: the same for every process of a run."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy

from rnnbench.config import Run
from rnnbench.config.run import check_size
from rnnbench.data.datamodule import SequenceDataModule
from rnnbench.runs import RunDirectory
from rnnbench.system import machine, signals
from rnnbench.training.callbacks import NoProfiler
from rnnbench.training.checkpoints import WholeFile
from rnnbench.training.micro_batches import BatchSplit
from rnnbench.training.sequence_module import SequenceModule, module_for

#: What a process may be ahead of another: one of them probes and writes while the others wait for it.
PATIENCE = timedelta(hours=6)
#: No bar, no summary, nothing written outside the run's folder, every process reads the same batches.
QUIET: dict[str, Any] = {
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "use_distributed_sampler": False,
}


class AssignedDevice(LightningEnvironment):
    """The cluster as Lightning is to see it: this process and its rank, and nothing for Lightning to start.

    Left to itself it finds Slurm in the environment, and takes a worker for a task of its own.
    """

    def __init__(self, rank: int) -> None:
        super().__init__()
        self._rank = rank

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def local_rank(self) -> int:
        return self._rank

    def node_rank(self) -> int:
        return 0

    def teardown(self) -> None:
        """Nothing to do: no variable was set."""


def built(run: Run, division: BatchSplit, device: str) -> tuple[SequenceDataModule, SequenceModule]:
    """A run's data, read, and its module, initialised and on the device.

    Raises:
        UserError: data, a cell or a backend that are not there, or a batch that cannot be divided so.
    """
    division.check(run.data.batch_size)
    check_size(run, machine.memory(device))
    data = SequenceDataModule(run.data, run.order_seed, run.steps, run.budget.val_tokens)
    data.setup()
    torch.manual_seed(run.seed)
    module = module_for(run, data.task).to(device)
    if division.devices * division.micro_batches > 1:
        module.division = division
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
    """Train to the end of the budget, or to a divergence.

    Args:
        run: What to do.
        data: Of the run, as `built`.
        module: Likewise.
        directory: The run's.
        logger: Where rows go; None: this process writes none.
        callbacks: What happens around the steps.
        resume: The checkpoint to go on from.

    Raises:
        Stopped: a signal asked for it.
    """
    division = module.division or BatchSplit()
    placed = AssignedDevice(division.rank)
    several: dict[str, Any] = {}
    if division.devices > 1:
        several["strategy"] = DDPStrategy(cluster_environment=placed, broadcast_buffers=False, timeout=PATIENCE)
    trainer = L.Trainer(
        accelerator="gpu" if module.device.type == "cuda" else "cpu",
        devices=division.devices,
        max_steps=run.steps,
        max_epochs=1,
        num_sanity_val_steps=0,
        logger=logger if logger is not None else False,
        log_every_n_steps=run.steps + 1,  # the module sends its own rows
        callbacks=list(callbacks),
        profiler=NoProfiler(),
        default_root_dir=directory.folder,
        plugins=[WholeFile(directory)] if several else [WholeFile(directory), placed],
        **several,
        **QUIET,
    )
    # Lightning validates every n batches, so it cannot validate 4 times in 11 steps and the last time at their end; and
    # it validates once more where it stops early, which here it does when the loss is not finite.
    loop = trainer.fit_loop.epoch_loop
    loop._should_check_val_fx = lambda _: run.validates(module.updates)  # type: ignore[method-assign,assignment]
    if several:
        # Lightning would ask all processes at every step, and wait for their answer, whether one got a SIGTERM.
        loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
    with signals.at_a_batchs_end():
        trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)


def quieten() -> None:
    """Lightning's tips and deprecation notices are for us, not for the people who run a benchmark."""
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning(\.|$)")
    warnings.filterwarnings("ignore", message=r".*(LeafSpec|isinstance\(treespec|litlogger).*")
