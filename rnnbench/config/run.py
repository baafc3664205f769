"""A `Run`: everything that decides a training run's numbers, as a tree of frozen dataclasses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from rnnbench.config.cell import CellConfig
from rnnbench.config.parts import BudgetConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig
from rnnbench.config.values import PROTOCOL, check_fields, from_dict, identity, to_dict
from rnnbench.errors import UserError


@dataclass(frozen=True)
class Run:
    """One training run.

    Args:
        cell: The recurrent cell, see `rnnbench cells`; its options follow as --cell.OPTION.
        model: What surrounds the cell.
        data: What the model reads.
        optim: How the weights are moved.
        budget: How long to train.
        probes: What is measured beside the losses.
        seed: Decides the initial weights and the order of the data.
        data_seed: Decides the order of the data in the seed's place, so that the two can vary apart.
        device: cpu, cuda, or auto: a GPU where there is one.
    """

    cell: CellConfig = field(default_factory=CellConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    probes: ProbeConfig = field(default_factory=ProbeConfig)
    seed: int = 0
    data_seed: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"

    #: The job's kind, for the ledger; a `Timing` is the other kind.
    kind = "train"

    def __post_init__(self) -> None:
        object.__setattr__(self, "cell", CellConfig.parse(self.cell))
        check_fields(self)
        for name in ("seed", "data_seed"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 2**31:
                raise UserError(f"{name} must be in 0 … 2³¹ − 1, got {value}.")
        truncate, seq_len = self.optim.truncate, self.data.seq_len
        if truncate is not None and truncate > seq_len:
            raise UserError(
                f"optim.truncate {truncate} is more than data.seq_len {seq_len}, the time steps of one update: no "
                "gradient goes back further; lower it, or leave it out for all of them."
            )

    @property
    def steps(self) -> int:
        """Optimiser updates that the budget pays for: the tokens rounded up to whole batches."""
        if self.budget.steps is not None:
            return self.budget.steps
        assert self.budget.tokens is not None
        return math.ceil(self.budget.tokens / (self.data.batch_size * self.data.seq_len))

    def validates(self, step: int) -> bool:
        """Is there a validation after so many updates, of 0 … steps?

        There are n = min(budget.evals, steps), the i-th after ⌊i · steps / n⌋: evenly spread, the last at the end.
        """
        count = min(self.budget.evals, self.steps)
        return step > 0 and -step * count % self.steps < count

    @property
    def order_seed(self) -> int:
        """What decides the order (or the drawing) of the training data."""
        return self.seed if self.data_seed is None else self.data_seed

    @property
    def replicates(self) -> Run:
        """The same for all runs that differ by their seeds alone: this run with the first seed."""
        return replace(self, seed=0, data_seed=None)

    @cached_property
    def id(self) -> str:
        """``lstm-kjv-T64-s0-1f2e3d4c``: readable, and unique by the hash of everything that decides the numbers."""
        return self.id_under(PROTOCOL)

    def id_under(self, protocol: int) -> str:
        """The id that this run has, or had, under a version of the protocol."""
        data, rest = self.data.label, f"T{self.data.seq_len}-s{self.seed}-{identity(self, protocol)}"
        while data and len(f"{self.cell.name}-{data}-{rest}".encode()) > 255:
            data = data[:-1]
        # It names a folder: torchrecurrent:MGU has a colon, and a file may have a line end in its name.
        name = "".join(c if c.isprintable() else "_" for c in f"{self.cell.name}-{data}-{rest}")
        return name.replace("/", "_").replace(":", "_")

    @property
    def label(self) -> str:
        """For progress bars: ``lstm kjv T=64 seed 0``."""
        length = f"T={self.data.seq_len}"
        if self.optim.truncate is not None:
            length += f" K={self.optim.truncate}"
        return f"{self.cell.label} {self.data.label} {length} seed {self.seed}"

    def to_dict(self) -> dict[str, Any]:
        """Plain nested values, for YAML, JSON and W&B."""
        return to_dict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Run:
        """The inverse of `to_dict`; raises `UserError` on an unknown key or a value of the wrong type."""
        return from_dict(cls, values)
