"""What depends on what: nothing on the future or on other rows of the batch; y on everything that is declared."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rnnbench.cells.cell import Cell
from rnnbench.cells.window_cell import WindowCell
from rnnbench.conformance.cell_under_test import (
    B,
    CellUnderTest,
    differs,
    gradients,
    largest,
    results,
    run,
    trainable,
)
from rnnbench.conformance.property import Broken


def causality(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """y_t depends on no later x: the gradient is zero, and other inputs later change no value before.

    Zero to 1e-12 of the largest: a Fourier transform rounds.
    """
    cell, sample = subject.cell(dtype), subject.sample(dtype)
    x = sample.x.clone().requires_grad_()
    y, _ = run(cell, x, sample.state, "loop")
    for t in range(subject.seq_len - 1):
        (slope,) = torch.autograd.grad((y[:, t] * sample.cotangents[0][:, t]).sum(), x, retain_graph=True)
        leaks = (~(slope[:, t + 1 :].abs() <= 1e-12 * largest(slope))).nonzero()
        if len(leaks):
            raise Broken(f"y at t = {t} depends on x at t = {t + 1 + int(leaks[:, 1].min())}")
    with torch.no_grad():
        for t in (1, subject.seq_len // 2, subject.seq_len - 1):
            changed = torch.cat((x[:, :t], x[:, t:].flip(0) + 1), dim=1)
            if differs(run(cell, changed, sample.state, "loop")[0][:, :t], y[:, :t]):
                raise Broken(f"y before t = {t} changes when x from t = {t} on does")
    return None, ""


def batch(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """A row depends on no other, nor on how many there are: whatever the other rows, its values and gradients are same.

    The gradients by other rows are exactly zero; a row alone, a few and a larger batch in another order give the same.
    """
    cell, sample = subject.cell(dtype), subject.sample(dtype)
    x, state = sample.x.clone().requires_grad_(), sample.state.clone().requires_grad_()
    outputs = dict(zip(("y", "state"), run(cell, x, state, "loop"), strict=True))
    for row in range(B):
        for (what, out), cotangent in zip(outputs.items(), sample.cotangents, strict=True):
            if not out.requires_grad:
                continue
            slopes = torch.autograd.grad(
                (out[row] * cotangent[row]).sum(), (x, state), retain_graph=True, allow_unused=True
            )
            for name, slope in zip(("x", "state"), slopes, strict=True):
                rows = [] if slope is None else slope.flatten(1).ne(0).any(1).nonzero()[:, 0].tolist()
                if others := [other for other in rows if other != row]:
                    raise Broken(f"{what} in row {row} of the batch depends on {name} in row {others[0]}")
    with torch.no_grad():
        for row in range(B):
            mixed_x, mixed_state = x.roll(1, 1) + 1, state.roll(1, 0)
            mixed_x[row], mixed_state[row] = x[row], state[row]
            for what, out in zip(outputs, run(cell, mixed_x, mixed_state, "loop"), strict=True):
                if differs(out[row], outputs[what][row]):
                    rest = " and ".join(str(other) for other in range(B) if other != row)
                    raise Broken(f"{what} in row {row} of the batch changes when rows {rest} do")
    _rows_of(subject, dtype)
    return None, ""


def _rows_of(subject: CellUnderTest, dtype: torch.dtype, count: int = 33) -> None:
    """A few time steps of many rows, against some of these rows by themselves."""
    cell, sample = subject.cell(dtype), subject.sample(dtype)
    generator = torch.Generator().manual_seed(1)
    x = subject.inputs(count, 3, generator).to(dtype)
    states = (sample.state[:1] + sample.spread).flatten(0, 1)
    state = states[torch.arange(count, device=x.device) % len(states)]
    cotangents = [c[torch.arange(count, device=x.device) % B] for c in sample.cotangents]
    cotangents[0] = cotangents[0][:, :3]
    whole = results(cell, x, state, tuple(cotangents), "loop")
    for rows in ([0], [4, 2], [count - 1, 0, 7, 7, 1]):
        part = results(cell, x[rows], state[rows], tuple(c[rows] for c in cotangents), "loop")
        for name in ("y", "state", "grad x", "grad state"):
            if differs(part[name], whole[name][rows]):
                how = "alone" if len(rows) == 1 else f"in a batch of {len(rows)}"
                raise Broken(f"{name} of a row is something else {how} than in a batch of {count}")


def use(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """Every column of x, every number of the state and every slice of a parameter has some effect on y.

    What has a gradient of exactly zero is moved, near and far, and has none where that changes nothing.
    """
    cell, x, tap, state = _reached(subject, dtype)
    leaves = {"x": x.requires_grad_(), "tap": tap.requires_grad_(), "state": state.requires_grad_(), **trainable(cell)}
    starts = [state, *([cell.initial_state(len(x))] if cell.initial_state(1).requires_grad else [])]
    outputs = [run(cell, x, start, "loop", tap)[0] for start in starts]
    cotangents = [torch.randn(y.shape, dtype=dtype, generator=torch.Generator().manual_seed(2)).to(y) for y in outputs]
    slopes = {name.removeprefix("grad "): value for name, value in gradients(outputs, cotangents, leaves).items()}
    if not slopes["state"].any() and not _moves_rows(cell, x, tap, state, [((...,), "state")]):
        raise Broken("no y depends on the state before the first step: the cell has no memory")
    for name, words in (("x", "column {} of x"), ("tap", "number {} of the state")):
        places = (~slopes[name].flatten(0, 1).ne(0).any(0)).nonzero().tolist()
        if places:
            # Such as a mark in each entry of a window: where many have no gradient, some are looked at.
            places = places[:: max(1, len(places) // 8)]
            moved = _moves_rows(cell, x, tap, state, [((..., *place), name) for place in places])
            still = [place for index, place in enumerate(places) if index not in moved]
            if still:
                _idle(words.format(", ".join(map(str, still[0]))))
    for name, weight in trainable(cell).items():
        if not slopes[name].any() and not _moves_weight(cell, weight, x, starts, outputs):
            _idle(f"the parameter {name}")
        for axis in (axis for axis, size in enumerate(weight.shape) if size > 1):
            idle = (~slopes[name].movedim(axis, 0).reshape(weight.shape[axis], -1).ne(0).any(1)).nonzero()[:, 0]
            # Units of a relu may be dead; where many have no gradient, the first and the last are looked at.
            for index in idle[[0, -1]].tolist() if len(idle) else ():
                if not _moves_weight(cell, weight.select(axis, index), x, starts, outputs):
                    _idle(f"the parameter {name} at {index} of its axis {axis}")
    return None, ""


def _idle(what: str) -> None:
    raise Broken(f"{what} has no effect on y: remove what is not used")


#: How far to move what has no gradient.
_MOVES = (100.0, -100.0, 1.0, -1.0)


def _reached(subject: CellUnderTest, dtype: torch.dtype) -> tuple[Cell, Tensor, Tensor, Tensor]:
    """A cell with its weights moved a little from where they start, x, a tap of zeros and a state that it reaches."""
    cell, sample = subject.fresh(dtype), subject.sample(dtype)
    generator = torch.Generator().manual_seed(0)
    rows = torch.arange(16, device=subject.device) % B
    with torch.no_grad():
        for weight in trainable(cell).values():
            weight += 0.1 * torch.randn(weight.shape, generator=generator).to(weight)
        state = sample.state[rows]
        if isinstance(cell, WindowCell):  # so that no entry is from before the beginning
            state = run(cell, subject.inputs(len(rows), cell.window, generator).to(dtype), state, "loop")[1]
    x = subject.inputs(len(rows), subject.seq_len, generator, 2.0).to(dtype)
    return cell, x, torch.zeros_like(sample.spread)[rows], state.clone()


@torch.no_grad()
def _moves_rows(
    cell: Cell, x: Tensor, tap: Tensor, state: Tensor, places: list[tuple[tuple[Any, ...], str]]
) -> set[int]:
    """Which of these changes, (where in a row, of which of the three), change y: each made in a row of its own."""
    rows = 1 + len(places) * len(_MOVES)
    inputs = {
        name: value[:1].repeat(rows, *(1 for _ in value.shape[1:]))
        for name, value in (("x", x), ("tap", tap), ("state", state))
    }
    for index, (where, name) in enumerate(places):
        for kind, by in enumerate(_MOVES):
            inputs[name][1 + index * len(_MOVES) + kind][where] += by
    y, _ = run(cell, inputs["x"], inputs["state"], "loop", inputs["tap"])
    changed = (~((y[1:] - y[:1]).abs().flatten(1).amax(1) <= 1e-12 * max(1.0, largest(y[:1])))).tolist()
    return {row // len(_MOVES) for row, is_changed in enumerate(changed) if is_changed}


@torch.no_grad()
def _moves_weight(
    cell: Cell, part: Tensor, x: Tensor, starts: list[Tensor], before: list[Tensor], rows: int = 4
) -> bool:
    kept = part.clone()
    for by in _MOVES:
        part.copy_(kept + by)
        # A learned start is made from the weights as they are now.
        states = [starts[0][:rows], *(cell.initial_state(rows) for _ in starts[1:])]
        after = [run(cell, x[:rows], state, "loop")[0] for state in states]
        part.copy_(kept)
        if any(differs(value, truth[:rows]) for value, truth in zip(after, before, strict=True)):
            return True
    return False
