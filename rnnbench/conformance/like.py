"""A cell against another module that should compute the same: outputs and gradients on shared weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from rnnbench.backends.backend import MULTIPLE
from rnnbench.cells.cell import Cell
from rnnbench.config import CellConfig
from rnnbench.conformance.cell_under_test import CellUnderTest, I, results
from rnnbench.conformance.property import CheckResult
from rnnbench.conformance.sequences import near, worst
from rnnbench.errors import UserError


def like(cell: CellConfig, reference: CellConfig, device: str = "cpu", input_size: int = I) -> list[CheckResult]:
    """Run both on the reference's weights, the cell on each of its backends.

    Weights correspond by name where names and shapes agree, else in order where all shapes do; the states where they
    have as many numbers, else both begin at their initial ones and the last states are not compared.

    Returns:
        One result a backend; its figure is the largest error from the reference's float64 loop as a share of `MULTIPLE`
        times that of the reference's float32 loop.

    Raises:
        UserError: a cell that is unknown or cannot be built, or weights that do not correspond.
    """
    subject = CellUnderTest(cell, None, device, input_size)
    other = CellUnderTest(reference, ["loop"], device, input_size)
    ours, theirs = subject.cell(torch.float32), other.cell(torch.float32)
    names = _corresponding(cell, ours.state_dict(), reference, theirs.state_dict())
    stateful = math.prod(ours.state_shape) == math.prod(theirs.state_shape)
    exact, loop = (_run(other, other.cell(form), form, "loop", stateful) for form in (torch.float64, torch.float32))
    allowed = near(exact, loop, torch.float32, MULTIPLE)
    weights = theirs.state_dict()
    findings = []
    for backend in subject.backends:
        module = subject.fresh(torch.float32)
        with torch.no_grad():
            for name, value in module.state_dict().items():
                value.copy_(weights[names[name]])
        taken = _run(other, module, torch.float32, backend, stateful)
        theirs_by_ours = {f"grad {name}": f"grad {their_name}" for name, their_name in names.items()}
        renamed = {theirs_by_ours.get(key, key): value for key, value in taken.items()}
        shared = {name: value.reshape(exact[name].shape) for name, value in renamed.items() if name in exact}
        figure, where = worst(shared, {name: exact[name] for name in shared}, allowed)
        findings.append(CheckResult("like", backend, "float32", figure <= 1, figure, where))
    return findings


def _run(other: CellUnderTest, cell: Cell, dtype: torch.dtype, backend: str, stateful: bool) -> dict[str, Tensor]:
    """Outputs and gradients of either of the two, on the reference's sample."""
    sample = other.sample(dtype)
    of_y, of_state = sample.cotangents
    batch = len(sample.x)
    if stateful:
        shape = (batch, *cell.state_shape)
        return results(cell, sample.x, sample.state.reshape(shape), (of_y, of_state.reshape(shape)), backend)
    first = cell.initial_state(batch).detach()
    taken = results(cell, sample.x, first, (of_y, torch.zeros_like(first)), backend)
    return {name: value for name, value in taken.items() if name not in ("state", "grad state")}


def _corresponding(
    cell: CellConfig, ours: Mapping[str, Tensor], reference: CellConfig, theirs: Mapping[str, Tensor]
) -> dict[str, str]:
    """Their name for each of our weights and buffers."""
    if {name: value.shape for name, value in ours.items()} == {name: value.shape for name, value in theirs.items()}:
        return {name: name for name in ours}
    if [value.shape for value in ours.values()] == [value.shape for value in theirs.values()]:
        return dict(zip(ours, theirs, strict=True))
    shown = [", ".join(f"{name} {tuple(value.shape)}" for name, value in weights.items()) for weights in (ours, theirs)]
    raise UserError(
        f"the weights of {cell.label} ({shown[0]}) and of {reference.label} ({shown[1]}) do not correspond: --like "
        "wants the same names and shapes, or the same shapes in the same order."
    )
