"""The laws of what depends on what: gradients are derivatives, the future is not seen, neither are other rows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rnnbench.backends.dispatch import run
from rnnbench.cells.cell import Cell
from rnnbench.conformance.cell_under_test import B, CellUnderTest, Sample, largest, results
from rnnbench.conformance.property import Broken

#: Half the step of a central difference. Curvature costs its square, rounding 1e-16 divided by it.
STEP = 3e-7

#: Other points and directions to look at before a derivative is called wrong.
RETRIES = 3


def gradient(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[float, str]:
    """∂/∂x, ∂/∂state and ∂/∂(each parameter) against central differences in random directions, I ≠ H and I = H.

    A step across a kink, of a relu say, is no derivative; it is improbable, and another draw does not meet it again.
    So a law is broken only where it is at three draws.
    """
    return max(_best(one, _gradient) for one in (subject, subject.square))


def tap(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[float, str]:
    """∂ℓ/∂tap_t is the derivative by s_t: against central differences of perturbed states, at every t.

    Drawn again at kinks, as in `gradient`.
    """
    return _best(subject, _tap)


def _best(subject: CellUnderTest, look: Callable[[Cell, Sample, int], tuple[float, str]]) -> tuple[float, str]:
    found = (float("inf"), "")
    for seed in range(RETRIES):
        cell = subject.fresh(torch.float64)  # whose parameters may be moved
        found = min(found, look(cell, subject.sample(torch.float64, seed), seed))
        if found[0] <= 1:
            break
    return found


def _gradient(cell: Cell, sample: Sample, seed: int) -> tuple[float, str]:
    generator = torch.Generator().manual_seed(seed)

    def direction(like: Tensor) -> Tensor:
        return torch.randn(like.shape, dtype=like.dtype, generator=generator).to(like.device)

    x, state = sample.x.clone(), sample.state.clone()
    own = results(cell, x, state, sample.cotangents, "loop")
    found = []
    for name, leaf in {"x": x, "state": state, **dict(cell.named_parameters())}.items():
        along = sample.spread[:, -1] if name == "state" else direction(leaf)

        def moved(by: float, leaf: Tensor = leaf, along: Tensor = along) -> tuple[float, float]:
            at = leaf.detach().clone()
            with torch.no_grad():
                leaf.copy_(at + by * along)
                loss = _loss(cell, sample, x, state)
                leaf.copy_(at)
            return loss

        found.append((_compare(float((own[f"grad {name}"] * along).sum()), moved), f"grad {name}"))
    return max(found)


def _tap(cell: Cell, sample: Sample, seed: int) -> tuple[float, str]:
    nothing = torch.zeros_like(sample.spread)
    own = results(cell, sample.x, sample.state, sample.cotangents, "loop", tap=nothing)["grad tap"]
    found = []
    for t in range(sample.x.shape[1]):
        along = torch.zeros_like(sample.spread)
        along[:, t] = sample.spread[:, t]

        def moved(by: float, along: Tensor = along) -> tuple[float, float]:
            with torch.no_grad():
                return _loss(cell, sample, sample.x, sample.state, by * along)

        found.append((_compare(float((own * along).sum()), moved), f"grad tap at t = {t}"))
    return max(found)


def _loss(cell: Cell, sample: Sample, x: Tensor, state: Tensor, tap: Tensor | None = None) -> tuple[float, float]:
    """The scalar whose gradients `results` takes, and the sum of its terms' sizes: what it is rounded in."""
    terms = [out * given for out, given in zip(run(cell, x, state, "loop", tap), sample.cotangents, strict=True)]
    return float(sum(term.sum() for term in terms)), float(sum(term.abs().sum() for term in terms))


def _compare(own: float, moved: Callable[[float], tuple[float, float]]) -> float:
    """The error of a derivative as a multiple of what is allowed: 1e-6 of itself, and what rounding may do."""
    (above, size), (below, _) = moved(STEP), moved(-STEP)
    difference = (above - below) / (2 * STEP)
    error = abs(own - difference) / (1e-6 * max(abs(own), abs(difference)) + 1e-8 * size + 1e-12)
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
            other = torch.cat((x[:, :t], x[:, t:].flip(0) + 1), dim=1)
            if _differs(run(cell, other, sample.state, "loop")[0][:, :t], y[:, :t]):
                raise Broken(f"y before t = {t} changes when x from t = {t} on does")
    return None, ""


def batch(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """A row depends on no other: the gradients are exactly zero, and other rows beside it change no value."""
    cell, sample = subject.cell(dtype), subject.sample(dtype)
    x, state = sample.x.clone().requires_grad_(), sample.state.clone().requires_grad_()
    outputs = dict(zip(("y", "state"), run(cell, x, state, "loop"), strict=True))
    for row in range(B):
        for (what, out), given in zip(outputs.items(), sample.cotangents, strict=True):
            if not out.requires_grad:
                continue
            slopes = torch.autograd.grad(
                (out[row] * given[row]).sum(), (x, state), retain_graph=True, allow_unused=True
            )
            for name, slope in zip(("x", "state"), slopes, strict=True):
                others = [] if slope is None else slope.flatten(1).ne(0).any(1).nonzero()[:, 0].tolist()
                for other in others:
                    if other != row:
                        raise Broken(f"{what} in row {row} of the batch depends on {name} in row {other}")
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
    """By more than another order of summation can do: a matrix product may go another way for other numbers."""
    return largest(value - truth) > 1e-12 * max(1.0, largest(truth))
