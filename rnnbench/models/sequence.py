"""embedding or linear input → stack → pooling → dropout → readout: one target a sequence, or one a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from rnnbench.cells.cell import Cell
from rnnbench.cells.side_inputs import Side
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models.pooling import AttentionPooling, Last, Mean
from rnnbench.models.stack import Stack, State

_POOLINGS: dict[str, Callable[[int, int], nn.Module]] = {
    "last": lambda size, directions: Last(directions),
    "mean": lambda size, directions: Mean(),
    "attention": lambda size, directions: AttentionPooling(size),
}


class SequenceModel(nn.Module):
    """A stack of one kind of cell between an input and a readout that follow from the task.

    The arguments are those of `build`, for a task that is one_to_one, many_to_one or many_to_many; of the config
    ``hidden_size`` counts, as ``parameters`` is `resolved` before.

    Raises:
        UserError: a cell that cannot be built, or an embedding that cannot be tied.
    """

    def __init__(self, task: Task, cell: CellConfig, config: ModelConfig, span: int = 64) -> None:
        super().__init__()
        self.hidden_size = config.hidden_size
        embedded = config.embedding_size or config.hidden_size
        self.input = input_layer(task, embedded)
        self.stack = Stack(cell, config, embedded, span, config.bidirectional)
        self.pool = None
        if task.shape != "many_to_many":
            self.pool = _POOLINGS[config.pooling](self.stack.width, self.stack.directions)
        self.dropout = nn.Dropout(config.dropout)
        self.readout = nn.Linear(self.stack.width, task.output_size)
        if config.tie:
            if embedded != self.stack.width:
                raise UserError(
                    f"model.tie shares one weight between an embedding of {embedded} and a readout from "
                    f"{self.stack.width}: both must be as wide; leave model.embedding_size out."
                )
            self.input.weight = self.readout.weight  # the readout's initialisation: an embedding's N(0, 1) is too wide

    def forward(
        self,
        x: Tensor,
        state: State | None = None,
        taps: Sequence[Tensor | None] | None = None,
        lengths: Tensor | None = None,
        side: Side | None = None,
        begin: int = 0,
    ) -> tuple[Tensor, State]:
        """Run over a window: x (B, T) indices or (B, T, C) values; ``begin`` as a `Batch`, the rest as a `Stack`.

        Returns:
            The readout, (B, T, O) or with one target a sequence (B, O), and each cell's last state.
        """
        y, last = self.stack(self.input(x), state, taps, lengths, self.stack.side_inputs(side, x, begin))
        return self._readout(y, lengths), last

    def _readout(self, y: Tensor, lengths: Tensor | None) -> Tensor:
        if self.pool is not None:
            y = self.pool(y, lengths)
        out: Tensor = self.readout(self.dropout(y))
        return out

    def predict(
        self, batch: Batch, state: State | None = None, taps: Sequence[Tensor | None] | None = None
    ) -> tuple[Tensor, State]:
        """`forward` over a batch: outputs to compare with its targets, and the last states."""
        out: tuple[Tensor, State] = self(batch.x, state, taps, batch.lengths, batch.side, batch.begin)
        return out

    def answer(self, y: Tensor, batch: Batch) -> Tensor:
        """From `probed`'s outputs, (B, T, W), to the model's, to compare with the batch's targets."""
        return self._readout(y, batch.lengths)

    @property
    def streams(self) -> bool:
        """Whether the readout at a time step needs that step's output alone."""
        return self.stack.directions == 1 and (self.pool is None or isinstance(self.pool, Last))

    @property
    def cells(self) -> list[Cell]:
        """See `Stack.cells`."""
        return self.stack.cells

    @property
    def probed(self) -> Stack:
        """The stack whose states gradient flow is measured on."""
        return self.stack

    @property
    def matched(self) -> list[nn.Module]:
        """What a fair comparison holds equal: cells, norms, pooling and readout; all but the input."""
        return [self.stack.layers, self.stack.norms, *([self.pool] if self.pool is not None else []), self.readout]


def input_layer(task: Task, size: int) -> nn.Embedding | nn.Linear:
    """(B, T) indices or (B, T, C) values → (B, T, size)."""
    return nn.Embedding(task.input_size, size) if task.reads == "tokens" else nn.Linear(task.input_size, size)
