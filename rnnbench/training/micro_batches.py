"""How the rows of a batch are split: among the processes of a run, and within one into micro-batches taken in turn."""

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

    def shard(self, rows: int) -> slice:
        """This process's of a whole batch's rows, as equal a share as can be."""
        return slice(self.rank * rows // self.devices, (self.rank + 1) * rows // self.devices)

    def parts(self, rows: int) -> list[slice]:
        """The micro-batches of this process, in a whole batch's rows; a `UserError` where they are more than rows."""
        self.check(rows)
        shard, many = self.shard(rows), self.micro_batches
        size = shard.stop - shard.start
        return [slice(shard.start + i * size // many, shard.start + (i + 1) * size // many) for i in range(many)]

    def check(self, rows: int) -> None:
        """Refuse a batch with too few rows for every process to have one in every micro-batch."""
        if rows < self.devices * self.micro_batches:
            counts = {"devices": self.devices, "micro-batches": self.micro_batches}
            parts = " × ".join(f"{count} {name}" for name, count in counts.items() if count > 1)
            raise UserError(
                f"a batch of {rows} sequences cannot be divided among {parts}; take fewer of those, or a larger "
                "data.batch_size."
            )

    # --- exchanges: every process has to take part ----------------------------------------------------------------

    def gather(self, shard: Tensor, rows: int) -> Tensor:
        """Every process's rows put together again, on all of them."""
        if self.devices == 1:
            return shard
        rows_of_all = shard.new_zeros(rows, *shard.shape[1:])
        rows_of_all[self.shard(rows)] = shard
        return self.sum(rows_of_all)

    def stack(self, tensor: Tensor) -> Tensor:
        """What every process has, stacked by rank, on all of them; of one process the tensor itself."""
        return self.gather(tensor[None], self.devices) if self.devices > 1 else tensor

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over the processes, in place."""
        if self.devices > 1:
            torch.distributed.all_reduce(tensor)
        return tensor


def in_parts(
    model: Model,
    batch: Batch,
    carry: State | None,
    task: Task,
    split: BatchSplit,
    backward: Callable[[Tensor, bool], None],
    penalty: Callable[[], Tensor | None] = lambda: None,
) -> tuple[Tensor, State]:
    """Forward and backward for each micro-batch of this process; gradients add up, so they must be cleared before.

    A part's loss, a mean, counts by its share of the batch's scored targets; times the number of processes where
    there are several, for they take the mean of their gradients. What comes out is the gradient of the whole batch's
    loss, up to rounding, and of the penalty, which counts by the same shares. ``batch`` is the whole batch, ``carry``
    the last states of this process's rows, and ``backward`` is called with a loss and whether it is this step's last.

    Returns:
        This process's share of the batch's loss, and its rows' last states.
    """
    parts = split.parts(batch.x.shape[0])
    total = torch.zeros((), device=batch.x.device)
    states: list[State] = []
    for rows in parts:
        begin = slice(rows.start - parts[0].start, rows.stop - parts[0].start)
        part = batch.rows(rows)
        out, state = model.predict(part, None if carry is None else [s[begin] for s in carry])
        value, share = loss(out, part, task), part.share_of(batch)
        if isinstance(share, Tensor):  # a part without a scored target has a loss of 0 / 0
            value = torch.where(share > 0, value, 0.0)
        value, added = value * share, penalty()
        whole = value if added is None else value + added * share
        backward(whole * split.devices, rows is parts[-1])
        total += value.detach()
        states.append([s.detach() for s in state])
    return total, [torch.cat(pieces) if len(pieces) > 1 else pieces[0] for pieces in zip(*states, strict=True)]
