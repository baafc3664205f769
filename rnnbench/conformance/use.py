"""Every input, every number of the state and every weight has a use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rnnbench.cells.cell import Cell
from rnnbench.cells.window_cell import WindowCell
from rnnbench.conformance.cell_under_test import B, CellUnderTest, differs, driven, gradients, largest, run, trainable
from rnnbench.conformance.property import Broken

#: How far the weights are moved from where they start, at each draw.
_SHAKES = (0.1, 0.4, 0.4)

#: How far to move what has no gradient.
_MOVES = (100.0, -100.0, 1.0, -1.0, 0.01)


@dataclass
class _Draw:
    """A cell with its weights moved, what it is run on, its outputs, and what has a gradient other than zero."""

    cell: Cell
    x: Tensor
    tap: Tensor
    starts: list[Tensor]
    outputs: list[Tensor]
    used: dict[str, Tensor]


def use(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """Every column of x, every number of the state and every slice of a parameter has some effect on y.

    What has a gradient of exactly zero at three draws of the weights is moved, near and far, and has no use where that
    changes nothing.
    """
    draw = _draw(subject, dtype, 0)
    for seed in range(1, len(_SHAKES)):
        if all(_reduced(name, mask).all() for name, mask in draw.used.items()):
            return None, ""
        before, draw = draw.used, _draw(subject, dtype, seed)
        draw.used = {name: mask | before[name] for name, mask in draw.used.items()}
    if not draw.used["state"].any() and not _moves_rows(draw, [((...,), "state")]):
        raise Broken("no y depends on the state before the first step: the cell has no memory")
    for name, words in (("x", "column {} of x"), ("tap", "number {} of the state")):
        if places := (~_reduced(name, draw.used[name])).nonzero().tolist():
            # Such as a mark in each entry of a window: where many have no gradient, some are looked at.
            places = places[:: max(1, len(places) // 8)]
            moved = _moves_rows(draw, [((..., *place), name) for place in places])
            if idle := [place for index, place in enumerate(places) if index not in moved]:
                _idle(words.format(", ".join(map(str, idle[0]))))
    for name, weight in trainable(draw.cell).items():
        if not draw.used[name].any() and not _moves_weight(draw, weight):
            _idle(f"the parameter {name}")
        for axis in (axis for axis, size in enumerate(weight.shape) if size > 1):
            without = (~draw.used[name].movedim(axis, 0).reshape(weight.shape[axis], -1).any(1)).nonzero()[:, 0]
            # Units of a relu may be dead; where many have no gradient, the first and the last are looked at.
            for index in without[[0, -1]].tolist() if len(without) else ():
                if not _moves_weight(draw, weight.select(axis, index)):
                    _idle(f"the parameter {name} at {index} of its axis {axis}")
    return None, ""


def _idle(what: str) -> None:
    raise Broken(f"{what} has no effect on y: remove what is not used")


def _reduced(name: str, mask: Tensor) -> Tensor:
    """Of x and the tap, (B, T, …): whether it is used in any row at any time."""
    return mask.flatten(0, 1).any(0) if name in ("x", "tap") else mask


def _draw(subject: CellUnderTest, dtype: torch.dtype, seed: int) -> _Draw:
    cell, sample = subject.fresh(dtype), subject.sample(dtype)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.arange(16, device=subject.device) % B
    with torch.no_grad():
        for weight in trainable(cell).values():
            shake = _SHAKES[seed] / math.sqrt(max(1.0, subject.hidden_size / 8))
            weight.add_(shake * torch.randn(weight.shape, generator=generator).to(weight))
        state = sample.state[rows]
        if isinstance(cell, WindowCell):  # so that no entry is from before the beginning
            for u in driven(cell, subject.inputs(len(rows), cell.window, generator).to(dtype)).unbind(1):
                state = cell.step(u, state)
    x = subject.inputs(len(rows), subject.seq_len, generator, 2.0).to(dtype).requires_grad_()
    state, tap = state.clone().requires_grad_(), torch.zeros_like(sample.spread)[rows].requires_grad_()
    starts = [state, *([cell.initial_state(len(x))] if cell.initial_state(1).requires_grad else [])]
    outputs = [run(cell, x, start, "loop", tap)[0] for start in starts]
    cotangents = [torch.randn(y.shape, dtype=dtype, generator=generator).to(y.device) for y in outputs]
    slopes = gradients(outputs, cotangents, {"x": x, "tap": tap, "state": state, **trainable(cell)})
    used = {name.removeprefix("grad "): slope.ne(0) for name, slope in slopes.items()}
    return _Draw(cell, x, tap, starts, outputs, used)


@torch.no_grad()
def _moves_rows(draw: _Draw, places: list[tuple[tuple[Any, ...], str]]) -> set[int]:
    """Which of these changes, (where in a row, of which of the three), change y: each made in a row of its own."""
    rows = 1 + len(places) * len(_MOVES)
    inputs = {
        name: value[:1].repeat(rows, *(1 for _ in value.shape[1:]))
        for name, value in (("x", draw.x), ("tap", draw.tap), ("state", draw.starts[0]))
    }
    for index, (where, name) in enumerate(places):
        for kind, by in enumerate(_MOVES):
            inputs[name][1 + index * len(_MOVES) + kind][where] += by
    y, _ = run(draw.cell, inputs["x"], inputs["state"], "loop", inputs["tap"])
    changed = (~((y[1:] - y[:1]).abs().flatten(1).amax(1) <= 1e-12 * max(1.0, largest(y[:1])))).tolist()
    return {row // len(_MOVES) for row, is_changed in enumerate(changed) if is_changed}


@torch.no_grad()
def _moves_weight(draw: _Draw, part: Tensor) -> bool:
    """Whether another value of a weight, or of a part of it, changes y in the first rows."""
    kept, rows = part.clone(), 4
    for by in _MOVES:
        part.copy_(kept + by)
        # A learned start is made from the weights as they are now.
        states = [draw.starts[0][:rows], *(draw.cell.initial_state(rows) for _ in draw.starts[1:])]
        after = [run(draw.cell, draw.x[:rows], state, "loop")[0] for state in states]
        part.copy_(kept)
        if any(differs(value, truth[:rows]) for value, truth in zip(after, draw.outputs, strict=True)):
            return True
    return False
