"""encoder → decoder: a sequence of its own length out of a sequence, or out of one vector.

The decoder reads one vector of the encoder's in the place of a start symbol (Vinyals et al. 2015 do so with a picture),
and all of its outputs through attention. It is therefore the same for any cell and on any backend: attention stands
above the decoder's recurrence (Luong, Pham & Manning 2015, section 3.1), so that under teacher forcing the decoder runs
over all of the targets at once. A picture to its name is the case of a source of one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rnnbench.cells.cell import Cell
from rnnbench.cells.side_inputs import Side
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Batch, Task
from rnnbench.models.attention import ATTENTIONS, Attention
from rnnbench.models.pooling import Last
from rnnbench.models.sequence import input_layer
from rnnbench.models.stack import Stack, State, padding


class Memory(NamedTuple):
    """What the decoder has of the encoder.

    outputs: (B, S, W), 0 where padding was read. begin: (B, 1, E), what the decoder reads first. keys: (B, S, D), what
    attention compares with; None without attention. hidden: (B, S) bool, True where padding was read; None: nowhere.
    """

    outputs: Tensor
    begin: Tensor
    keys: Tensor | None
    hidden: Tensor | None

    def repeated(self, times: int) -> Memory:
        """Each sample ``times`` times, one after the other."""

        return Memory._make(part if part is None else part.repeat_interleave(times, dim=0) for part in self)


class EncoderDecoder(nn.Module):
    """Two stacks of one kind of cell, of ``num_layers`` each, and attention between them.

    The arguments are those of `build`, for a task that is seq2seq or one_to_many; symbol 0 of the targets ends them.
    """

    def __init__(self, task: Task, cell: CellConfig, config: ModelConfig, span: int = 64) -> None:
        super().__init__()
        self.hidden_size = hidden = config.hidden_size
        embedded = config.embedding_size or hidden
        self.input = input_layer(task, embedded)
        self.encoder = Stack(cell, config, embedded, span, config.bidirectional)
        self.last = Last(self.encoder.directions)
        self.bridge = nn.Linear(self.encoder.width, embedded)
        self.symbols = nn.Embedding(task.output_size, embedded)
        self.decoder = Stack(cell, config, embedded, span)
        self.attention: Attention | None = None
        if config.attention != "none":
            self.attention = ATTENTIONS[config.attention](hidden, self.encoder.width, hidden)
            self.combine = nn.Linear(hidden + self.encoder.width, hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.readout = nn.Linear(hidden, task.output_size)

    def encode(
        self,
        x: Tensor,
        lengths: Tensor | None = None,
        taps: Sequence[Tensor | None] | None = None,
        side: Side | None = None,
    ) -> Memory:
        """Read x (B, S) or (B, S, C), of which ``lengths`` (B,) steps, at least one, are data; side as in a `Batch`."""
        outputs, _ = self.encoder(self.input(x), None, taps, lengths, self.encoder.side_inputs(side, x))
        return self._remember(outputs, lengths)

    def _remember(self, outputs: Tensor, lengths: Tensor | None) -> Memory:
        begin = self.bridge(self.last(outputs, lengths))[:, None]
        hidden = None
        if lengths is not None:  # 0 · NaN is NaN: padding must not enter a sum
            hidden = padding(lengths, outputs.shape[1])
            outputs = outputs.masked_fill(hidden[:, :, None], 0.0)
        keys = self.attention.keys(outputs) if self.attention is not None else None
        return Memory(outputs, begin, keys, hidden)

    def decode(
        self, y: Tensor, memory: Memory, state: State | None = None, begin: int = 0
    ) -> tuple[Tensor, Tensor | None, State]:
        """Some steps of the decoder, from a state, ``begin`` the number of the first.

        It reads y, (B, U, E): ``memory.begin``, or ``symbols`` of what it has written.

        Returns:
            Logits (B, U, V), weights of attention (B, U, S) where there are any, and the last states.
        """
        out, last = self.decoder(y, state, side=self.decoder.side_inputs(None, y, begin))
        weights = None
        if self.attention is not None:
            context, weights = self.attention(out, memory.keys, memory.outputs, memory.hidden)
            out = torch.tanh(self.combine(torch.cat((context, out), dim=-1)))  # Luong et al. 2015, eq. 5
        return self.readout(self.dropout(out)), weights, last

    def forward(
        self,
        x: Tensor,
        y: Tensor,
        lengths: Tensor | None = None,
        taps: Sequence[Tensor | None] | None = None,
        side: Side | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Teacher forcing: each target from the source and the targets y (B, U) before it; the rest as in `encode`.

        The taps are a (B, S, *S') tensor or None for each cell of the encoder, added to its states.

        Returns:
            Logits (B, U, V) and weights of attention (B, U, S), None without attention.
        """
        return self._forced(self.encode(x, lengths, taps, side), y)

    def _forced(self, memory: Memory, y: Tensor) -> tuple[Tensor, Tensor | None]:
        logits, weights, _ = self.decode(torch.cat((memory.begin, self.symbols(y[:, :-1])), dim=1), memory)
        return logits, weights

    def predict(
        self, batch: Batch, state: State | None = None, taps: Sequence[Tensor | None] | None = None
    ) -> tuple[Tensor, State]:
        """`forward` over a batch: outputs to compare with its targets, and no state to carry on."""
        logits, _ = self(batch.x, batch.y, batch.lengths, taps, batch.side)
        return logits, []

    def answer(self, y: Tensor, batch: Batch) -> Tensor:
        """From `probed`'s outputs, (B, S, W), to the model's, to compare with the batch's targets."""
        return self._forced(self._remember(y, batch.lengths), batch.y)[0]

    @property
    def streams(self) -> bool:
        """See `SequenceModel.streams`: the first symbol depends on all outputs."""
        return False

    @property
    def cells(self) -> list[Cell]:
        """The encoder's cells, then the decoder's."""
        return self.encoder.cells + self.decoder.cells

    @property
    def probed(self) -> Stack:
        """The stack whose states gradient flow is measured on: how far back in the source it reaches."""
        return self.encoder

    @property
    def matched(self) -> list[nn.Module]:
        """What a fair comparison holds equal: all but the embeddings of source and target."""
        parts: list[nn.Module] = [self.encoder.layers, self.encoder.norms, self.decoder.layers, self.decoder.norms]
        if self.attention is not None:
            parts += [self.attention, self.combine]
        return [*parts, self.bridge, self.readout]
