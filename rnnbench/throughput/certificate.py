"""No timing without a certificate: does this backend compute what the float64 loop computes?

For the outputs, the final state and every gradient: the largest error of any time step, as a multiple of the same
error of the loop run in the tested number format. A right implementation in another order of summation is within a
small multiple; an off-by-one in time, a dropped gradient or a coarser number format is not. A backend whose multiple is
larger than it may be (`Backend.multiple`) is not timed.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from rnnbench.cells.cell import Cell
from rnnbench.laws.subject import largest, results


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
    exact = results(
        copy.deepcopy(cell).double(), x.double(), state.double(), tuple(c.double() for c in cotangents), "loop"
    )
    loop = results(cell, x, state, cotangents, "loop")
    tested = results(cell, x, state, cotangents, backend)
    unit = torch.finfo(x.dtype).eps
    return {
        name: largest(tested[name].double() - truth) / max(largest(loop[name].double() - truth), unit * largest(truth))
        for name, truth in exact.items()
    }
