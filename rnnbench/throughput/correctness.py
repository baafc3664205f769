"""The correctness check: nothing is timed that does not compute what the float64 loop computes.

For the outputs, the final states and every gradient: the largest error of any time step, as a multiple of the same
error of the loop run in the tested number format. A right implementation in another order of summation is within a
small multiple; an off-by-one in time, a dropped gradient or a coarser number format is not. A backend whose multiple is
larger than allowed (`Backend.multiple`) is not timed.

A parameter's gradient is a sum over all N = B·T tokens. Where it is summed one after the other, as oneDNN's bias
gradient is, terms of random sign g come to g√N, by partial sums g√k that are each rounded: an error of about
ε/2 · g · N/√2, ε√N/3 of the sum. That is no fault, so the loop's own error of such a gradient counts as at least that.

The loop has to agree with itself: a cell that draws random numbers says so by `Cell.draw`, and all are given the same.
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

from rnnbench.backends.backend import MULTIPLE, Backend
from rnnbench.backends.loop import Loop
from rnnbench.conformance.cell_under_test import gradients, largest
from rnnbench.errors import UserError
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

    Raises:
        UserError: from everything but the constructor, where the loop run twice gives two results.
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
        #: Of each cell that draws random numbers, (B, T, N): the same for every backend.
        self.draws = [cell.draw(*x.shape[:2]) for cell in layers.cells]

    @cached_property
    def exact(self) -> dict[str, Tensor]:
        """The float64 loop's results."""
        y, last = self.cotangents
        wide = [state.double() for state in self.states]
        cotangents = y.double(), [state.double() for state in last]
        layers = copy.deepcopy(self.layers).double()
        return everything(layers, self.x.double(), wide, cotangents, Loop(), draws=self.draws)

    @cached_property
    def errors(self) -> dict[str, float]:
        """The loop's own, at least the rounding of a tensor's largest entry, or of a sum over all tokens."""
        loop = everything(self.layers, self.x, self.states, self.cotangents, Loop(), draws=self.draws)
        self._check_repeats(loop["y"])
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

    def _check_repeats(self, y: Tensor) -> None:
        with torch.no_grad():
            again, _ = run_layers(self.layers, self.x, self.states, Loop(), self.draws)
        error = largest(again - y)
        if not error <= MULTIPLE * self.unit * largest(y):
            names = ", ".join(dict.fromkeys(type(cell).__name__ for cell in self.layers.cells))
            raise UserError(
                f"its loop, run twice on the same, gives outputs {error:.2g} apart; if {names} draws random numbers, "
                "let it do so in `draw` alone"
            )

    def multiples(self, backend: Backend) -> dict[str, float]:
        """Error multiples by tensor: ``y``, ``state``, ``grad x``, ``grad state`` and one for each parameter."""
        tested = everything(self.layers, self.x, self.states, self.cotangents, backend, self.step, self.draws)
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
    draws: Sequence[Tensor | None] = (),
) -> dict[str, Tensor]:
    """Outputs, last states, and all gradients under the cotangents; ``draws`` as in `run_layers`."""
    many = len(states) > 1
    names = [f"state {i}" if many else "state" for i in range(len(states))]
    firsts = [state.detach().clone().requires_grad_() for state in states]
    leaves = {"x": x.detach().clone().requires_grad_(), **dict(zip(names, firsts, strict=True))}
    trained = ((name, p) for name, p in layers.named_parameters() if p.requires_grad)
    leaves |= {(name if many else name.removeprefix("members.0.")): p for name, p in trained}
    time = x.shape[1]
    outputs, current = [], firsts
    for begin, end in itertools.pairwise([*range(0, time, step or time), time]):
        parts = [None if one is None else one[:, begin:end] for one in draws] or None
        y, current = run_layers(layers, leaves["x"][:, begin:end], current, backend, parts)
        outputs.append(y)
    y = torch.cat(outputs, dim=1)
    values = {"y": y.detach(), **{name: state.detach() for name, state in zip(names, current, strict=True)}}
    return values | gradients((y, *current), (cotangents[0], *cotangents[1]), leaves)
