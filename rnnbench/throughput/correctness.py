"""The correctness check: nothing is timed that does not compute what the float64 loop computes.

For the outputs, the final states and every gradient: the largest error of any time step, as a multiple of the same
error of the loop run in the tested number format. A right implementation in another order of summation is within a
small multiple; an off-by-one in time, a dropped gradient or a coarser number format is not. A backend whose multiple is
larger than allowed (`Backend.multiple`) is not timed.

A parameter's gradient is a sum over all N = B·T tokens. Where it is summed one after the other, as oneDNN's bias
gradient is, terms of random sign g come to g√N, by partial sums g√k that are each rounded: an error of about
ε/2 · g · N/√2, ε√N/3 of the sum. That is no fault, so the loop's own error of such a gradient counts as at least that.
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
from rnnbench.conformance.cell_under_test import gradients, largest
from rnnbench.throughput.layers import Layers, run_layers

#: A parameter's gradient.
_SUMMED = re.compile(r"grad (?!(x|state( \d+)?)$)")


class CorrectnessCheck:
    """The exact results of some layers on some input, with which those of any number of backends are compared.

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

    @cached_property
    def exact(self) -> dict[str, Tensor]:
        """The float64 loop's results."""
        y, last = self.cotangents
        wide = [state.double() for state in self.states]
        cotangents = y.double(), [state.double() for state in last]
        return everything(copy.deepcopy(self.layers).double(), self.x.double(), wide, cotangents, Loop())

    @cached_property
    def errors(self) -> dict[str, float]:
        """The loop's own, at least the rounding of a tensor's largest entry, or of a sum over all tokens."""
        loop = everything(self.layers, self.x, self.states, self.cotangents, Loop())
        wide = torch.finfo(torch.promote_types(self.x.dtype, torch.float32)).eps  # in which sums are taken
        tokens = self.x.shape[0] * self.x.shape[1]
        summed = max(self.unit, wide * math.sqrt(tokens) / 3)
        return {
            name: max(
                largest(loop[name].double() - truth),
                (summed if _SUMMED.match(name) else self.unit) * largest(truth),
            )
            for name, truth in self.exact.items()
        }

    def multiples(self, backend: Backend) -> dict[str, float]:
        """Error multiples by tensor: ``y``, ``state``, ``grad x``, ``grad state`` and one for each parameter."""
        tested = everything(self.layers, self.x, self.states, self.cotangents, backend, self.step)
        out = {}
        for name, truth in self.exact.items():
            error, of_loop = largest(tested[name].double() - truth), self.errors[name]
            out[name] = error / of_loop if of_loop else (0.0 if error == 0 else float("inf"))
        return out


def everything(
    layers: Layers,
    x: Tensor,
    states: Sequence[Tensor],
    cotangents: tuple[Tensor, Sequence[Tensor]],
    backend: Backend,
    step: int = 0,
) -> dict[str, Tensor]:
    """Outputs, last states, and all gradients under the cotangents."""
    many = len(states) > 1
    names = [f"state {i}" if many else "state" for i in range(len(states))]
    firsts = [state.detach().clone().requires_grad_() for state in states]
    leaves = {"x": x.detach().clone().requires_grad_(), **dict(zip(names, firsts, strict=True))}
    leaves |= {(name if many else name.removeprefix("members.0.")): p for name, p in layers.named_parameters()}
    time = x.shape[1]
    outputs, current = [], firsts
    for begin, end in itertools.pairwise([*range(0, time, step or time), time]):
        y, current = run_layers(layers, leaves["x"][:, begin:end], current, backend)
        outputs.append(y)
    y = torch.cat(outputs, dim=1)
    values = {"y": y.detach(), **{name: state.detach() for name, state in zip(names, current, strict=True)}}
    return values | gradients((y, *current), (cotangents[0], *cotangents[1]), leaves)
