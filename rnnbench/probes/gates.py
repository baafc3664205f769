"""How far open a cell's gates are, and how many of them stand at an end, where no gradient passes through them.

A gate near 1 is right-saturated and one near 0 left-saturated (Karpathy, Johnson & Fei-Fei 2015, "Visualizing and
understanding recurrent networks", section 4.2): a forget gate always open is a unit that integrates, one always closed
a unit without memory.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnbench.backends.dispatch import run
from rnnbench.cells.cell import Cell
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models.build import Model
from rnnbench.models.stack import padding

#: Left-saturated below, right-saturated above (Karpathy, Johnson & Fei-Fei 2015).
CLOSED, OPEN = 0.1, 0.9


@dataclass(frozen=True)
class Gate:
    """One gate over all samples, instants and units.

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


def gate_saturation(cell: Cell, x: Tensor, state: Tensor | None = None, bins: int = 20) -> dict[str, Gate]:
    """Where a cell's gates are while it reads.

    Args:
        cell: Any cell; it is run in its own dtype.
        x: (B, T, I).
        state: (B, *S) to start from; the cell's initial state where not given.
        bins: Of the histograms.

    Returns:
        By the names of `Cell.gate_values`; empty for a cell without gates.

    Raises:
        UserError: no bin, or an x or a state of another shape.
    """
    return _saturation(cell, x, state, bins)


def measure_gates(model: Model, batch: Batch, task: Task) -> dict[str, Gate]:
    """The gates of a whole model on a probe batch, from the initial state: ``layer1/forget`` and so on, from 1 upwards.

    The model itself is left as it is: a copy in evaluation mode is measured, in the model's own dtype. Padding is not
    counted. Of a bidirectional model only the cells that read forwards are measured, of a decoder's model the encoder,
    as gradient flow is.
    """
    twin = copy.deepcopy(model).eval()
    stack, read = twin.probed, []
    for norm in stack.norms[: len(stack.cells) // stack.directions]:
        norm.register_forward_hook(lambda _, __, u: read.append(u))  # what a layer's cells read
    x = batch.x if task.reads == "tokens" else batch.x.to(next(twin.parameters()).dtype)
    with torch.no_grad():
        stack(twin.input(x), lengths=batch.lengths)
    layers = zip(stack.cells[:: stack.directions], read, strict=True)
    return {
        f"layer{number}/{name}": gate
        for number, (cell, u) in enumerate(layers, start=1)
        for name, gate in _saturation(cell, u, lengths=batch.lengths).items()
    }


def _saturation(
    cell: Cell, x: Tensor, state: Tensor | None = None, bins: int = 20, lengths: Tensor | None = None
) -> dict[str, Gate]:
    if bins < 1:
        raise UserError(f"a histogram of gates needs 1 bin or more, got {bins}.")
    with torch.no_grad():
        first = cell.initial_state(len(x)) if state is None else state
        run(cell, x[:, :1], first, "loop")  # refuses what does not fit
        with cell.unrolled():
            u = cell.drive(x)
            if not cell.gate_values(u[:, 0], first):
                return {}  # of a Transformer every state would be many times x, and for nothing
            _, states = run(cell, x, first, "loop", return_states=True)
            before = torch.cat((first.unsqueeze(1), states[:, :-1]), dim=1)
            counted = slice(None) if lengths is None else ~padding(lengths, x.shape[1]).flatten()
            values = cell.gate_values(u.flatten(0, 1)[counted], before.flatten(0, 1)[counted])
    return {name: _gate(value, bins) for name, value in values.items()}


def _gate(values: Tensor, bins: int) -> Gate:
    v = values.double().cpu().numpy().ravel()
    counts, _ = np.histogram(np.clip(v, 0, 1), bins, range=(0, 1))
    return Gate(counts.astype(np.int64), float((v < CLOSED).mean()), float((v > OPEN).mean()), float(v.mean()))
