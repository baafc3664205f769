"""Gradients are derivatives: against central differences, over long sequences too, and linear in the cotangent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from rnnbench.cells.cell import Cell
from rnnbench.conformance.cell_under_test import (
    CellUnderTest,
    Sample,
    gradients,
    largest,
    results,
    run,
    trainable,
)

#: Half the step of a central difference. Curvature costs its square, rounding 1e-16 divided by it.
STEP = 3e-7

#: Other points and directions to look at before a derivative is called wrong.
RETRIES = 3

#: What is moved, by name, each in its direction, and how a result calls it.
Move = tuple[dict[str, Tensor], str]

#: All leaves, their gradients, the sample, a random generator → what to move.
Moves = Callable[[dict[str, Tensor], dict[str, Tensor], Sample, torch.Generator], Iterator[Move]]


def gradient(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[float, str]:
    """∂/∂x, ∂/∂state and ∂/∂(all parameters) against central differences in random directions.

    For x ten times as large too, where gates saturate. A difference across a kink, of a relu say, is no derivative; it
    is improbable, and another draw does not meet it again. So the check fails only where it does at three draws; which
    parameter it is, is then looked for.
    """
    return max(derivative(subject, scale) for scale in (1.0, 10.0))


def derivative(subject: CellUnderTest, scale: float = 1.0) -> tuple[float, str]:
    """`gradient` for x of one scale."""
    return _named(subject, _together, _each, scale)


def _together(
    leaves: dict[str, Tensor], slopes: dict[str, Tensor], sample: Sample, generator: torch.Generator
) -> Iterator[Move]:
    """x, the state, and all parameters at once: each so far that none is lost beside another's larger share."""
    parameters: dict[str, Tensor] = {}
    shares: dict[str, float] = {}
    for along, name in _each(leaves, slopes, sample, generator):
        (leaf,) = along
        if leaf in ("x", "state"):
            yield along, name
        else:
            parameters |= along
            shares[leaf] = abs(float((slopes[f"grad {leaf}"] * along[leaf]).sum()))
    if parameters:
        mean = sum(shares.values()) / len(shares)
        scales = {name: min(10.0, max(0.1, mean / share)) if share else 1.0 for name, share in shares.items()}
        yield {name: scales[name] * along for name, along in parameters.items()}, "the gradient by the parameters"


def _each(
    leaves: dict[str, Tensor], slopes: dict[str, Tensor], sample: Sample, generator: torch.Generator
) -> Iterator[Move]:
    """Each leaf but the tap in a random direction; the state in one in which states differ."""
    for name, leaf in leaves.items():
        if name == "state":
            yield {name: sample.spread[:, -1]}, "grad state"
        elif name != "tap":
            along = torch.randn(leaf.shape, dtype=leaf.dtype, generator=generator).to(leaf.device)
            yield {name: along}, f"grad {name}"


def tap(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[float, str]:
    """∂ℓ/∂tap_t is the derivative by s_t: against a central difference of states that are perturbed at every t.

    Drawn again at kinks, as in `gradient`; and where it fails, the time step is looked for.
    """

    def all_times(
        leaves: dict[str, Tensor], slopes: dict[str, Tensor], sample: Sample, generator: torch.Generator
    ) -> Iterator[Move]:
        yield {"tap": sample.spread}, "grad tap"

    def each_time(
        leaves: dict[str, Tensor], slopes: dict[str, Tensor], sample: Sample, generator: torch.Generator
    ) -> Iterator[Move]:
        for t in range(sample.x.shape[1]):
            along = torch.zeros_like(sample.spread)
            along[:, t] = sample.spread[:, t]
            yield {"tap": along}, f"grad tap at t = {t}"

    return _named(subject, all_times, each_time)


def _named(subject: CellUnderTest, all_at_once: Moves, each: Moves, scale: float = 1.0) -> tuple[float, str]:
    """The result of few moves; where it is wrong, of the single move that is the most so, if any is."""
    figure, where = _best(subject, all_at_once, scale)
    if figure <= 1:
        return figure, where
    alone, name = _best(subject, each, scale)
    return (alone, name) if alone > 1 else (figure, where)


def _best(subject: CellUnderTest, moves: Moves, scale: float = 1.0) -> tuple[float, str]:
    """The largest error of any move as a multiple of what is allowed, and of which; the smallest over some draws."""
    best = (float("inf"), "")
    for seed in range(RETRIES):
        cell, sample = subject.fresh(torch.float64), subject.sample(torch.float64, seed, scale)
        leaves = {"x": sample.x.clone(), "state": sample.state.clone(), "tap": torch.zeros_like(sample.spread)}
        slopes = results(cell, leaves["x"], leaves["state"], sample.cotangents, "loop", tap=leaves["tap"])
        leaves |= trainable(cell)
        figures = []
        for along, name in moves(leaves, slopes, sample, torch.Generator().manual_seed(seed)):
            slope = sum(float((slopes[f"grad {leaf}"] * by).sum()) for leaf, by in along.items())
            figures.append((_compare(slope, leaves, along, partial(_loss, cell, sample, leaves)), name))
        best = min(best, max(figures))
        if best[0] <= 1:
            break
    return best


def _loss(cell: Cell, sample: Sample, leaves: dict[str, Tensor]) -> tuple[float, float]:
    """The scalar whose gradients `results` takes, and the sum of its terms' sizes, by which it is rounded."""
    outputs = run(cell, leaves["x"], leaves["state"], "loop", leaves["tap"])
    terms = [out * cotangent for out, cotangent in zip(outputs, sample.cotangents, strict=True)]
    return float(sum(term.sum() for term in terms)), float(sum(term.abs().sum() for term in terms))


@torch.no_grad()
def _compare(
    slope: float, leaves: dict[str, Tensor], along: dict[str, Tensor], loss: Callable[[], tuple[float, float]]
) -> float:
    """The error of a derivative as a multiple of what is allowed: 1e-6 of itself, and what rounding may do."""
    at, values = {name: leaves[name].detach().clone() for name in along}, []
    for by in (STEP, -STEP):
        for name, direction in along.items():
            leaves[name].copy_(at[name] + by * direction)
        values.append(loss())
    for name, value in at.items():
        leaves[name].copy_(value)
    (above, size), (below, _) = values
    difference = (above - below) / (2 * STEP)
    error = abs(slope - difference) / (1e-6 * max(abs(slope), abs(difference)) + 1e-8 * size + 1e-12)
    return error if error == error else float("inf")


def linearity(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[float, str]:
    """Gradients are linear in the cotangents, from 1e-6 to 1e6: none is clipped, rounded away or normalised."""
    cell, sample = subject.fresh(dtype), subject.sample(dtype)
    leaves = {"x": sample.x.clone().requires_grad_(), "state": sample.state.clone().requires_grad_(), **trainable(cell)}
    outputs = run(cell, leaves["x"], leaves["state"], "loop")
    first, second = sample.cotangents, [c.flip(0).roll(1, -1) for c in sample.cotangents]

    def taken(cotangents: Sequence[Tensor]) -> dict[str, Tensor]:
        return gradients(outputs, cotangents, leaves, keep=True)

    one, two = taken(first), taken(second)
    figures = []
    for scale in (1e6, 1e-6):
        both = taken([scale * (a + b) for a, b in zip(first, second, strict=True)])
        for name, value in both.items():
            truth = one[name] + two[name]
            size = max(largest(one[name]), largest(two[name]))
            figures.append(
                (largest(value / scale - truth) / (1e-6 * size + 1e-12), f"{name}, cotangents times {scale:g}")
            )
    return max(figures)
