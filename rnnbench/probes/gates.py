"""How far open a cell's gates are, and what share is saturated, where no gradient passes through them.

A gate near 1 is right-saturated and one near 0 left-saturated (Karpathy, Johnson & Fei-Fei 2015, "Visualizing and
understanding recurrent networks", section 4.2): a forget gate always open is a unit that integrates, one always closed
a unit without memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnbench.backends.dispatch import run
from rnnbench.cells.cell import Cell
from rnnbench.cells.side_inputs import Side, cut
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models.build import Model
from rnnbench.probes.probed_model import subject

#: Left-saturated below, right-saturated above (Karpathy, Johnson & Fei-Fei 2015).
CLOSED, OPEN = 0.1, 0.9


@dataclass(frozen=True)
class Gate:
    """One gate over all samples, time steps and units.

    Args:
        counts: (bins,), how many values lie in each of equal bins over 0 … 1; one beyond an end counts at that end (an
            affine cell's decay may exceed 1), a NaN nowhere.
        closed: The share below 0.1.
        open: The share above 0.9.
        mean: Of all values.
    """

    counts: NDArray[np.int64]
    closed: float
    open: float
    mean: float


def gate_saturation(
    cell: Cell, x: Tensor, state: Tensor | None = None, bins: int = 20, side: Side | None = None
) -> dict[str, Gate]:
    """The gates of a cell while it reads x (B, T, I) from a state (B, *S), by the names of `Cell.gate_values`.

    With ``side`` what it needs beside x, (B, T) each.

    Raises:
        UserError: no bin, or an x or a state of another shape.
    """
    if bins < 1:
        raise UserError(f"a histogram of gates needs 1 bin or more, got {bins}.")
    with torch.no_grad():
        first = cell.initial_state(len(x)) if state is None else state
        run(cell, x[:, :1], first, "loop", side=cut(side, slice(1)))  # refuses what does not fit
        with cell.unrolled(), cell.beside(side, None):
            u = cell.driven(x)
            if not cell.gate_values(u[:, 0], first):
                return {}  # of a Transformer every state would be many times x, and for nothing
            _, states = run(cell, x, first, "loop", return_states=True, side=side)
            before = torch.cat((first.unsqueeze(1), states[:, :-1]), dim=1)
            values = cell.gate_values(u.flatten(0, 1), before.flatten(0, 1))
    return {name: _gate(value, bins) for name, value in values.items()}


def measure_gates(model: Model, batch: Batch, task: Task) -> dict[str, Gate]:
    """The gates of a whole model on a probe batch, from the initial state: ``layer1/forget`` and so on, from 1 upwards.

    What is measured of which model, see `subject`.
    """
    with torch.inference_mode(False), torch.no_grad():
        probed = subject(model, batch, task)
        layers = probed.layers()
    return {
        f"layer{number}/{name}": gate
        for number, (cell, x) in enumerate(layers, start=1)
        for name, gate in gate_saturation(cell, x, side=probed.side).items()
    }


def _gate(values: Tensor, bins: int) -> Gate:
    v = values.double().cpu().numpy().ravel()
    counts, _ = np.histogram(np.clip(v, 0, 1), bins, range=(0, 1))
    return Gate(counts.astype(np.int64), float((v < CLOSED).mean()), float((v > OPEN).mean()), float(v.mean()))
