"""What the named initialisations act on and the gate probe shows: gates open as they are named, views are views."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rnnbench.cells.affine_cell import AffineCell
from rnnbench.cells.cell import Cell
from rnnbench.conformance.cell_under_test import B, CellUnderTest, driven, largest
from rnnbench.conformance.property import Broken

#: The least by which an opened ``keep`` raises the mean ∂s'/∂s: little, where another gate lets few numbers change.
_LEAST = 1e-3


def gates(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """`gate_values` gives numbers in 0 … 1, row by row as `step` does; a cell without gates gives none.

    The decay of an affine cell may be above 1: such a state grows.
    """
    cell, sample = subject.cell(dtype), subject.sample(dtype)
    with torch.no_grad():
        u, s = driven(cell, sample.x)[:, 0], sample.state
        values, turned = cell.gate_values(u, s), cell.gate_values(u.roll(1, 0), s.roll(1, 0))
    for name, value in values.items():
        if value.shape[:1] != (B,):
            raise Broken(f"gate_values gives for {name} {tuple(value.shape)}, expected (B, …) = ({B}, …)")
        highest = float("inf") if name == "decay" and isinstance(cell, AffineCell) else 1 + 1e-6
        low, high = float(value.min()), float(value.max())
        if not (low >= -1e-6 and high <= highest):
            raise Broken(f"gate_values gives for {name} from {low:.3g} to {high:.3g}, expected 0 … 1")
        if largest(turned[name] - value.roll(1, 0)) > 1e-6:
            raise Broken(f"gate_values gives for {name} what changes with the rows beside it")
    return None, ""


def views(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """`gates` and `recurrent_matrices` give views of parameters, and these do what they are said to.

    To open ``keep`` raises ∂s'/∂s, to open ``write`` raises ∂s'/∂u, or lowers ∂s'/∂s where it is 1 − keep. A recurrent
    matrix is (H, H) and multiplies the state: at a state of zeros it does nothing.
    """
    cell = subject.fresh(dtype)
    gates, matrices = cell.gates(), cell.recurrent_matrices()
    memory = {parameter.untyped_storage().data_ptr() for parameter in cell.parameters()}
    for what, views in [
        *((f"gates()['{name}']", items) for name, items in gates.items()),
        ("recurrent_matrices()", matrices),
    ]:
        for index, view in enumerate(views):
            if view.untyped_storage().data_ptr() not in memory:
                raise Broken(f"{what}[{index}] is a copy, not a view of a parameter: an initialisation has no effect")
    for matrix in matrices:
        _multiplies_the_state(subject, cell, matrix)
    for name in (name for name in ("keep", "write") if name in gates):
        _opens(subject, cell, name, gates[name], alone="keep" not in gates)
    return None, ""


@torch.no_grad()
def _multiplies_the_state(subject: CellUnderTest, cell: Cell, matrix: Tensor) -> None:
    if matrix.shape != (cell.hidden_size, cell.hidden_size):
        raise Broken(f"recurrent_matrices() gives one of {tuple(matrix.shape)}, expected (H, H)")
    sample = subject.sample(matrix.dtype)
    u, kept = driven(cell, sample.x)[:, 0], matrix.clone()
    before = cell.step(u, sample.state)
    matrix.mul_(-2)
    after = cell.step(u, sample.state)
    matrix.copy_(kept)
    if torch.equal(before, after):
        raise Broken("recurrent_matrices() gives a matrix that step does not use: does it multiply x, not the state?")


def _opens(subject: CellUnderTest, cell: Cell, name: str, biases: Sequence[Tensor], alone: bool) -> None:
    sample = subject.sample(biases[0].dtype)
    traces, sizes = [], []
    for by in (-4.0, 4.0):
        kept = biases[0].detach().clone()
        with torch.no_grad():
            biases[0].add_(by)
        u, s = driven(cell, sample.x)[:, 0].detach().requires_grad_(), sample.state.clone().requires_grad_()
        slopes = [
            torch.autograd.grad(new.sum(), (u, s), retain_graph=True) for new in cell.step(u, s).flatten(1).unbind(1)
        ]
        traces.append(
            sum(float(of_s.flatten(1)[:, i].sum()) for i, (_, of_s) in enumerate(slopes)) / sample.state.numel()
        )
        sizes.append(sum(float(of_u.abs().sum()) for of_u, _ in slopes))
        with torch.no_grad():
            biases[0].copy_(kept)
    if name == "keep" and traces[1] - traces[0] < _LEAST:
        raise Broken("gates()['keep'] opened does not raise ∂s'/∂s: is it another gate?")
    if name == "write" and traces[1] >= traces[0] and (alone or sizes[1] <= sizes[0]):
        raise Broken("gates()['write'] opened neither lowers ∂s'/∂s nor raises ∂s'/∂u: is it another gate?")
