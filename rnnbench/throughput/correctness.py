"""The correctness check: nothing is timed that does not compute what the float64 loop computes.

For the outputs, the final states and every gradient: the largest error of any time step, as a multiple of the same
error of the loop run in the tested number format. A right implementation in another order of summation is within a
small multiple; an off-by-one in time, a dropped gradient or a coarser number format is not. A backend whose multiple is
larger than allowed (`Backend.multiple`) is not timed.

The loop's own error counts as at least that of rounding alone (`rounding`). The loop has to agree with itself: a cell
that draws random numbers says so by `Cell.draw`, and all are given the same.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from rnnbench.backends.backend import MULTIPLE, Backend
from rnnbench.backends.layers import Layers, run_layers
from rnnbench.backends.loop import Loop
from rnnbench.conformance.cell_under_test import largest
from rnnbench.conformance.implementation import Runner, rounding, run_results
from rnnbench.errors import UserError


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
        tokens = self.x.shape[0] * self.x.shape[1]
        return {
            name: max(
                largest(loop[name].double() - truth),
                rounding(name, tokens, self.unit, self.x.dtype) * largest(truth),
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
    trained = ((name, weight) for name, weight in layers.named_parameters() if weight.requires_grad)
    weights = {(name if many else name.removeprefix("members.0.")): weight for name, weight in trained}
    cuts = range(step, x.shape[1], step) if step else ()
    begins = iter((0, *cuts))

    def run_part(part: Tensor, current: Sequence[Tensor] | None, _: object) -> tuple[Tensor, list[Tensor]]:
        begin = next(begins)
        pieces = [None if one is None else one[:, begin : begin + part.shape[1]] for one in draws] or None
        return run_layers(layers, part, current or states, backend, pieces)

    return run_results(Runner(run_part, weights), x, states, names, cotangents, cuts)
