"""A `Timing`: one interleaved measurement of several cells and backends at one size. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from rnnbench.config.plain import MOST, Amount, Bounds, Depth, Length, Seed, Width
from rnnbench.config.values import CellConfig, Job, check_fields, identity
from rnnbench.errors import UserError

#: Number formats.
Dtype = Literal["float32", "tf32", "bfloat16", "float64"]
#: In ``backends``: every backend, those that run on request only too, and every external implementation.
ALL = "all"


@dataclass(frozen=True)
class Timing(Job):
    """Contestants that take turns, on the same work: layers of a cell, nothing before, between or after them.

    Args:
        cells: The cells.
        backends: Which backends and external implementations to try; where empty, all backends but those that run on
            request only; with ``all`` everything there is.
        seq_len: T; in decoding, the symbols of one turn.
        batch_size: B.
        hidden_size: H, of each direction.
        input_size: I; H where not given.
        num_layers: Layers, one reading the other.
        bidirectional: A second cell a layer reads backwards.
        samples: Timed turns of each contestant after the warm-up; at least 30 for a claim.
        warmup: Turns before that.
        dtype: Number format of weights and inputs; tf32 is float32 whose products a GPU rounds to 10 bits.
        what: training: inference, and a training step in its parts. decoding: symbol after symbol, each a call of its
            own, the state handed on.
        seed: Decides weights, inputs and cotangents.
        device: cpu, cuda, or auto.
    """

    cells: tuple[CellConfig, ...] = (CellConfig("rnn"), CellConfig("lstm"), CellConfig("gru"))
    backends: tuple[str, ...] = ()
    seq_len: Length = 64
    batch_size: Width = 32
    hidden_size: Width = 128
    input_size: Width | None = None
    num_layers: Depth = 1
    bidirectional: bool = False
    samples: Amount = 30
    warmup: Annotated[int, Bounds("≥ 0", lambda value: value >= 0, MOST)] = 3
    dtype: Dtype = "float32"
    what: Literal["training", "decoding"] = "training"
    seed: Seed = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"

    kind = "timing"

    def __post_init__(self) -> None:
        check_fields(self)
        if self.what == "decoding" and self.bidirectional:
            raise UserError("a bidirectional layer needs the whole sequence, so it cannot decode symbol after symbol.")

    def id_under(self, protocol: int) -> str:
        """``timing-T64-B32-H128-1f2e3d4c``, or ``decoding-…``."""
        name = "decoding" if self.what == "decoding" else "timing"
        return f"{name}-T{self.seq_len}-B{self.batch_size}-H{self.hidden_size}-{identity(self, protocol)}"

    @property
    def label(self) -> str:
        """For progress bars."""
        return f"{self.id.partition('-')[0]} T={self.seq_len} B={self.batch_size} H={self.hidden_size}"

    @property
    def width(self) -> int:
        """Width I of the input."""
        return self.input_size or self.hidden_size

    @property
    def tokens(self) -> int:
        """Tokens of what is timed: of a training step B·T, of a decoding's symbol B."""
        return self.batch_size * (self.seq_len if self.what == "training" else 1)

    @property
    def weight(self) -> float:
        """Tokens that pass through a layer, roughly: for the estimate of the remaining time."""
        return 6.0 * len(self.cells) * self.num_layers * (self.samples + self.warmup) * self.batch_size * self.seq_len
