"""How the rows of a batch are divided: among the processes of a run, and within one into parts taken in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models.build import Model
from rnnbench.models.loss import loss
from rnnbench.models.stack import State


@dataclass(frozen=True)
class BatchSplit:
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


def in_parts(
    model: Model,
    batch: Batch,
    carry: State | None,
    task: Task,
    division: BatchSplit,
    backward: Callable[[Tensor, bool], None],
) -> tuple[Tensor, State]:
    """Forward and backward for each part that is this process's; gradients add up, so they must be cleared before.

    A part's loss, a mean, counts by its share of the batch's scored targets; times the number of processes where
    there are several, for they take the mean of their gradients. What comes out is the gradient of the whole batch's
    loss, up to rounding.

    Args:
        model: What is trained.
        batch: The whole batch.
        carry: This process's rows of the state to go on from; None at the start.
        task: What the targets are.
        division: How the batch is divided.
        backward: Does it for a loss, and is told whether it is this step's last.

    Returns:
        This process's share of the batch's loss, and its rows' last states.
    """
    parts = division.parts(batch.x.shape[0])
    total = torch.zeros((), device=batch.x.device)
    states: list[State] = []
    for rows in parts:
        begin = slice(rows.start - parts[0].start, rows.stop - parts[0].start)
        part = batch.rows(rows)
        out, state = model.predict(part, None if carry is None else [s[begin] for s in carry])
        value, share = loss(out, part, task), part.share_of(batch)
        if isinstance(share, Tensor):  # a part without a scored target has a loss of 0 / 0
            value = torch.where(share > 0, value, 0.0)
        value = value * share
        backward(value * division.devices, rows is parts[-1])
        total += value.detach()
        states.append([s.detach() for s in state])
    return total, [torch.cat(pieces) if len(pieces) > 1 else pieces[0] for pieces in zip(*states, strict=True)]
