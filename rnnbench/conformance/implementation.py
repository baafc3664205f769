"""What is checked by `certify`: an implementation at one size, what it should compute, and the results of a run."""

from __future__ import annotations

import itertools
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.backends.backend import MULTIPLE
from rnnbench.conformance.cell_under_test import gradients

#: x (B, T, I), states or None for zeros, and the length of each row or None → y (B, T, W) and the last states.
Run = Callable[[Tensor, Sequence[Tensor] | None, Sequence[int] | None], tuple[Tensor, list[Tensor]]]

#: A parameter's gradient.
_SUMMED = re.compile(r"grad (?!(x|state( \w+)?)$)")


@dataclass(frozen=True)
class Size:
    """B sequences of T time steps, I wide, through layers of width H, perhaps several or in both directions."""

    batch: int
    time: int
    input_size: int
    hidden_size: int
    layers: int = 1
    directions: int = 1

    def __str__(self) -> str:
        stacked = f" · {self.layers} layers" if self.layers > 1 else ""
        both = " · both directions" if self.directions > 1 else ""
        return f"B {self.batch} · T {self.time} · I {self.input_size} · H {self.hidden_size}{stacked}{both}"


@dataclass(frozen=True)
class Runner:
    """A way to compute a recurrence, and the weights of which gradients are taken, by name."""

    run: Run
    weights: Mapping[str, Tensor]


class Implementation(ABC):
    """One implementation at one size, with weights that were drawn in float32.

    Args:
        state_names: A name for each tensor of its state; none where no state goes in or comes out.
        batch_dims: The dimension of each of them that counts the sequences.
        width: W, of y.
    """

    state_names: Sequence[str]
    batch_dims: Sequence[int]
    width: int

    @abstractmethod
    def tested(self, dtype: torch.dtype) -> Runner:
        """The implementation itself, its weights rounded to a number format."""

    @abstractmethod
    def exact(self, dtype: torch.dtype) -> Runner:
        """What it should compute, with the same rounded weights, time step by time step in float64."""

    @abstractmethod
    def plain(self, dtype: torch.dtype) -> Runner:
        """The same in the number format: its error is what rounding alone makes."""

    def state_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """The number format of its state."""
        return dtype

    def states(self, batch: int, input_size: int, device: torch.device) -> list[Tensor]:
        """States to start from, which another sequence leads to, in float64."""
        if not self.state_names:
            return []
        x = torch.randn(batch, 7, input_size, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        with torch.no_grad():
            return self.exact(torch.float32).run(x.to(device), None, None)[1]


class Target(ABC):
    """Something that is checked, at any size.

    Args:
        name: Of an implementation, as it stands in every line.
        stacked: Whether it has several layers and both directions.
        takes_lengths: Whether it takes sequences of unlike lengths in one batch.
        trusted: Whether what it is compared with is ours; otherwise that has its gradients checked as well.
        package: Where it is from, as it is installed; None for torch and what is ours.
    """

    name: str
    stacked: bool = False
    takes_lengths: bool = False
    trusted: bool = True
    package: str | None = None

    def refusal(self, device: torch.device, dtype: torch.dtype) -> str | None:
        """None where it runs so; else why not, in words."""
        return None

    def multiple(self, device: torch.device, dtype: torch.dtype) -> float:
        """How many times the error of the plain loop in the same number format its own may be."""
        return MULTIPLE

    @abstractmethod
    def at(self, size: Size, device: torch.device) -> Implementation:
        """The implementation at a size.

        Raises:
            UserError: It cannot be built so.
        """


def run_results(
    runner: Runner,
    x: Tensor,
    states: Sequence[Tensor] | None,
    names: Sequence[str],
    cotangents: tuple[Tensor, Sequence[Tensor]],
    cuts: Sequence[int] = (),
    lengths: Sequence[int] | None = None,
) -> dict[str, Tensor]:
    """Run it in chunks that begin at ``cuts``: outputs, last states, and all gradients under the cotangents.

    x (B, T, I); the states' names; cotangents for y, (B, T, W), and for each last state → ``y``, a tensor a state,
    ``grad x``, ``grad`` of each first state that was handed in, and ``grad NAME`` of each weight that has entries.
    """
    firsts = None if states is None else [state.detach().clone().requires_grad_() for state in states]
    leaves = {"x": x.detach().clone().requires_grad_(), **dict(zip(names, firsts or (), strict=False))}
    leaves |= {name: weight for name, weight in runner.weights.items() if weight.numel()}
    outputs, current = [], firsts
    for begin, end in itertools.pairwise((0, *cuts, x.shape[1])):
        y, current = runner.run(leaves["x"][:, begin:end], current, lengths)
        outputs.append(y)
    y, last = torch.cat(outputs, dim=1), current or []
    values = {"y": y.detach(), **{name: state.detach() for name, state in zip(names, last, strict=True)}}
    return values | gradients((y, *last), (cotangents[0], *cotangents[1]), leaves)


def rounding(name: str, tokens: int, unit: float, dtype: torch.dtype) -> float:
    """The least error, as a share of a tensor's largest entry, that is put down to rounding.

    A unit; of a parameter's gradient what the sum over so many tokens, N = B·T, may come to. Where it is summed one
    after the other, as oneDNN's bias gradient is, terms of random sign g come to g√N, by partial sums g√k that are each
    rounded: an error of about ε/2 · g · N/√2, ε√N/3 of the sum, with the ε in which sums are taken.
    """
    if not _SUMMED.match(name):
        return unit
    return max(unit, torch.finfo(torch.promote_types(dtype, torch.float32)).eps * math.sqrt(tokens) / 3)


def row_by_row(run: Run, batch_dims: Sequence[int]) -> Run:
    """The same for rows of unlike lengths, each row by itself and to its own end; y is 0 beyond it."""

    def padded(
        x: Tensor, states: Sequence[Tensor] | None, lengths: Sequence[int] | None
    ) -> tuple[Tensor, list[Tensor]]:
        if lengths is None:
            return run(x, states, None)
        outputs, rows = [], []
        for row, length in enumerate(lengths):
            first = None
            if states is not None:
                first = [state.narrow(dim, row, 1) for state, dim in zip(states, batch_dims, strict=True)]
            y, last = run(x[row : row + 1, :length], first, None)
            outputs.append(torch.nn.functional.pad(y, (0, 0, 0, x.shape[1] - length)))
            rows.append(last)
        return torch.cat(outputs), [
            torch.cat(parts, dim) for parts, dim in zip(zip(*rows, strict=True), batch_dims, strict=True)
        ]

    return padded
