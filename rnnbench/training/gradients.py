"""How far the gradients of cells reach: of untrained models, and of finished runs.

Untrained models read white noise unless a data set is named: independent standard normal numbers, one a unit, with a
target at every step, so that what is measured is the cell's alone.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from rnnbench.cells.init import INITIALISATIONS
from rnnbench.cells.registry import checked_options
from rnnbench.config import CellConfig, DataConfig, ModelConfig, Run
from rnnbench.data.load import load
from rnnbench.data.source import generator
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError, unknown
from rnnbench.models.build import Model, build
from rnnbench.probes.gradient_flow import measure_gradient_flow
from rnnbench.probes.measured import Measured
from rnnbench.training.checkpoints import Finished, finished

#: Sequences that a curve is the mean over.
BATCH = 16
NOISE = "noise"


def measure_cells(
    cells: Sequence[CellConfig],
    inits: Sequence[str],
    seq_len: int,
    hidden_size: int,
    seeds: int,
    data: str = NOISE,
    average: bool = False,
) -> Iterator[Measured]:
    """Every cell × initialisation, untrained, one layer; a seed draws weights and noise.

    A cell without what an initialisation acts upon is left out, with a line on stderr.

    Args:
        cells: Which.
        inits: Names of initialisations.
        seq_len: Length T; also what init chrono prepares for.
        hidden_size: Width H.
        seeds: How many, from 0 on.
        data: ``noise``, or a data set, of which the fixed probe batch is read.
        average: Of the loss averaged over all steps instead of the last one's.

    Raises:
        UserError: an unknown cell, option, initialisation or data set, or nothing left to measure.
    """
    for name in inits:
        if name not in INITIALISATIONS:
            raise unknown("init", name, INITIALISATIONS)
    for cell in cells:
        checked_options(cell)
    task, batches = _data(data, seq_len, hidden_size, seeds)
    measurable = []
    for cell in cells:
        config = ModelConfig(hidden_size=hidden_size)
        build(task, cell, config, seq_len)  # what is wrong with the cell itself is an error
        for name in inits:
            initialised = dataclasses.replace(config, init=name)  # type: ignore[arg-type]
            try:
                build(task, cell, initialised, seq_len)
            except UserError as error:
                print(f"rnnbench: left out: {error}", file=sys.stderr)
            else:
                measurable.append((cell, initialised))
    if not measurable:
        raise UserError(f"init {', '.join(inits)} acts upon nothing in {', '.join(c.label for c in cells)}.")
    for cell, config in measurable:
        row = Measured(cell.label, config.init, batches[0].x.shape[1])
        for seed, batch in enumerate(batches):
            torch.manual_seed(seed)
            _add(row, seed, build(task, cell, config, seq_len), batch, task, average)
        yield row


def measure_runs(folders: Sequence[Path], seq_len: int | None = None, average: bool = False) -> Iterator[Measured]:
    """Finished runs before their first step and after their last, on their own data; seeds of one run together.

    Args:
        folders: The runs' folders.
        seq_len: Length of the probe's sequences; the run's own where None.
        average: See `measure_cells`.

    Raises:
        UserError: a folder without a finished run, or data that are not there.
    """
    groups: dict[str, list[Finished]] = {}
    for folder in dict.fromkeys(folder.resolve() for folder in folders):
        member = finished(folder)
        groups.setdefault(member.run.replicates.id, []).append(member)
    labels = _labels([members[0].run for members in groups.values()])
    for label, members in zip(labels, groups.values(), strict=True):
        rows = (Measured(label, "initial", 0), Measured(label, "trained", 0))
        for member in members:
            run = member.run
            batch = load(run.data, run.order_seed).probe_batch(seq_len or run.probes.seq_len, run.probes.batch_size)
            for row, model in zip(rows, (member.untrained(), member.trained()), strict=True):
                row.seq_len = batch.x.shape[1]
                _add(row, run.seed, model, batch, member.task, average)
        yield from rows


def _add(row: Measured, seed: int, model: Model, batch: Batch, task: Task, average: bool) -> None:
    from rnnbench.probes.lyapunov import measure_lyapunov

    flow = measure_gradient_flow(model, batch, task, average=average)
    if "lags" not in (scalars := flow.scalars()):
        what = "are exactly 0 at the last step" if scalars else "are no numbers: it diverged"
        raise UserError(f"the gradients of {row.name} (seed {seed}) {what}; leave it out.")
    row.seeds.append(seed)
    row.curves.append(flow.mean)
    row.scalars.append(scalars)
    row.exponents.append(float(measure_lyapunov(model, batch, task, exponents=1).exponents[0]))


def _data(name: str, seq_len: int, hidden_size: int, seeds: int) -> tuple[Task, list[Batch]]:
    """The task, and the batch of each seed."""
    if name == NOISE:
        task = Task("many_to_many", "values", "values", hidden_size, 1)
        batches = []
        for seed in range(seeds):
            draw = generator("gradients", seed)
            x, y = (torch.randn(BATCH, seq_len, size, generator=draw) for size in (hidden_size, 1))
            batches.append(Batch(x, y))
        return task, batches
    source = load(DataConfig(name, seq_len=seq_len))
    batch = source.probe_batch(seq_len, BATCH)
    if batch.x.shape[1] < 2:
        raise UserError(f"data {name!r} is one vector an example: there is no time for gradients to flow through.")
    return source.task, [batch] * seeds


def _labels(runs: Sequence[Run]) -> list[str]:
    """The shortest names that tell these runs apart."""
    short = [run.cell.label for run in runs]
    longer = [f"{run.cell.label}, {run.data.label}, T = {run.data.seq_len}" for run in runs]
    ids = [f"{run.cell.label}, {run.id}" for run in runs]
    return next(names for names in (short, longer, ids) if len(set(names)) == len(names) or names is ids)
