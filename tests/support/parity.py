"""Runs compared with references, values and gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rnnbench.backends import run
from rnnbench.cells import Cell

#: (x_t, state) → (y_t, next state).
Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def assert_parity(cell: Cell, step: Step, x: Tensor, state: Tensor, backend: str = "loop", rtol: float = 0.0) -> None:
    """Outputs, last state and the gradients of input, state and parameters are the reference step's, to 1e-8."""
    x, state = x.detach().requires_grad_(), state.detach().requires_grad_()
    outputs, current = [], state
    for x_t in x.unbind(1):
        y_t, current = step(x_t, current)
        outputs.append(y_t)
    truth, tested = (torch.stack(outputs, dim=1), current), run(cell, x, state, backend)
    leaves = {"x": x, "state": state, **dict(cell.named_parameters())}
    cotangents = [torch.randn_like(value) for value in truth]
    wanted, found = ([*pair, *torch.autograd.grad(pair, list(leaves.values()), cotangents)] for pair in (truth, tested))
    for key, value, reference in zip(("y", "final state", *leaves), found, wanted, strict=True):
        assert reference.abs().max() > 0, f"nothing reaches {key}"
        torch.testing.assert_close(value, reference, rtol=rtol, atol=1e-8, msg=lambda m, key=key: f"{key}: {m}")


def reading_the_state(advance: Callable[[Tensor, Tensor], Tensor]) -> Step:
    """A step whose output is the new state, or its first part."""

    def step(x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        after = advance(x, state)
        return (after[:, 0] if after.dim() == 3 else after), after

    return step
