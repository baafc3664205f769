"""What does a training step of `rnnbench train` cost over a bare loop's?

The bare loop is the best that one would write by hand for this model: `plain_loop.step` on batches cut beforehand, with
fused Adam, clipping without a loop over the weights, nothing logged, nothing read back. Against it the whole of
`rnnbench train` at its defaults (hidden 128, batch 32, length 64, Adam 2e-3, clip 1; history, W&B's record,
checkpoints), from the beginning of one batch to that of the next. Both in one process of one thread, in turn, a block
of steps each. Printed: ms a step (medians over blocks, interquartile range), the median of the pairs' ratios with its
paired-bootstrap 95 % interval, and what a whole run's time goes to: evaluation is that along the training and that
after it, start and end are reading the data, building the model and the record. Imports (seconds, once a process) are
left out.

    python benchmarks/overhead.py --cells lstm
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import lightning as L
import numpy as np
import torch
from plain_loop import Net, step  # type: ignore[import-not-found]  # found where the script is, not from the root

from rnnbench.config import BudgetConfig, CellConfig, Run
from rnnbench.data.datamodule import SequenceDataModule
from rnnbench.intervals import speed_up
from rnnbench.system import machine
from rnnbench.training import train


class Bare:
    """The loop to be compared with, a step at a call."""

    def __init__(self, run: Run) -> None:
        source = SequenceDataModule(run.data, run.seed).source
        self.batches = [source.train_batch(index) for index in range(run.steps)]
        self.net = Net(run.cell.name, source.task.input_size, run.model.hidden_size)
        self.adam = torch.optim.Adam(self.net.parameters(), lr=run.optim.lr, fused=True)
        self.state: object = None
        self.next = 0

    def __call__(self) -> None:
        batch = self.batches[self.next % len(self.batches)]
        self.state = step(self.net, self.adam, batch.x, batch.y, None if batch.reset else self.state)
        self.next += 1


class Turns(L.Callback):
    """After each block of a training's steps the bare loop makes as many.

    Attributes:
        blocks: (ours, bare), seconds a step.
        seconds: Of the whole training: our steps, its validations, and the bare loop.
    """

    def __init__(self, bare: Bare, block: int) -> None:
        self.bare, self.block = bare, block
        self.blocks: list[tuple[float, float]] = []
        self.seconds = {"steps": 0.0, "evaluation": 0.0, "bare": 0.0}
        self._begin = self._validation = 0.0
        self._steps = 0

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._begin and self._steps < self.block:
            self._steps += 1
            return
        ours = self._taken()
        begin = time.perf_counter()
        for _ in range(self.block):
            self.bare()
        bare = time.perf_counter() - begin
        self.seconds["bare"] += bare
        if self._steps:
            self.blocks.append((ours / self.block, bare / self.block))
        self._steps = 1
        self._begin = time.perf_counter()

    def _taken(self) -> float:
        """Seconds since the last block's beginning, which count."""
        taken = time.perf_counter() - self._begin if self._begin else 0.0
        self.seconds["steps"] += taken
        return taken

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._taken()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._validation = time.perf_counter()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        taken = time.perf_counter() - self._validation
        self.seconds["evaluation"] += taken
        self._begin += taken


def measured(run: Run, block: int) -> tuple[Turns, dict[str, float]]:
    """The turns taken in a run, and seconds of the whole of it: steps, evaluation, probes, start and end."""
    turns = Turns(Bare(run), block)

    class Watched(L.Trainer):
        """The Trainer that `train` makes, looked at from outside."""

        def fit(self, *args: Any, **kwargs: Any) -> None:
            self.callbacks.append(turns)  # type: ignore[attr-defined]
            super().fit(*args, **kwargs)

        def test(self, *args: Any, **kwargs: Any) -> Any:
            begin = time.perf_counter()
            metrics = super().test(*args, **kwargs)
            turns.seconds["evaluation"] += time.perf_counter() - begin
            return metrics

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(L, "Trainer", Watched):
        begin = time.perf_counter()
        result = train(run, Path(folder))
        whole = time.perf_counter() - begin - turns.seconds["bare"]
    parts = {key: turns.seconds[key] for key in ("steps", "evaluation")} | {
        "probes": result["metrics"]["probes/seconds"]
    }
    return turns, parts | {"start and end": whole - sum(parts.values())}


def ms(seconds: np.ndarray) -> str:
    low, middle, high = np.percentile(1e3 * seconds, [25, 50, 75])
    return f"{middle:6.2f} ({low:.2f} – {high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", choices=["rnn", "lstm", "gru"], default=["rnn", "lstm", "gru"])
    parser.add_argument("--repeats", type=int, default=2, help="runs a cell, each with a seed of its own")
    parser.add_argument("--tokens", type=int, default=1_500_000, help="characters a run is trained on")
    parser.add_argument("--block", type=int, default=50, help="steps in a turn")
    args = parser.parse_args()
    machine.prepare()
    print(f"{'cell':<6}{'bare loop, ms a step':>24}{'rnnbench train':>24}{'ratio (95 %)':>22}")
    for cell in args.cells:
        blocks, seconds = [], []
        for seed in range(args.repeats):
            run = Run(cell=CellConfig(cell), budget=BudgetConfig(tokens=args.tokens), seed=seed, device="cpu")
            turns, parts = measured(run, args.block)
            blocks += turns.blocks[1:]  # the first is warm-up
            seconds.append(list(parts.values()))
        ours, bare = np.array(blocks).T
        middle, low, high = speed_up(ours / bare, np.ones_like(bare))  # pair by pair: the machine's own pace drifts
        print(f"{cell:<6}{ms(bare):>24}{ms(ours):>24}{f'{middle:.3f} ({low:.3f} – {high:.3f})':>22}", flush=True)
        shares = np.sum(seconds, axis=0) / np.sum(seconds)
        parts_text = ", ".join(f"{name} {share:.0%}" for name, share in zip(parts, shares, strict=True))
        print(f"{'':<6}of the whole run ({np.sum(seconds) / args.repeats:.1f} s): {parts_text}", flush=True)


if __name__ == "__main__":
    main()
