"""What may depend on what: nothing on the future, nor on other rows of the batch."""

from __future__ import annotations

import torch

from rnnbench.conformance.cell_under_test import (
    B,
    CellUnderTest,
    differs,
    largest,
    results,
    run,
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
