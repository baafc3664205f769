"""How the rows of a batch are divided: among the processes of a run, and within one into parts taken in turn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.errors import UserError


@dataclass(frozen=True)
class Division:
    """One process's share of every batch.

    Args:
        devices: Processes that train one run together, each on a device of its own.
        rank: Which of them this one is; 0 is the one that records.
        micro_batches: Parts that it cuts its rows into, to have one after the other in memory instead of all at once.
    """

    devices: int = 1
    rank: int = 0
    micro_batches: int = 1

    def own(self, rows: int) -> slice:
        """This process's of a whole batch's rows, as equal a share as can be."""
        return slice(self.rank * rows // self.devices, (self.rank + 1) * rows // self.devices)

    def parts(self, rows: int) -> list[slice]:
        """The parts of this process, in a whole batch's rows.

        Raises:
            UserError: there are more parts than rows.
        """
        self.check(rows)
        own = self.own(rows)
        size, many = own.stop - own.start, self.micro_batches
        return [slice(own.start + i * size // many, own.start + (i + 1) * size // many) for i in range(many)]

    def check(self, rows: int) -> None:
        """Refuse a batch with too few rows for every process to have one in every part."""
        if rows < self.devices * self.micro_batches:
            parts = f"{self.devices} devices" if self.devices > 1 else ""
            parts += " × " * (self.devices > 1 < self.micro_batches)
            parts += f"{self.micro_batches} micro-batches" if self.micro_batches > 1 else ""
            raise UserError(
                f"a batch of {rows} sequences cannot be divided among {parts}; take fewer of those, or a larger "
                "data.batch_size."
            )

    def whole(self, part: Tensor, rows: int) -> Tensor:
        """Every process's rows put together again, on all of them; every process has to ask."""
        if self.devices == 1:
            return part
        together = part.new_zeros(rows, *part.shape[1:])
        together[self.own(rows)] = part
        return self.summed(together)

    def each(self, mine: Tensor) -> Tensor:
        """What every process has, stacked in their order, on all of them; every process has to ask."""
        return self.whole(mine[None], self.devices) if self.devices > 1 else mine

    def summed(self, tensor: Tensor) -> Tensor:
        """The sum over the processes, in place; every process has to ask."""
        if self.devices > 1:
            torch.distributed.all_reduce(tensor)
        return tensor
