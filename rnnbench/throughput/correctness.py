"""The correctness check: nothing is timed that does not compute what the float64 loop computes.

For the outputs, the final states and every gradient: the largest error of any time step, as a multiple of the same
error of the loop run in the tested number format. A right implementation in another order of summation is within a
small multiple; an off-by-one in time, a dropped gradient or a coarser number format is not. A backend whose multiple is
larger than allowed (`Backend.multiple`) is not timed.

The loop's own error counts as at least that of rounding alone (`rounding`).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from rnnbench.backends.backend import Backend
from rnnbench.backends.layers import Layers, run_layers
from rnnbench.backends.loop import Loop
from rnnbench.conformance.cell_under_test import largest
from rnnbench.conformance.implementation import Runner, rounding, run_results


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
        tokens = self.x.shape[0] * self.x.shape[1]
        return {
            name: max(
                largest(loop[name].double() - truth),
                rounding(name, tokens, self.unit, self.x.dtype) * largest(truth),
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
    weights = {(name if many else name.removeprefix("members.0.")): p for name, p in layers.named_parameters()}
    runner = Runner(lambda x, current, _: run_layers(layers, x, current or states, backend), weights)
    return run_results(runner, x, states, names, cotangents, range(step, x.shape[1], step) if step else ())
