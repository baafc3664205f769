"""Backpropagation through time, written out: ∂ℓ/∂s_t at every time step, segment by segment from the last to the first.

The total derivative is the gradient with respect to a state perturbation, s_t = step(u_t, s_{t−1}) + tap_t at tap = 0,
so nothing is approximated and no hook is involved. Two things keep it right and small at any length:

* Of a long sequence only one segment has its graph in memory. A first pass without gradients keeps the state before
  each segment, from which it is run again: T = 10 000 needs the memory of one segment and T numbers.
* At each border the adjoint is divided by its norm, sample by sample, and the logarithm of that norm is kept apart.
  A default RNN's gradient is 1e−3000 of what it was after 10 000 steps: out of the range of float64 too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.cells.cell import Cell
from rnnbench.models.stack import State

#: Up to so many time steps all graphs are kept, as a training step keeps them; beyond, each is built when needed.
KEPT = 512

#: Runs the cells over a segment: x (B, C, I), their states before it, a tap (B, C, *S) or None a cell, the time step at
#: which it begins → y (B, C, H) and the states after it.
Forward = Callable[[Tensor, State, Sequence[Tensor | None] | None, int], tuple[Tensor, State]]

#: y (B, C, H) of a segment and the time step at which it begins → what it adds to each sample's loss, (B,); or None.
Loss = Callable[[Tensor, int], Tensor | None]


@dataclass(frozen=True)
class Segment:
    """The adjoints of the time steps begin … begin + C − 1, to be multiplied by exp(log_scale).

    Args:
        begin: The first time step.
        cells: Those that are perturbed.
        states: (B, C, *S) each: ∂ℓ/∂s_t.
        inputs: (B, C, I): ∂ℓ/∂x_t, None unless asked for.
        log_scale: (B,) float64, natural logarithm.
        before: (B, *S) a cell: the states that the segment starts from.
        carried: (B, *S) a cell: ∂ℓ/∂(states after the segment) as far as it comes from later segments; None of the
            last one.
    """

    begin: int
    cells: Sequence[Cell]
    states: tuple[Tensor, ...]
    inputs: Tensor | None
    log_scale: Tensor
    before: tuple[Tensor, ...]
    carried: tuple[Tensor, ...] | None

    def log_norms(self, part: int | None = None) -> Tensor:
        """log ‖∂ℓ/∂s_t‖₂ over the memory of all cells together, (B, C) float64; −∞ where there is no gradient at all.

        part: Of this part of each state alone, by its index along a state's first axis.
        """
        if part is None:
            states = [cell.memory(state) for cell, state in zip(self.cells, self.states, strict=True)]
        else:
            states = [state[:, :, part] for state in self.states]
        return _log_norms(states, self.log_scale)

    def log_input_norms(self) -> Tensor:
        """log ‖∂ℓ/∂x_t‖₂, (B, C) float64."""
        assert self.inputs is not None
        return _log_norms((self.inputs,), self.log_scale)


def adjoints(
    forward: Forward,
    cells: Sequence[Cell],
    x: Tensor,
    loss: Loss,
    state: State | None = None,
    length: int | None = None,
    tapped: Sequence[bool] | None = None,
    inputs: bool = False,
) -> Iterator[Segment]:
    """The adjoints, from the last segment to the first.

    Args:
        forward: Runs all cells over a segment; it must have the chunk property if the sequence is to be cut.
        cells: Whose states they are, in the order of the states.
        x: (B, T, I); everything runs in its dtype and on its device.
        loss: The loss as a sum over segments; samples must not depend on each other.
        state: (B, *S) a cell to start from; the initial ones where not given.
        length: Time steps a segment, whose graph is in memory at once; a forward that cannot be cut needs all T.
        tapped: Which cells are measured; all where not given.
        inputs: Whether ∂ℓ/∂x is wanted as well.
    """
    batch, time = x.shape[:2]
    wanted = list(tapped or [True] * len(cells))
    perturbed = [cell for cell, chosen in zip(cells, wanted, strict=True) if chosen]
    # Within a segment of 32 steps float32 holds a gradient that falls or grows by a factor of up to 15 a step.
    length = length or (64 if x.dtype == torch.float64 else 32)

    def record(begin: int, start: State) -> _Record:
        with torch.enable_grad():
            before = [s.detach().requires_grad_() for s in start]
            piece = x[:, begin : begin + length].detach().requires_grad_(inputs)
            taps = [
                piece.new_zeros(batch, piece.shape[1], *cell.state_shape).requires_grad_() if chosen else None
                for cell, chosen in zip(cells, wanted, strict=True)
            ]
            return _Record(begin, before, piece, taps, *forward(piece, before, taps, begin))

    state = state or [cell.initial_state(batch).to(x.dtype) for cell in cells]
    records: list[_Record | tuple[int, State]] = []
    for begin in range(0, time, length):
        if time <= KEPT:
            records.append(kept := record(begin, state))
            state = kept.after
        else:
            records.append((begin, state))
            if begin + length < time:
                with torch.no_grad():
                    state = forward(x[:, begin : begin + length], state, None, begin)[1]
    log_scale = torch.zeros(batch, dtype=torch.float64, device=x.device)
    carried: tuple[Tensor, ...] | None = None
    while records:
        last = records.pop()
        last = last if isinstance(last, _Record) else record(*last)
        with torch.enable_grad():
            losses = loss(last.y, last.begin)
            outputs, seeds = ([], []) if carried is None else (list(last.after), list(carried))
            if losses is not None:
                outputs, seeds = [*outputs, losses], [*seeds, (-log_scale).exp().to(losses.dtype)]
            gradients = torch.autograd.grad(outputs, last.leaves, seeds, allow_unused=True, materialize_grads=True)
        count = len(last.before)
        states, border = gradients[count : len(gradients) - inputs], gradients[:count]
        of_inputs = gradients[-1] if inputs else None
        yield Segment(last.begin, perturbed, states, of_inputs, log_scale, tuple(last.before), carried)
        norm = _norm([g.flatten(1) for g in border])
        norm = torch.where(norm > 0, norm, 1.0)  # a sample without a gradient has none before either
        carried = tuple(g / norm.to(g.dtype).view(-1, *[1] * (g.dim() - 1)) for g in border)
        log_scale = log_scale + norm.log()


@dataclass(frozen=True)
class _Record:
    """A segment that has been run, with its graph."""

    begin: int
    before: State
    x: Tensor
    taps: list[Tensor | None]
    y: Tensor
    after: State

    @property
    def leaves(self) -> list[Tensor]:
        """What the loss is differentiated by: the states before, the taps, and the input if it needs a gradient."""
        taps = [tap for tap in self.taps if tap is not None]
        return [*self.before, *taps, *([self.x] if self.x.requires_grad else [])]


def _norm(parts: Sequence[Tensor]) -> Tensor:
    """The norm over the last axis of some tensors side by side, in float64: float32 squares underflow at 1e−23."""
    return torch.stack([torch.linalg.vector_norm(part, dim=-1, dtype=torch.float64) for part in parts]).norm(dim=0)


def _log_norms(parts: Sequence[Tensor], log_scale: Tensor) -> Tensor:
    # Of an exact zero (relu units all off) it is −∞: such a sample is counted, and enters no mean.
    return _norm([part.flatten(2) for part in parts]).log() + log_scale[:, None]
