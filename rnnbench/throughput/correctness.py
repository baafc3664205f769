"""No timing without a certificate: does this backend compute what the float64 loop computes?

For the outputs, the final states and every gradient: the largest error of any time step, as a multiple of the same
error of the loop run in the tested number format. A right implementation in another order of summation is within a
small multiple; an off-by-one in time, a dropped gradient or a coarser number format is not. A backend whose multiple is
larger than it may be (`Backend.multiple`) is not timed.

A parameter's gradient is a sum over all B·T tokens. Where it is summed one after the other, as oneDNN's bias gradient
is, N terms of random sign g come to g√N, by partial sums g√k that are each rounded: an error of about ε/2 · g · N/√2,
ε√N/3 of the sum. That is no fault, so of such a gradient it is the least that counts as the loop's own error.
"""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from rnnbench.backends.backend import Backend
from rnnbench.backends.loop import Loop
from rnnbench.conformance.cell_under_test import largest
from rnnbench.throughput.contestant import forward
from rnnbench.throughput.layers import Layers

#: Gradients that are none of a parameter.
_FLOWS = re.compile(r"grad (x|state( \d+)?)$")


class CorrectnessCheck:
    """The truth about some layers on some input, against which any number of backends is held.

    Args:
        layers: In the number format under test.
        x: (B, T, I).
        states: (B, *S) a cell.
        cotangents: For y, (B, T, W), and for the final states, (B, *S) each.
        unit: Rounding of the tested number format; of ``x.dtype`` where not given.
        step: Hand the state on after so many time steps, as decoding does after each; 0 runs the sequence in one call.
    """

    def __init__(
        self,
        layers: Layers,
        x: Tensor,
        states: Sequence[Tensor],
        cotangents: tuple[Tensor, Sequence[Tensor]],
        unit: float | None = None,
        step: int = 0,
    ) -> None:
        self.layers, self.x, self.states, self.cotangents, self.step = layers, x, states, cotangents, step
        self.unit = unit if unit is not None else torch.finfo(x.dtype).eps

    def prepare(self) -> None:
        """Find out the truth, and how far the loop is from it; otherwise the first question does."""
        _ = self._errors

    @cached_property
    def _exact(self) -> dict[str, Tensor]:
        y, last = self.cotangents
        wide = [state.double() for state in self.states]
        cotangents = y.double(), [state.double() for state in last]
        return everything(copy.deepcopy(self.layers).double(), self.x.double(), wide, cotangents, Loop())

    @cached_property
    def _errors(self) -> dict[str, float]:
        """The loop's own, at least the rounding of a tensor's largest entry, or of a sum over all tokens."""
        loop = everything(self.layers, self.x, self.states, self.cotangents, Loop())
        wide = torch.finfo(torch.promote_types(self.x.dtype, torch.float32)).eps  # in which sums are taken
        tokens = self.x.shape[0] * self.x.shape[1]
        summed = max(self.unit, wide * math.sqrt(tokens) / 3)
        return {
            name: max(
                largest(loop[name].double() - truth),
                (summed if name.startswith("grad ") and not _FLOWS.match(name) else self.unit) * largest(truth),
            )
            for name, truth in self._exact.items()
        }

    def multiples(self, backend: Backend) -> dict[str, float]:
        """Error multiples by tensor: ``y``, ``state``, ``grad x``, ``grad state`` and one for each parameter."""
        tested = everything(self.layers, self.x, self.states, self.cotangents, backend, self.step)
        out = {}
        for name, truth in self._exact.items():
            error, own = largest(tested[name].double() - truth), self._errors[name]
            out[name] = error / own if own else (0.0 if error == 0 else float("inf"))
        return out


def everything(
    layers: Layers,
    x: Tensor,
    states: Sequence[Tensor],
    cotangents: tuple[Tensor, Sequence[Tensor]],
    backend: Backend,
    step: int = 0,
) -> dict[str, Tensor]:
    """Outputs, last states, and all gradients under the cotangents; zeros where there is no way to a leaf."""
    many = len(states) > 1
    firsts = [state.detach().clone().requires_grad_() for state in states]
    leaves = {"x": x.detach().clone().requires_grad_()}
    leaves |= {f"state {i}" if many else "state": state for i, state in enumerate(firsts)}
    leaves |= {(name if many else name.removeprefix("members.0.")): p for name, p in layers.named_parameters()}
    time = x.shape[1]
    outputs, current = [], firsts
    for begin, end in itertools.pairwise([*range(0, time, step or time), time]):
        y, current = forward(layers, leaves["x"][:, begin:end], current, backend)
        outputs.append(y)
    y = torch.cat(outputs, dim=1)
    # A last state may be what it was given, whatever the parameters are.
    pairs = [(o, c.to(o.dtype)) for o, c in zip((y, *current), (cotangents[0], *cotangents[1]), strict=True)]
    pairs = [(out, given) for out, given in pairs if out.requires_grad]
    found = torch.autograd.grad(
        [out for out, _ in pairs], list(leaves.values()), [given for _, given in pairs], allow_unused=True
    )
    values = {"y": y.detach()} | {f"state {i}" if many else "state": s.detach() for i, s in enumerate(current)}
    return values | {
        f"grad {name}": torch.zeros_like(leaf) if gradient is None else gradient
        for (name, leaf), gradient in zip(leaves.items(), found, strict=True)
    }
