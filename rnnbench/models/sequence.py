"""embedding or linear input → cell × layers with dropout between → linear readout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from rnnbench.backends.dispatch import run
from rnnbench.cells.cell import Cell
from rnnbench.cells.registry import make_cell
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Task

State = list[Tensor]


class SequenceModel(nn.Module):
    """A stack of one kind of cell between an input and a readout that follow from the task.

    Args:
        task: What the data asks for.
        cell: Which cell.
        config: Sizes, dropout and backend.
    """

    def __init__(self, task: Task, cell: CellConfig, config: ModelConfig) -> None:
        super().__init__()
        width = config.embedding_size or config.hidden_size
        self.last_only = task.shape == "many_to_one"
        self.backend = config.backend
        self.input = (
            nn.Embedding(task.input_size, width) if task.kind == "tokens" else nn.Linear(task.input_size, width)
        )
        widths = [width] + [config.hidden_size] * (config.num_layers - 1)
        self.layers = nn.ModuleList(make_cell(cell, size, config.hidden_size) for size in widths)
        self.dropout = nn.Dropout(config.dropout)
        self.readout = nn.Linear(config.hidden_size, task.output_size)

    def forward(
        self, x: Tensor, state: State | None = None, taps: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, State]:
        """Run over a window.

        Args:
            x: (B, T) indices or (B, T, C) values.
            state: One (B, *S) tensor a layer to continue from; initial states where not given.
            taps: One (B, T, *S) tensor a layer, added to its states (the loop runs then, whatever the backend).

        Returns:
            The readout, (B, T, O) or with a many-to-one task (B, O), and each layer's last state.
        """
        y, last = self.input(x), []
        for index, cell in enumerate(self.cells):
            if index:
                y = self.dropout(y)
            tap = taps[index] if taps is not None else None
            backend = self.backend if taps is None else "loop"
            y, final = run(cell, y, state[index] if state is not None else None, backend, tap)
            last.append(final)
        if self.last_only:
            y = y[:, -1]
        return self.readout(self.dropout(y)), last

    @property
    def cells(self) -> list[Cell]:
        """The layers, as what they are."""
        return cast(list[Cell], list(self.layers))

    @property
    def state_size(self) -> int:
        """Numbers of recurrent state a sample carries."""
        return sum(cell.initial_state(1).numel() for cell in self.cells)
