"""The properties of a run over time: it repeats, it may be cut anywhere, and every backend does what the loop does."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rnnbench.backends.backend import Request
from rnnbench.backends.dispatch import BACKENDS
from rnnbench.conformance.cell_under_test import CellUnderTest, largest, results, run
from rnnbench.conformance.property import Broken

#: Tensors with an axis of time: the result says at which time step they go wrong.
_TIMED = ("y", "grad x", "grad tap", "states")


def determinism(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[float | None, str]:
    """The same input gives the same values and gradients, to the bit on a CPU, also after another run in between."""
    cell, sample = subject.cell(dtype), subject.sample(dtype)
    first = results(cell, sample.x, sample.state, sample.cotangents, backend)
    results(cell, sample.x.flip(1) + 1, sample.state, sample.cotangents, backend)
    second = results(cell, sample.x, sample.state, sample.cotangents, backend)
    if subject.device.type != "cpu":  # a GPU's kernels may sum in any order
        return worst(second, first, _allowed(subject, backend, dtype))
    for name, value in first.items():
        if not torch.equal(value, second[name]):
            raise Broken(f"{_place(name, second[name] != value)} is another one when the same is run again")
    return None, ""


def chunk(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[float | None, str]:
    """run(x) equals run(x[:, :k]) continued by run(x[:, k:], state), in values and in gradients."""
    uncut = subject.results(dtype, backend)
    allowed = _allowed(subject, backend, dtype)
    figures = []
    end = subject.seq_len
    # After the first step, before the last, in several places of which two are neighbours.
    for cuts in ((1,), (end - 1,), tuple(sorted({end // 3 + 1, end // 3 + 2, end - 2}))):
        figure, where = worst(subject.results(dtype, backend, cuts), uncut, allowed)
        figures.append((figure, f"{where}, cut at {', '.join(map(str, cuts))}"))
    return max(figures)


def reference(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[float | None, str]:
    """Every backend is as near to the float64 loop as the loop in the same number format is, within its `multiple`.

    With a tap and with every state likewise, where the backend has them.
    """
    if backend == "loop":
        return None, ""
    figures = []
    for tapped in (False, True):
        if tapped and subject.refusal(backend, dtype, tap=True):
            continue
        exact, tested = subject.results(torch.float64, "loop", (), tapped), subject.results(dtype, backend, (), tapped)
        figures.append(worst(tested, exact, _allowed(subject, backend, dtype, tapped)))
    if not subject.refusal(backend, dtype, states=True):
        exact, loop, tested = (
            _states(subject, form, name) for form, name in ((torch.float64, "loop"), (dtype, "loop"), (dtype, backend))
        )
        figures.append(worst(tested, exact, near(exact, loop, dtype, _multiple(subject, backend, dtype))))
    return max(figures)


def _states(subject: CellUnderTest, dtype: torch.dtype, backend: str) -> dict[str, Tensor]:
    sample = subject.sample(dtype)
    with torch.no_grad():
        return {"states": run(subject.cell(dtype), sample.x, sample.state, backend, return_states=True)[1]}


def _multiple(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> float:
    return BACKENDS[backend].multiple(Request(subject.device, dtype))


def _allowed(subject: CellUnderTest, backend: str, dtype: torch.dtype, tapped: bool = False) -> dict[str, float]:
    exact, loop = (subject.results(form, "loop", (), tapped) for form in (torch.float64, dtype))
    return near(exact, loop, dtype, _multiple(subject, backend, dtype))


def near(
    exact: Mapping[str, Tensor], loop: Mapping[str, Tensor], dtype: torch.dtype, multiple: float
) -> dict[str, float]:
    """The largest error that is allowed, by tensor.

    The loop's own error counts as at least the rounding of a tensor's largest entry; in float64 it is not known, and
    a share of 1e-9 is allowed.
    """
    if dtype == torch.float64:
        return {name: 1e-9 * largest(truth) + 1e-12 for name, truth in exact.items()}
    unit = torch.finfo(dtype).eps
    return {
        name: multiple * max(largest(loop[name].double() - truth), unit * largest(truth), 1e-30)
        for name, truth in exact.items()
    }


def worst(tested: Mapping[str, Tensor], truth: Mapping[str, Tensor], allowed: Mapping[str, float]) -> tuple[float, str]:
    """The largest error of any tensor as a multiple of what is allowed, and where it is.

    Where some are wrong: the first of them in the order of ``truth``, values before gradients, and its first time step.
    """
    errors = {name: (tested[name].double() - value.double()).abs() for name, value in truth.items()}
    figures = {name: largest(error) / allowed[name] for name, error in errors.items()}
    wrong = [name for name, figure in figures.items() if figure > 1]
    name = wrong[0] if wrong else max(figures, key=lambda key: figures[key])
    return figures[name], _place(name, ~(errors[name] <= allowed[name]))


def _place(name: str, wrong: Tensor) -> str:
    """``y, first at t = 5``: a tensor's name, and the first time step of those that are wrong."""
    times = wrong.nonzero()[:, 1] if name in _TIMED else wrong.new_empty(0)
    return f"{name}, first at t = {int(times.min())}" if len(times) else name
