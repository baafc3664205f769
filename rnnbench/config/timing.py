"""A `Timing`: one interleaved measurement of several cells and backends at one size. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from rnnbench.config import PROTOCOL, CellConfig, check_fields, from_dict, identity, to_dict
from rnnbench.config.parts import DEEPEST, LONGEST, MOST, WIDEST
from rnnbench.config.plain import at_most
from rnnbench.errors import UserError

#: Number formats.
Dtype = Literal["float32", "tf32", "bfloat16", "float64"]
#: In ``backends``: every backend, those that run on request only too, and every peer.
ALL = "all"


@dataclass(frozen=True)
class Timing:
    """Contestants that take turns, on the same work: layers of a cell, nothing before, between or after them.

    Args:
        cells: The cells.
        backends: Which backends and peers to try; where empty, all backends but those that run on request only; with
            ``all`` everything there is.
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
    seq_len: int = 64
    batch_size: int = 32
    hidden_size: int = 128
    input_size: int | None = None
    num_layers: int = 1
    bidirectional: bool = False
    samples: int = 30
    warmup: int = 3
    dtype: Dtype = "float32"
    what: Literal["training", "decoding"] = "training"
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"

    kind = "timing"

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("seq_len", "batch_size", "hidden_size", "input_size", "num_layers", "samples"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} must be positive, got {value}.")
        at_most(LONGEST, seq_len=self.seq_len)
        at_most(WIDEST, batch_size=self.batch_size, hidden_size=self.hidden_size, input_size=self.input_size)
        at_most(DEEPEST, num_layers=self.num_layers)
        at_most(MOST, samples=self.samples, warmup=self.warmup)
        if self.warmup < 0:
            raise UserError(f"warmup must be ≥ 0, got {self.warmup}.")
        if self.what == "decoding" and self.bidirectional:
            raise UserError("a bidirectional layer needs the whole sequence, so it cannot decode symbol after symbol.")
        if not 0 <= self.seed < 2**31:
            raise UserError(f"seed must be in 0 … 2³¹ − 1, got {self.seed}.")

    @cached_property
    def id(self) -> str:
        """``timing-T64-B32-H128-1f2e3d4c``, or ``decoding-…``."""
        return self.id_under(PROTOCOL)

    def id_under(self, protocol: int) -> str:
        """The id that this job has, or had, under a version of the protocol."""
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for YAML and JSON."""
        return to_dict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Timing:
        """The inverse of `to_dict`."""
        return from_dict(cls, values)
