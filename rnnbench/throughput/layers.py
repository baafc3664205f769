"""What is timed: one layer of a cell or several, in one direction or two, as a function of its input and its states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rnnbench.backends.backend import Backend
from rnnbench.backends.dispatch import run
from rnnbench.cells.cell import Cell
from rnnbench.cells.registry import make_cell
from rnnbench.config import CellConfig


class Layers(nn.Module):
    """Layers of one kind of cell with nothing between them: no norm, no dropout, no embedding, no readout.

    Args:
        cell: Which cell.
        input_size: I.
        hidden_size: H of each direction.
        num_layers: How many, each reading the one before.
        bidirectional: A second cell a layer reads backwards; the next layer reads both, 2 H wide.
    """

    def __init__(
        self, cell: CellConfig, input_size: int, hidden_size: int, num_layers: int = 1, bidirectional: bool = False
    ) -> None:
        super().__init__()
        self.input_size, self.num_layers, self.directions = input_size, num_layers, 2 if bidirectional else 1
        self.width = self.directions * hidden_size
        widths = [input_size] + [self.width] * (num_layers - 1)
        self.members = nn.ModuleList(
            make_cell(cell, size, hidden_size) for size in widths for _ in range(self.directions)
        )

    @property
    def cells(self) -> list[Cell]:
        """Layer by layer; in a bidirectional layer the one that reads forwards comes first."""
        return cast(list[Cell], list(self.members))

    def initial_state(self, batch: int) -> list[Tensor]:
        """Zeros, (B, *S) a cell."""
        return [cell.initial_state(batch) for cell in self.cells]


def run_layers(layers: Layers, x: Tensor, states: Sequence[Tensor], backend: Backend) -> tuple[Tensor, list[Tensor]]:
    """Run all layers, cell by cell.

    Args:
        layers: What to run.
        x: (B, T, I).
        states: (B, *S) a cell, in the order of `Layers.cells`; one that reads backwards has its at the sequence's end.
        backend: What runs each cell.

    Returns:
        (B, T, W), and the last state of each cell.
    """
    cells, dtype = layers.cells, x.dtype
    last: list[Tensor] = []
    while len(last) < len(cells):
        outputs = []
        for backwards in range(layers.directions):
            index = len(last)
            y, state = run(cells[index], x.flip(1) if backwards else x, states[index], backend)
            outputs.append(y.flip(1) if backwards else y)
            last.append(state)
        y = torch.cat(outputs, dim=-1) if len(outputs) > 1 else outputs[0]
        x = y.to(dtype)  # what a cell in bfloat16 gives may be as wide as its state
    return y, last
