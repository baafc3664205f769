"""[norm → cell → dropout (+ input)] × layers → norm: between an input and a readout, whatever the task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from rnnbench.backends.dispatch import run
from rnnbench.cells.cell import Cell
from rnnbench.cells.init import initialise
from rnnbench.cells.registry import make_cell
from rnnbench.cells.side_inputs import Side, completed, cut, needed
from rnnbench.config import CellConfig, ModelConfig

State = list[Tensor]

_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda size: nn.Identity(),
    "layer": nn.LayerNorm,
    "rms": nn.RMSNorm,
}


class Stack(nn.Module):
    """Layers of one kind of cell on inputs of a width, two a layer where the second one reads backwards.

    Attributes:
        truncate: In training, time steps after which the state is carried on and its gradient is not, again and again;
            None: the gradient goes back over the whole window. The outputs are the same.
    """

    def __init__(
        self, cell: CellConfig, config: ModelConfig, input_size: int, span: int, bidirectional: bool = False
    ) -> None:
        super().__init__()
        self.backend, self.residual = config.backend, config.residual
        self.truncate: int | None = None
        self.directions = 2 if bidirectional else 1
        self.width = self.directions * config.hidden_size
        project = config.residual and input_size != self.width
        self.project = nn.Linear(input_size, self.width) if project else nn.Identity()
        widths = [self.width if project else input_size] + [self.width] * (config.num_layers - 1)
        self.layers = nn.ModuleList(
            make_cell(cell, size, config.hidden_size) for size in widths for _ in range(self.directions)
        )
        self.needs = needed(self.cells)
        for layer in self.cells:
            initialise(layer, config.init, span)
        self.norms = nn.ModuleList(_NORMS[config.norm](size) for size in (*widths, self.width))
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        state: State | None = None,
        taps: Sequence[Tensor | None] | None = None,
        lengths: Tensor | None = None,
        side: Side | None = None,
    ) -> tuple[Tensor, State]:
        """Run over a window.

        States and taps are one a cell, in the order of `cells`. A cell that reads backwards starts from its state at
        the window's end, and tap t is added after its t-th step, at time step T − 1 − t.

        Args:
            x: (B, T, I).
            state: A (B, *S) tensor a cell to continue from; initial states where not given.
            taps: A (B, T, *S) tensor or None a cell, added to its states, by the fastest backend that can.
            lengths: (B,) steps that are data; padding follows them, and a cell that reads backwards starts before it.
            side: What the cells need beside their input, as `side_inputs` has it; read backwards where they do.

        Returns:
            (B, T, W), padding included, and each cell's last state (with lengths: after the padding).
        """
        backend = self.backend if taps is None else "auto"
        y, cells = self.project(x), self.cells
        last: State = []
        *before, after = self.norms
        for norm in before:
            u, outputs = norm(y), []
            for backwards in range(self.directions):
                index = len(last)
                start, tap = state[index] if state is not None else None, taps[index] if taps is not None else None
                inputs = reverse(u, lengths) if backwards else u
                beside = _reversed(side, lengths) if backwards and side is not None else side
                if self.truncate is None or not self.training:
                    out, final = run(cells[index], inputs, start, backend, tap, side=beside)
                else:
                    out, final = _run_truncated(cells[index], inputs, start, backend, self.truncate, beside)
                outputs.append(reverse(out, lengths) if backwards else out)
                last.append(final)
            out = torch.cat(outputs, dim=-1) if len(outputs) > 1 else outputs[0]
            if len(last) < len(cells):
                out = self.dropout(out)
            y = y + out if self.residual else out
        return after(y), last

    def side_inputs(self, side: Side | None, x: Tensor, begin: int = 0) -> Side | None:
        """What the cells need beside x, (B, T, …); see `completed`."""
        return completed(self.needs, side, x, begin) if self.needs else None

    @property
    def cells(self) -> list[Cell]:
        """The cells: layer by layer, in a bidirectional stack the one that reads forwards before its partner."""
        return cast(list[Cell], list(self.layers))


def _run_truncated(
    cell: Cell, x: Tensor, state: Tensor | None, backend: str, truncate: int, side: Side | None
) -> tuple[Tensor, Tensor]:
    """`run`, the gradient cut off at every so many steps; what is random is drawn once, as without the cuts."""
    outputs = []
    draws = cell.draw(*x.shape[:2])
    for begin in range(0, x.shape[1], truncate):
        piece, start = slice(begin, begin + truncate), None if state is None else state.detach()
        drawn = None if draws is None else draws[:, piece]
        out, state = run(cell, x[:, piece], start, backend, side=cut(side, piece), draws=drawn)
        outputs.append(out)
    assert state is not None
    return torch.cat(outputs, dim=1), state


def reverse(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """(B, T, W) backwards in time; with lengths each sequence by itself, its padding left at the end."""
    if lengths is None:
        return x.flip(1)
    time = torch.arange(x.shape[1], device=x.device)
    mirrored = lengths[:, None] - 1 - time
    at = torch.where(mirrored >= 0, mirrored, time)
    return x.gather(1, at[:, :, None].expand_as(x))


def _reversed(side: Side, lengths: Tensor | None) -> Side:
    return {name: reverse(value.unsqueeze(-1), lengths).squeeze(-1) for name, value in side.items()}


def padding(lengths: Tensor, time: int) -> Tensor:
    """(B, time) bool, True where a sequence of that length has ended."""
    return torch.arange(time, device=lengths.device) >= lengths[:, None]
