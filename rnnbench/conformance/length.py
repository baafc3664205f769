"""Properties over hundreds of time steps, with few of them differentiated."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from rnnbench.cells.cell import Cell
from rnnbench.conformance.cell_under_test import CellUnderTest, called, driven, largest, run
from rnnbench.conformance.derivatives import RETRIES, STEP
from rnnbench.conformance.property import Broken

#: Steps of the long run, and of the sequence whose time steps are looked at one by one.
LONG, FAR = 520, 2100


def length(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """Over hundreds of steps: each is treated by itself, its gradients are derivatives, backends do as the loop does.

    So a look ahead is found however far, a gradient that is cut every so many steps, a table of positions that ends.
    The run is not differentiated, which takes long, and in a chaotic cell cannot be checked; its steps are, as rows.
    """
    cell, sample = subject.cell(dtype), subject.sample(dtype)
    generator = torch.Generator().manual_seed(0)
    x = subject.inputs(2, LONG, generator).to(dtype)
    with torch.no_grad():
        _by_itself("drive", partial(driven, cell), subject.inputs(1, FAR, generator).to(dtype))
        states = called(f"a run over {LONG} steps", lambda x: run(cell, x, sample.state[:2], "loop", None, True)[1], x)
        u = driven(cell, x)
        _by_itself("read", cell.read, states[:1], u[:1])
        for name in subject.backends:
            if name != "loop":
                y, truth = run(cell, x, sample.state[:2], name)[0], cell.read(states, u)
                if largest(y - truth) > 1e-9 * max(1.0, largest(truth)):
                    raise Broken(f"over {LONG} steps the backend {name} gives something else than the loop")
    if "gradient" not in subject.exempt:
        before = torch.cat((sample.state[:1], states[0, :-1]))
        _step_gradients(cell, u[0], before, torch.cat((sample.state[1:2], states[1, :-1])) - before)
    return None, ""


def _by_itself(what: str, function: Callable[..., Tensor], *inputs: Tensor) -> None:
    """Of one sequence, (1, T, …) each: a function of all time steps against that of each, as a row of its own."""
    whole = called(what, function, *inputs)
    single = called(what, function, *(value.transpose(0, 1) for value in inputs)).transpose(0, 1)
    errors = (whole - single).abs().flatten(2).amax((0, 2))
    wrong = (~(errors <= 1e-12 * max(1.0, largest(whole)))).nonzero()
    if len(wrong):
        raise Broken(
            f"{what} of {len(errors)} steps gives for t = {int(wrong[0])} something else than of that step alone: it "
            "depends on other steps, or on t"
        )


def _step_gradients(cell: Cell, u: Tensor, s: Tensor, spread: Tensor) -> None:
    """The gradient of each step of a long run, (T, G) and (T, *S), against a central difference; kinks as ever."""
    wrong = torch.ones(len(u), dtype=torch.bool, device=u.device)
    for seed in range(RETRIES):
        generator = torch.Generator().manual_seed(seed)
        of_u, of_s, of_y = (
            torch.randn(shape, dtype=u.dtype, generator=generator).to(u.device)
            for shape in (u.shape, s.shape, (len(u), cell.hidden_size))
        )
        by_s = spread * (1 + 0.1 * seed)

        def terms(u: Tensor, s: Tensor, of_s: Tensor = of_s, of_y: Tensor = of_y) -> Tensor:
            new = cell.step(u, s)
            y = cell.read(new.unsqueeze(1), u.unsqueeze(1)).squeeze(1)
            return torch.cat(((new * of_s).flatten(1), y * of_y), dim=1)

        leaves = u.detach().requires_grad_(), s.detach().requires_grad_()
        value = terms(*leaves)
        slopes = torch.autograd.grad(value.sum(), leaves, allow_unused=True)
        slope = sum((g * by).flatten(1).sum(1) for g, by in zip(slopes, (of_u, by_s), strict=True) if g is not None)
        with torch.no_grad():
            above, below = (terms(u + by * of_u, s + by * by_s) for by in (STEP, -STEP))
        difference = ((above - below) / (2 * STEP)).sum(1)
        size = value.abs().sum(1).detach()
        allowed = 1e-5 * torch.maximum(difference.abs(), torch.as_tensor(slope).abs()) + 1e-7 * size + 1e-12
        wrong &= ~((slope - difference).abs() <= allowed)
        if not wrong.any():
            return
    raise Broken(f"the gradient of step and read is no derivative at t = {int(wrong.nonzero()[0])} of {len(u)} steps")
