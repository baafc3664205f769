"""embedding or linear input → [norm → cell → dropout (+ input)] × layers → norm → pooling → dropout → readout."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rnnbench.backends.dispatch import run
from rnnbench.cells.cell import Cell
from rnnbench.cells.init import initialise
from rnnbench.cells.registry import make_cell
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Task
from rnnbench.errors import UserError
from rnnbench.models.matching import solve_width
from rnnbench.models.pooling import Attention, Last, Mean

State = list[Tensor]

_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda size: nn.Identity(),
    "layer": nn.LayerNorm,
    "rms": nn.RMSNorm,
}

_POOLINGS: dict[str, Callable[[int, int], nn.Module]] = {
    "last": lambda size, directions: Last(directions),
    "mean": lambda size, directions: Mean(),
    "attention": lambda size, directions: Attention(size),
}


class SequenceModel(nn.Module):
    """A stack of one kind of cell between an input and a readout that follow from the task.

    Args:
        task: What the data asks for.
        cell: Which cell.
        config: Sizes, blocks, initialisation and backend; with ``parameters`` the width is `resolved` first.
        span: The longest dependency to expect, in steps: what init chrono prepares for.

    Raises:
        UserError: a config that this task or this cell has no use for, or ``parameters`` that no width meets.
    """

    def __init__(self, task: Task, cell: CellConfig, config: ModelConfig, span: int = 64) -> None:
        super().__init__()
        _check(task, config)
        config = resolved(task, cell, config)
        self.hidden_size, self.backend, self.residual = config.hidden_size, config.backend, config.residual
        self.directions = 2 if config.bidirectional else 1
        embedded, width = config.embedding_size or config.hidden_size, self.directions * config.hidden_size
        self.input = (
            nn.Embedding(task.input_size, embedded) if task.kind == "tokens" else nn.Linear(task.input_size, embedded)
        )
        project = config.residual and embedded != width
        self.project = nn.Linear(embedded, width) if project else nn.Identity()
        widths = [width if project else embedded] + [width] * (config.num_layers - 1)
        self.layers = nn.ModuleList(
            make_cell(cell, size, config.hidden_size) for size in widths for _ in range(self.directions)
        )
        for layer in self.cells:
            initialise(layer, config.init, span)
        self.norms = nn.ModuleList(_NORMS[config.norm](size) for size in (*widths, width))
        self.pool: nn.Module = nn.Identity()
        if task.shape == "many_to_one":
            self.pool = _POOLINGS[config.pooling](width, self.directions)
        self.dropout = nn.Dropout(config.dropout)
        self.readout = nn.Linear(width, task.output_size)
        if config.tie:
            if embedded != width:
                raise UserError(
                    f"model.tie shares one weight between an embedding of {embedded} and a readout from {width}: both "
                    "must be as wide; leave model.embedding_size out."
                )
            self.input.weight = self.readout.weight  # the readout's initialisation: an embedding's N(0, 1) is too wide

    def forward(
        self, x: Tensor, state: State | None = None, taps: Sequence[Tensor | None] | None = None
    ) -> tuple[Tensor, State]:
        """Run over a window.

        States and taps are one a cell, in the order of `cells`. A cell that reads backwards has them in its own time:
        it starts from its state at the window's end, and tap t is added after its t-th step, at instant T − 1 − t.

        Args:
            x: (B, T) indices or (B, T, C) values.
            state: A (B, *S) tensor a cell to continue from; initial states where not given.
            taps: A (B, T, *S) tensor or None a cell, added to its states (the loop runs then, whatever the backend).

        Returns:
            The readout, (B, T, O) or with a many-to-one task (B, O), and each cell's last state.
        """
        backend = self.backend if taps is None else "loop"
        y, cells = self.project(self.input(x)), self.cells
        last: State = []
        *before, after = self.norms
        for norm in before:
            u, outputs = norm(y), []
            for backwards in range(self.directions):
                index = len(last)
                start, tap = state[index] if state is not None else None, taps[index] if taps is not None else None
                out, final = run(cells[index], u.flip(1) if backwards else u, start, backend, tap)
                outputs.append(out.flip(1) if backwards else out)
                last.append(final)
            out = torch.cat(outputs, dim=-1) if len(outputs) > 1 else outputs[0]
            if len(last) < len(cells):
                out = self.dropout(out)
            y = y + out if self.residual else out
        return self.readout(self.dropout(self.pool(after(y)))), last

    @property
    def cells(self) -> list[Cell]:
        """The cells: layer by layer, in a bidirectional model the one that reads forwards before its partner."""
        return cast(list[Cell], list(self.layers))

    @property
    def state_size(self) -> int:
        """Numbers of recurrent state a sample carries."""
        return sum(cell.initial_state(1).numel() for cell in self.cells)

    @property
    def matched_parameters(self) -> int:
        """Weights that a fair comparison holds equal: cells, norms, pooling and readout; all but the input."""
        parts = nn.ModuleList((self.layers, self.norms, self.pool, self.readout))
        return sum(parameter.numel() for parameter in parts.parameters())


def resolved(task: Task, cell: CellConfig, config: ModelConfig) -> ModelConfig:
    """The config with the hidden_size that its ``parameters`` ask for, itself where they ask for nothing.

    Solved on the meta device: nothing is allocated and no random number drawn, so that the model is the very one that
    its hidden_size given outright would make.

    Raises:
        UserError: no width comes within 2 %, or the model cannot be built at any.
    """
    if config.parameters is None:
        return config
    plain = dataclasses.replace(config, parameters=None, init="default")

    def count(width: int) -> int:
        with torch.device("meta"):
            return SequenceModel(task, cell, dataclasses.replace(plain, hidden_size=width)).matched_parameters

    return dataclasses.replace(config, parameters=None, hidden_size=solve_width(count, config.parameters))


def _check(task: Task, config: ModelConfig) -> None:
    """Refuse what this task has no use for."""
    many = task.shape == "many_to_many"
    if config.bidirectional and (many or task.stateful):
        raise UserError(
            "model.bidirectional would read what this task asks to predict, the next value at every step; it is for "
            "tasks with one target a window."
        )
    if config.pooling != "last" and many:
        raise UserError(
            f"model.pooling {config.pooling} makes one vector of a window, and this task has a target at every step; "
            "leave it out."
        )
    if config.tie and (task.kind != "tokens" or task.input_size != task.output_size):
        raise UserError(
            "model.tie needs an embedding of the very symbols that are predicted, and this task has none; leave it out."
        )
