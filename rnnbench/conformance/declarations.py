"""Properties of what a cell may declare beside its recurrence: its random numbers, and what of its state is memory."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rnnbench.conformance.cell_under_test import B, CellUnderTest, T, largest
from rnnbench.conformance.property import Broken
from rnnbench.errors import told

#: Rows that are drawn to compare their mean, and standard errors that it may be away.
ROWS, ERRORS = 1000, 7


def draws(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """`draw` gives (B, T, N), other numbers at each call in training, and in evaluation their mean."""
    cell = subject.fresh(dtype)
    if not cell.stochastic:
        return None, ""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        first, second = (_draw(cell.draw(B, T), B) for _ in range(2))
        if torch.equal(first, second):
            raise Broken("draw, called twice in training, gives the same numbers; leave it out, or draw in it")
        many = _draw(cell.draw(ROWS, T), ROWS).double()
        cell.eval()
        mean, again = (_draw(cell.draw(B, T), B).double() for _ in range(2))
    if not torch.equal(mean, again):
        raise Broken("draw, called twice in evaluation mode, gives two results; return the mean of what training draws")
    error, spread = (many.mean(0) - mean[0]).abs(), many.std(0) / math.sqrt(ROWS)
    if bool((error > ERRORS * spread + 1e-6).any()) or largest(mean - mean[:1]) > 1e-6:
        raise Broken(
            f"draw in evaluation mode gives {float(mean.mean()):.3g} on average where training draws "
            f"{float(many.mean()):.3g}; return the mean of what training draws"
        )
    return None, ""


def _draw(drawn: Tensor | None, batch: int) -> Tensor:
    if not isinstance(drawn, Tensor) or drawn.dim() != 3 or drawn.shape[:2] != (batch, T):
        got = tuple(drawn.shape) if isinstance(drawn, Tensor) else drawn
        raise Broken(f"draw({batch}, {T}) gives {got}, expected (B, T, N) = ({batch}, {T}, N)")
    return drawn


def selection(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """`memory` picks some numbers of the state, at least one, each once, whatever the axes before them are."""
    cell = subject.cell(dtype)
    shape, size = cell.state_shape, math.prod(cell.state_shape)
    chosen = None
    for before in ((1,), (2,), (2, 3)):
        count = math.prod(before)
        numbers = torch.arange(count * size, dtype=torch.float64).view(*before, *shape)
        try:
            picked = cell.memory(numbers)
        except Exception as error:
            raise Broken(f"memory of {tuple(numbers.shape)} raised {told(error)}; index from the last axis") from error
        if picked.dim() != len(before) + 1 or picked.shape[:-1] != before or not picked.shape[-1]:
            raise Broken(f"memory of {tuple(numbers.shape)} gives {tuple(picked.shape)}, expected {(*before, 'M ≥ 1')}")
        rows = picked.reshape(count, -1).double() - size * torch.arange(count, dtype=torch.float64)[:, None]
        chosen = rows[:1] if chosen is None else chosen
        inside = chosen[0].tolist()
        if not torch.equal(rows, chosen.expand_as(rows)) or not set(inside) <= set(range(size)):
            raise Broken("memory computes something of the state's numbers; it may only select some of them")
        if len(set(inside)) < len(inside):
            raise Broken("memory gives a number of the state twice; select each once")
    return None, ""
