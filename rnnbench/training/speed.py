"""How fast trainings run, each alone on its device: a sweep's own workers slow each other down."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnbench.config import BudgetConfig, Run
from rnnbench.errors import UserError
from rnnbench.runs import RunDirectory
from rnnbench.system import machine
from rnnbench.training.fitting import StepClock, built, fit, quieten
from rnnbench.training.micro_batches import BatchSplit

#: Each training is begun so many times, in a new random order each time, and does so many steps, of which the first few
#: are left out: what is allocated and compiled at the first steps is no speed.
ROUNDS, STEPS, WARM_UP = 3, 12, 3


def time_steps(
    runs: Sequence[Run], progress: Callable[[int, int], None] = lambda done, total: None
) -> list[dict[str, Any]]:
    """The training step of several runs, in turns, in this process alone; ``progress`` counts the turns.

    Returns:
        In the order of the runs, ``config`` (without seed and learning rate), step_ms and step_iqr_ms by the wall,
        step_cpu_ms by the processor (on a CPU), tokens_per_second, and the ``environment``, with the cores that the
        process stayed on. A run that cannot be built here is left out.
    """
    machine.prepare()
    quieten()
    order = np.random.default_rng(0)
    tokens: dict[int, float] = {}
    clocks: dict[int, list[StepClock]] = {}
    device = machine.resolve_device(runs[0].device)
    with machine.pinned() as cores:
        for turn, index in enumerate(i for _ in range(ROUNDS) for i in order.permutation(len(runs)).tolist()):
            clock = StepClock(every=1)
            try:
                tokens[index] = _train(runs[index], device, clock)
            except (UserError, RuntimeError):  # its result says why it cannot be trained
                continue
            finally:
                progress(turn + 1, ROUNDS * len(runs))
            clocks.setdefault(index, []).append(clock)
        environment = machine.environment(device) | {"pinned": cores, "workers": 1}
    return [
        _figures(runs[index], tokens[index], clocks[index], device) | {"environment": environment}
        for index in sorted(clocks)
    ]


def _train(run: Run, device: str, clock: StepClock) -> float:
    """A short training; returns the tokens that an update of it reads."""
    short = dataclasses.replace(run, budget=BudgetConfig(steps=STEPS, evals=1, val_tokens=1))
    data, module = built(short, BatchSplit(), device)
    with tempfile.TemporaryDirectory() as folder:
        fit(short, data, module, RunDirectory(Path(folder), "speed", "run"), None, [clock], None)
    return module.tokens / STEPS


def _figures(run: Run, tokens: float, clocks: Sequence[StepClock], device: str) -> dict[str, Any]:
    config = run.to_dict()
    del config["seed"], config["data_seed"], config["probes"], config["optim"]["lr"]
    low, middle, high = np.percentile([clock.seconds[WARM_UP:] for clock in clocks], [25, 50, 75])
    figures = {
        "config": config,
        "step_ms": 1e3 * float(middle),
        "step_iqr_ms": 1e3 * float(high - low),
        "tokens_per_second": tokens / float(middle),
    }
    if device == "cpu":
        figures["step_cpu_ms"] = 1e3 * float(np.median([clock.cpu_seconds[WARM_UP:] for clock in clocks]))
    return figures
