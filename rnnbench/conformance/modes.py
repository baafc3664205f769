"""Ways to call a cell that must give the same: evaluation, without gradients, outside of a run, strided inputs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rnnbench.cells.cell import Cell
from rnnbench.conformance.cell_under_test import CellUnderTest, differs, driven, results, run
from rnnbench.conformance.property import Broken


def modes(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """The same values and gradients in evaluation mode, without gradients, step by step, and for strided inputs.

    Also after the weights have changed: what is kept of them must not outlive them.
    """
    cell = subject.fresh(dtype)
    for when in ("", " after the weights have changed"):
        truth = _run(subject, cell.train(), dtype)
        _same(_run(subject, cell.eval(), dtype), truth, f"in evaluation mode{when}")
        with torch.no_grad():
            for weight in cell.parameters():
                if weight.is_floating_point():
                    weight.add_(0.01 * weight.flip(-1))
    cell = subject.fresh(dtype)
    truth, sample = _run(subject, cell, dtype), subject.sample(dtype)
    with torch.no_grad():
        y, state = run(cell, sample.x, sample.state, "loop")
        _same({"y": y, "state": state}, truth, "without gradients")
        u = driven(cell, sample.x)
        state = sample.state
        for t in range(u.shape[1]):
            state = cell.step(u[:, t], state)
        _same({"state": state}, truth, "when step is called by itself, outside of unrolled()")
        y, state = run(cell, _strided(sample.x), _strided(sample.state), "loop")
        _same({"y": y, "state": state}, truth, "when x and the state are not contiguous in memory")
    return None, ""


def _run(subject: CellUnderTest, cell: Cell, dtype: torch.dtype) -> dict[str, Tensor]:
    sample = subject.sample(dtype)
    return results(cell, sample.x, sample.state, sample.cotangents, "loop")


def _same(tested: Mapping[str, Tensor], truth: Mapping[str, Tensor], when: str) -> None:
    for name, value in tested.items():
        if differs(value, truth[name]):
            raise Broken(f"{name} is another one {when}")


def _strided(value: Tensor) -> Tensor:
    """The same numbers with the first two axes the other way round in memory."""
    return value.transpose(0, 1).contiguous().transpose(0, 1)
