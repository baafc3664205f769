"""What of a whole model the probes look at: a copy in evaluation mode and float64, on a fixed batch."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.cells.cell import Cell
from rnnbench.cells.side_inputs import Side, cut
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models.build import Model
from rnnbench.models.loss import loss
from rnnbench.models.stack import Stack, State
from rnnbench.probes.adjoint import Segment, adjoints


@dataclass(frozen=True)
class ProbedModel:
    """A model's copy with x (B, T, I), which its stack reads, embedded already, and targets; see `subject`."""

    model: Model
    x: Tensor
    y: Tensor
    task: Task
    #: True where a target counts, as a `Batch` has it; None: all count.
    mask: Tensor | None = None
    #: What the cells need beside x, (B, T) each.
    side: Side | None = None

    @property
    def stack(self) -> Stack:
        """The layers whose states are measured."""
        return self.model.probed

    def layers(self) -> list[tuple[Cell, Tensor]]:
        """Each cell that reads forwards, from the first layer on, with what it reads, (B, T, I')."""
        reads: list[Tensor] = []
        norms = self.stack.norms[:-1]  # each stands before a layer
        hooks = [norm.register_forward_hook(lambda module, args, out: reads.append(out)) for norm in norms]
        with torch.no_grad():
            self.stack(self.x, side=self.side)
        for hook in hooks:
            hook.remove()
        return list(zip(self.stack.cells[:: self.stack.directions], reads, strict=True))

    def adjoints(self, average: bool = False, inputs: bool = False, length: int | None = None) -> Iterator[Segment]:
        """Of the loss of the last step, or with ``average`` of the mean over all steps that are scored; see `adjoints`.

        Of the cells that read forwards: a state of the others has the future behind it.

        Raises:
            UserError: an average is asked for, and the task has one target a sequence.
        """
        if average and self.task.shape != "many_to_many":
            raise UserError("a loss is averaged over time where there is a target at every step; this task has one.")
        cells, length = self.stack.cells, length if self.model.streams else self.x.shape[1]
        tapped = [index % self.stack.directions == 0 for index in range(len(cells))]
        chosen = self._average_loss if average else self.last_loss
        return adjoints(self._forward, cells, self.x, chosen, None, length, tapped, inputs)

    def _forward(
        self, x: Tensor, state: State, taps: Sequence[Tensor | None] | None, begin: int
    ) -> tuple[Tensor, State]:
        """The stack over a segment of x from a time step on."""
        out: tuple[Tensor, State] = self.stack(x, state, taps, side=cut(self.side, slice(begin, begin + x.shape[1])))
        return out

    def last_loss(self, y: Tensor, begin: int) -> Tensor | None:
        """The task's loss at the last step (a decoder's: at its first), of the outputs from the time step ``begin`` on.

        (B, C, W) → (B,); None where the last step is not among them.
        """
        if begin + y.shape[1] < self.x.shape[1]:
            return None
        out = self.model.answer(y, Batch(self.x, self.y))
        return self._losses(*(_measured(values, self.task) for values in (out, self.y)))

    def _average_loss(self, y: Tensor, begin: int) -> Tensor:
        """This segment's share of the mean over all steps that are scored."""
        targets = self.y[:, begin : begin + y.shape[1]]
        every = torch.ones(self.x.shape[:2], dtype=torch.bool, device=y.device) if self.mask is None else self.mask
        mask = every[:, begin : begin + y.shape[1]]
        share = mask.sum(1).double() / every.sum(1)
        mask = mask | ~mask.any(1, keepdim=True)  # the mean of nothing is NaN, and 0 times that is too
        return share * self._losses(self.model.answer(y, Batch(self.x, targets)), targets, mask)

    def _losses(self, out: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """The training loss of every sample by itself, (B,)."""
        masks = [None] * len(y) if mask is None else mask.split(1)
        rows = zip(out.split(1), y.split(1), masks, strict=True)
        return torch.stack([loss(one, Batch(one, target, mask=scored), self.task) for one, target, scored in rows])


def _measured(values: Tensor, task: Task) -> Tensor:
    """What belongs to the one target whose loss is measured, of values with an entry a target: (B, U, …) → (B, …)."""
    if task.writes:
        return values[:, 0]
    return values[:, -1] if task.shape == "many_to_many" else values


def subject(model: Model, batch: Batch, task: Task) -> ProbedModel:
    """The copy that is measured; the model itself is left as it is, and so is the random number generator.

    Of a decoder's model the encoder is measured, by the loss of the first symbol written, attention included: that it
    reaches far back is to be seen. Where the outputs are pooled by mean or attention, the loss sees every state
    directly, and that is measured too.

    Raises:
        UserError: sequences of several lengths, as a padded state says nothing; or a last step that is not scored, as
            training does not lower its loss.
    """
    if batch.lengths is not None and bool((batch.lengths < batch.x.shape[1]).any()):
        raise UserError(f"a probe batch has sequences of one length, got {batch.lengths.tolist()}; cut them.")
    if batch.mask is not None and not bool((scored := _measured(batch.mask, task)).all()):
        raise UserError(
            f"a probe batch has sequences whose last step is scored, and of {int((~scored).sum())} of these "
            f"{len(scored)} it is not; cut them, or take others."
        )
    twin = copy.deepcopy(model).double().eval().requires_grad_(False)
    twin.probed.backend = "auto"
    # Copies: an evaluation may hand over inference tensors, of which no gradient can be taken.
    x, y = (t.to(torch.float64 if t.is_floating_point() else t.dtype, copy=True) for t in (batch.x, batch.y))
    side = twin.probed.side_inputs(batch.side, x, batch.begin)
    wide = None if side is None else {name: value.to(torch.float64, copy=True) for name, value in side.items()}
    return ProbedModel(twin, twin.input(x), y, task, batch.mask, wide)
