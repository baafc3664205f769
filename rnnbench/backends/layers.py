"""Layers of a cell: one or several, in one direction or two, as a function of their input and their states."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rnnbench.backends.backend import Backend
from rnnbench.backends.dispatch import run
from rnnbench.cells.cell import Cell
from rnnbench.cells.registry import make_cell
from rnnbench.cells.side_inputs import completed
from rnnbench.config import CellConfig


class Layers(nn.Module):
    """Layers of one kind of cell with nothing between them: no norm, no dropout, no embedding, no readout.

    In a bidirectional layer a second cell reads backwards; the next layer reads both, 2 H wide.
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
        """Each cell's, (B, *S); a learned one is a constant here."""
        return [cell.initial_state(batch).detach() for cell in self.cells]


class LayersBackend(Backend):
    """A backend that runs several layers in one call."""

    @abstractmethod
    def run_layers(self, layers: Layers, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """As the function `run_layers`."""


def run_layers(
    layers: Layers, x: Tensor, states: Sequence[Tensor], backend: Backend, draws: Sequence[Tensor | None] | None = None
) -> tuple[Tensor, list[Tensor]]:
    """x (B, T, I) and a state (B, *S) a cell → (B, T, W) and the last state of each cell, cell by cell where need be.

    States are in the order of `Layers.cells`, and so are draws, (B, T, N) or None; a cell that reads backwards starts
    from its at the sequence's end. Where no draws are given each cell makes its own. What a cell needs beside x is that
    of an unbroken sequence.
    """
    if isinstance(backend, LayersBackend):
        return backend.run_layers(layers, x, states)
    cells, dtype = layers.cells, x.dtype
    last: list[Tensor] = []
    while len(last) < len(cells):
        outputs = []
        for backwards in range(layers.directions):
            index = len(last)
            side = completed(cells[index].needs, None, x)
            fixed = draws[index] if draws is not None else None
            inputs = x.flip(1) if backwards else x
            y, state = run(cells[index], inputs, states[index], backend, side=side, draws=fixed)
            outputs.append(y.flip(1) if backwards else y)
            last.append(state)
        y = torch.cat(outputs, dim=-1) if len(outputs) > 1 else outputs[0]
        x = y.to(dtype)  # a cell in bfloat16 may give outputs as wide as its state
    return y, last
