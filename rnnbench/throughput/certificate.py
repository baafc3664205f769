"""No timing without a certificate: does this backend compute what the float64 loop computes?

For the outputs, the final state and every gradient: the largest error of any time step, as a multiple of the same
error of the loop run in the tested number format. A right implementation in another order of summation is within a
small multiple; an off-by-one in time, a dropped gradient or a coarser number format is not.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from rnnbench.backends.dispatch import run
from rnnbench.cells.cell import Cell

#: A backend with a larger multiple is not timed.
LIMIT = 10.0


def certificate(
    cell: Cell, x: Tensor, state: Tensor, cotangents: tuple[Tensor, Tensor], backend: str
) -> dict[str, float]:
    """Error multiples by tensor: ``y``, ``state``, ``grad x``, ``grad state`` and one for each parameter.

    Args:
        cell: In the number format under test.
        x: (B, T, I).
        state: (B, *S).
        cotangents: For y, (B, T, H), and for the final state, (B, *S).
        backend: Which to certify.
    """
    exact = _results(
        copy.deepcopy(cell).double(), x.double(), state.double(), tuple(c.double() for c in cotangents), "loop"
    )
    loop = _results(cell, x, state, cotangents, "loop")
    tested = _results(cell, x, state, cotangents, backend)
    unit = torch.finfo(x.dtype).eps
    return {
        name: _error(tested[name], truth) / max(_error(loop[name], truth), unit * float(truth.abs().max()))
        for name, truth in exact.items()
    }


def _results(cell: Cell, x: Tensor, state: Tensor, cotangents: tuple[Tensor, ...], backend: str) -> dict[str, Tensor]:
    x, state = x.detach().requires_grad_(), state.detach().requires_grad_()
    y, last = run(cell, x, state, backend)
    names = [name for name, _ in cell.named_parameters()]
    wanted = [x, state, *cell.parameters()]
    gradients = torch.autograd.grad((y, last), wanted, cotangents, allow_unused=True)
    labels = ["grad x", "grad state", *(f"grad {name}" for name in names)]
    missing = {
        label: torch.zeros_like(t) if g is None else g for label, g, t in zip(labels, gradients, wanted, strict=True)
    }
    return {"y": y.detach(), "state": last.detach(), **missing}


def _error(value: Tensor, truth: Tensor) -> float:
    """Largest error; NaN counts as infinite."""
    error = float((value.double() - truth).abs().max())
    return error if error == error else float("inf")
