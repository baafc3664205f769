"""Properties of dependence: gradients are derivatives; nothing depends on the future or on other rows of the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from rnnbench.backends.dispatch import run
from rnnbench.cells.cell import Cell
from rnnbench.conformance.cell_under_test import B, CellUnderTest, Sample, largest, results, trained
from rnnbench.conformance.property import Broken

#: Half the step of a central difference. Curvature costs its square, rounding 1e-16 divided by it.
STEP = 3e-7

#: Other points and directions to look at before a derivative is called wrong.
RETRIES = 3

#: What is moved, in which direction, and its name in a result.
Move = tuple[Tensor, Tensor, str]


def gradient(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[float, str]:
    """∂/∂x, ∂/∂state and ∂/∂(each parameter) against central differences in random directions, I ≠ H and I = H.

    A difference across a kink, of a relu say, is no derivative; it is improbable, and another draw does not meet it
    again. So the check fails only where it does at three draws.
    """

    def moves(leaves: dict[str, Tensor], sample: Sample, generator: torch.Generator) -> Iterator[Move]:
        for name, leaf in leaves.items():
            if name == "state":
                yield leaf, sample.spread[:, -1], "grad state"
            elif name != "tap":
                along = torch.randn(leaf.shape, dtype=leaf.dtype, generator=generator).to(leaf.device)
                yield leaf, along, f"grad {name}"

    return max(_best(one, moves) for one in (subject, subject.square))


def tap(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[float, str]:
    """∂ℓ/∂tap_t is the derivative by s_t: against central differences of perturbed states, at every t.

    Drawn again at kinks, as in `gradient`.
    """

    def moves(leaves: dict[str, Tensor], sample: Sample, generator: torch.Generator) -> Iterator[Move]:
        for t in range(sample.x.shape[1]):
            along = torch.zeros_like(sample.spread)
            along[:, t] = sample.spread[:, t]
            yield leaves["tap"], along, f"grad tap at t = {t}"

    return _best(subject, moves)


def _best(
    subject: CellUnderTest, moves: Callable[[dict[str, Tensor], Sample, torch.Generator], Iterator[Move]]
) -> tuple[float, str]:
    """The largest error of any move as a multiple of what is allowed, and of which; the smallest over some draws."""
    best = (float("inf"), "")
    for seed in range(RETRIES):
        cell, sample = subject.fresh(torch.float64), subject.sample(torch.float64, seed)
        leaves = {"x": sample.x.clone(), "state": sample.state.clone(), "tap": torch.zeros_like(sample.spread)}
        start, perturbation = leaves["state"], leaves["tap"]
        taken = results(cell, leaves["x"], start, sample.cotangents, "loop", tap=perturbation, draws=sample.draws)
        leaves |= trained(cell)

        figures = []
        for leaf, along, name in moves(leaves, sample, torch.Generator().manual_seed(seed)):
            slope = float((taken[name.partition(" at ")[0]] * along).sum())
            figures.append((_compare(slope, leaf, along, partial(_loss, cell, sample, leaves)), name))
        best = min(best, max(figures))
        if best[0] <= 1:
            break
    return best


def _loss(cell: Cell, sample: Sample, leaves: dict[str, Tensor]) -> tuple[float, float]:
    """The scalar whose gradients `results` takes, and the sum of its terms' sizes, by which it is rounded."""
    outputs = run(cell, leaves["x"], leaves["state"], "loop", leaves["tap"], draws=sample.draws)
    terms = [out * cotangent for out, cotangent in zip(outputs, sample.cotangents, strict=True)]
    return float(sum(term.sum() for term in terms)), float(sum(term.abs().sum() for term in terms))


@torch.no_grad()
def _compare(slope: float, leaf: Tensor, along: Tensor, loss: Callable[[], tuple[float, float]]) -> float:
    """The error of a derivative as a multiple of what is allowed: 1e-6 of itself, and what rounding may do."""
    at, values = leaf.detach().clone(), []
    for by in (STEP, -STEP):
        leaf.copy_(at + by * along)
        values.append(loss())
    leaf.copy_(at)
    (above, size), (below, _) = values
    difference = (above - below) / (2 * STEP)
    error = abs(slope - difference) / (1e-6 * max(abs(slope), abs(difference)) + 1e-8 * size + 1e-12)
    return error if error == error else float("inf")


def causality(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """y_t depends on no later x: the gradient is exactly zero, and other inputs later change no value before."""
    cell, sample = subject.cell(dtype), subject.sample(dtype)
    x = sample.x.clone().requires_grad_()
    y, _ = run(cell, x, sample.state, "loop")
    for t in range(subject.seq_len - 1):
        (slope,) = torch.autograd.grad((y[:, t] * sample.cotangents[0][:, t]).sum(), x, retain_graph=True)
        leaks = slope[:, t + 1 :].ne(0).nonzero()
        if len(leaks):
            raise Broken(f"y at t = {t} depends on x at t = {t + 1 + int(leaks[:, 1].min())}")
    with torch.no_grad():
        for t in (1, subject.seq_len // 2, subject.seq_len - 1):
            changed = torch.cat((x[:, :t], x[:, t:].flip(0) + 1), dim=1)
            if _differs(run(cell, changed, sample.state, "loop")[0][:, :t], y[:, :t]):
                raise Broken(f"y before t = {t} changes when x from t = {t} on does")
    return None, ""


def batch(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """A row depends on no other: the gradients are exactly zero, and different other rows change no value."""
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
                if _differs(out[row], outputs[what][row]):
                    rest = " and ".join(str(other) for other in range(B) if other != row)
                    raise Broken(f"{what} in row {row} of the batch changes when rows {rest} do")
    return None, ""


def _differs(value: Tensor, truth: Tensor) -> bool:
    """By more than another order of summation can explain: a matrix product's may depend on the numbers."""
    return largest(value - truth) > 1e-12 * max(1.0, largest(truth))
