"""A `Timing`: one interleaved measurement of several cells and backends at one size. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from rnnbench.config import CellConfig, from_dict, identity, to_dict
from rnnbench.errors import UserError


@dataclass(frozen=True)
class Timing:
    """Contestants that take turns, on the same work.

    Args:
        cells: The cells.
        backends: Which backends to try; where empty, all but those that run on request only.
        seq_len: T.
        batch_size: B.
        hidden_size: H, also the width of the input.
        samples: Timed turns of each contestant after the warm-up; at least 30 for a claim.
        warmup: Turns before that.
        dtype: Number format.
        seed: Decides weights, inputs and cotangents.
        device: cpu, cuda, or auto.
    """

    cells: tuple[CellConfig, ...] = (CellConfig("rnn"), CellConfig("lstm"), CellConfig("gru"))
    backends: tuple[str, ...] = ()
    seq_len: int = 64
    batch_size: int = 32
    hidden_size: int = 128
    samples: int = 30
    warmup: int = 3
    dtype: Literal["float32", "float64"] = "float32"
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"

    kind = "timing"

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", tuple(CellConfig.parse(cell) for cell in self.cells))
        for name in ("seq_len", "batch_size", "hidden_size", "samples"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be positive, got {getattr(self, name)}.")
        if self.warmup < 0:
            raise UserError(f"warmup must be ≥ 0, got {self.warmup}.")
        if not 0 <= self.seed < 2**31:
            raise UserError(f"seed must be in 0 … 2³¹ − 1, got {self.seed}.")

    @cached_property
    def id(self) -> str:
        """``timing-T64-B32-H128-1f2e3d4c``."""
        return f"timing-T{self.seq_len}-B{self.batch_size}-H{self.hidden_size}-{identity(self)}"

    @property
    def label(self) -> str:
        """For progress bars."""
        return f"timing T={self.seq_len}"

    @property
    def weight(self) -> float:
        """Tokens that pass through a layer, roughly: for the estimate of the remaining time."""
        return 6.0 * len(self.cells) * (self.samples + self.warmup) * self.seq_len * self.batch_size

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for YAML and JSON."""
        return to_dict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Timing:
        """The inverse of `to_dict`."""
        return from_dict(cls, values)
