"""`rnnbench certify`: is a recurrent layer right on this machine? Outputs, last states and every gradient.

An implementation is run at each size in each number format, and compared with what it should compute: the same in
float64, one time step at a time, of the same rounded weights and inputs. An error is judged as a multiple of what is
allowed: `Target.multiple` times the error of the plain loop in the same number format, which is at least `rounding`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from rnnbench.conformance.cell_under_test import gradients, largest
from rnnbench.conformance.implementation import Implementation, Runner, Size, Target, rounding, run_results
from rnnbench.conformance.sequences import near
from rnnbench.errors import UserError, told

#: What is checked, in words.
CHECKS = {
    "whole": "the sequence in one call, from a state of another sequence",
    "zero state": "the same without a state to start from",
    "chunks": "the same in pieces, the state handed on, against the whole",
    "lengths": "sequences of unlike lengths in one batch, each against itself alone",
    "inference": "the values without autograd, for which libraries have other kernels",
    "repeat": "the same twice, another run in between: on a CPU identical bit for bit",
    "finite differences": "the gradients of the float64 reference, where it is the implementation itself",
}

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}

#: (B, I, H) of each preset; the first one is run at every length, the others at `MIDDLE` or, in full, at every length.
WIDTHS = {
    "quick": ((3, 5, 8), (1, 1, 1), (1, 3, 7), (5, 8, 57), (2, 16, 64)),
    "full": (
        (3, 5, 8), (1, 1, 1), (1, 3, 7), (5, 8, 57), (2, 16, 64), (4, 64, 100), (32, 64, 128), (8, 100, 257),
    ),
}  # fmt: skip
LENGTHS = {"quick": (1, 13, 150, 1100), "full": (1, 2, 13, 150, 512, 2048)}
MIDDLE = 13
#: Beyond so many time steps `quick` leaves out what needs a reference of its own, and finite differences are not taken.
LONG = 200


def sizes(preset: str, lengths: Sequence[int] | None = None, stacked: bool = False) -> list[Size]:
    """The grid of a preset, the shortest first; other lengths where they are given.

    Raises:
        KeyError: No such preset.
    """
    first, *others = WIDTHS[preset]
    times = sorted(set(lengths or LENGTHS[preset]))
    middle = times if preset == "full" else [MIDDLE if lengths is None else times[0]]
    grid = [Size(first[0], time, *first[1:]) for time in times]
    grid += [Size(batch, time, *widths) for batch, *widths in others for time in middle]
    if stacked:
        grid += [Size(first[0], middle[-1] if preset == "quick" else MIDDLE, *first[1:], layers=2, directions=2)]
    return sorted(grid, key=lambda size: size.time)


@dataclass(frozen=True)
class Row:
    """One tensor of one check.

    Args:
        implementation: Its name.
        size: At which it ran.
        dtype: The number format.
        check: Of `CHECKS`.
        quantity: y, a state, or the gradient of the input, of a first state or of a weight; "" where it raised.
        ok: Whether the figure is at most 1.
        figure: The largest error as a multiple of what is allowed.
        error: The largest error as a share of the largest entry.
        where: Where it goes wrong, or what was raised.
    """

    implementation: str
    size: Size
    dtype: str
    check: str
    quantity: str
    ok: bool
    figure: float
    error: float
    where: str = ""

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), **asdict(self.size), "size": str(self.size)}


#: (rows that are done, rows in all, what comes next).
Progress = Callable[[int, int, str], object]


def certify(
    targets: Sequence[Target],
    preset: str = "quick",
    lengths: Sequence[int] | None = None,
    dtypes: Sequence[str] = tuple(DTYPES),
    device: str = "cpu",
    progress: Progress = lambda done, total, what: None,
) -> tuple[list[Row], list[str]]:
    """Check implementations over a grid of sizes and number formats.

    Args:
        targets: Each at each size.
        preset: quick or full.
        lengths: T, in place of the preset's.
        dtypes: Of `DTYPES`.
        device: cpu or cuda.
        progress: Called before each size.

    Returns:
        The rows; and in words what could not be run at all.

    Raises:
        UserError: An implementation that cannot be built, or that runs in none of the number formats.
    """
    rows: list[Row] = []
    notes: list[str] = []
    jobs = [(target, size) for target in targets for size in sizes(preset, lengths, target.stacked)]
    refused: dict[tuple[str, str], str] = {}
    for done, (target, size) in enumerate(jobs):
        progress(done, len(jobs), f"{target.name} at {size}")
        case = _Case(target, size, torch.device(device), thorough=preset == "full" or size.time <= LONG)
        for name in dtypes:
            if (target.name, name) in refused:
                continue
            reason = target.refusal(case.device, DTYPES[name])
            if reason is None and size == jobs[0][1] and name != "float32":
                reason = case.failure(DTYPES[name])
            if reason is not None:
                refused[target.name, name] = reason
                notes.append(f"{target.name} was not run in {name}: {reason}")
                continue
            rows += case.rows(name)
    if not rows:
        raise UserError(f"nothing could be run: {'; '.join(notes)}.")
    return rows, notes


def worst(rows: Sequence[Row]) -> list[Row]:
    """Of each quantity the row that is furthest from right, or nearest to being wrong."""
    first: dict[str, Row] = {}
    for row in rows:
        seen = first.get(row.quantity)
        if seen is None or (not row.ok, row.figure) > (not seen.ok, seen.figure):
            first[row.quantity] = row
    return list(first.values())


class _Case:
    """One implementation at one size, with its data."""

    def __init__(self, target: Target, size: Size, device: torch.device, thorough: bool) -> None:
        self.target, self.size, self.device, self.thorough = target, size, device, thorough
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.implementation: Implementation = target.at(size, device)
        generator = torch.Generator().manual_seed(2)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator).to(device)

        self.x = normal(size.batch, size.time, size.input_size)
        self.first = [state.float() for state in self.implementation.states(size.batch, size.input_size, device)]
        self.cotangents = normal(size.batch, size.time, self.implementation.width), [
            normal(*state.shape) for state in self.first
        ]
        # Not sorted, and one of a single time step.
        batch, time = size.batch, size.time
        self.lengths = [1 + (time - 1) * row // max(batch - 1, 1) for row in (*range(1, batch), 0)]
        self.references = cache(self._references)

    # --- runs -------------------------------------------------------------------------------------------------------

    def _results(
        self, runner: Runner, dtype: torch.dtype, double: bool, state: bool = True, padded: bool = False,
        cuts: Sequence[int] = (),
    ) -> dict[str, Tensor]:  # fmt: skip
        """On inputs rounded to the number format, then in float64 where ``double``."""

        def cast(value: Tensor, form: torch.dtype = dtype) -> Tensor:
            return value.to(form).double() if double else value.to(form)

        form = self.implementation.state_dtype(dtype)
        states = [cast(value, form) for value in self.first] if state and self.first else None
        of_y, of_states = cast(self.cotangents[0]), [cast(value, form) for value in self.cotangents[1]]
        lengths = self.lengths if padded else None
        if lengths is not None:
            inside = torch.arange(self.size.time, device=self.device) < torch.tensor(lengths, device=self.device)[:, None]
            of_y = of_y * inside.unsqueeze(-1)
        names = self.implementation.state_names
        values = run_results(runner, cast(self.x), states, names, (of_y, of_states), cuts, lengths)
        if lengths is not None:
            values["y"] = torch.where(inside.unsqueeze(-1), values["y"], 0)
        return values

    def _references(
        self, dtype: torch.dtype, state: bool = True, padded: bool = False
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """What is right, and the largest error allowed, by tensor."""
        exact = self._results(self.implementation.exact(dtype), dtype, True, state, padded)
        if dtype == torch.float64:
            return exact, near(exact, exact, dtype, 1.0)
        plain = self._results(self.implementation.plain(dtype), dtype, False, state, padded)
        multiple = self.target.multiple(self.device, dtype)
        allowed = near(exact, plain, dtype, multiple)
        unit, tokens = torch.finfo(dtype).eps, self.size.batch * self.size.time
        for name, truth in exact.items():
            allowed[name] = max(allowed[name], multiple * rounding(name, tokens, unit, dtype) * largest(truth))
        return exact, allowed

    def failure(self, dtype: torch.dtype) -> str | None:
        """None where the implementation runs in this number format; else what it raises."""
        try:
            self._results(self.implementation.tested(dtype), dtype, False)
        except Exception as error:
            return told(error)
        return None

    # --- checks -----------------------------------------------------------------------------------------------------

    def rows(self, name: str) -> list[Row]:
        """Of all checks in a number format; an exception is a failed check."""
        rows, dtype = [], DTYPES[name]
        for check, work in self._checks(dtype):
            about = (self.target.name, self.size, name, check)
            try:
                findings = list(work())
            except Exception as error:  # a third party's code may raise anything
                rows.append(Row(*about, "", False, math.inf, math.inf, f"it raised {told(error)}"))
                continue
            rows += [Row(*about, quantity, figure <= 1, figure, error, where)
                     for quantity, figure, error, where in findings]  # fmt: skip
        return rows

    def _checks(self, dtype: torch.dtype) -> Iterator[tuple[str, Callable[[], Iterator[Finding]]]]:
        yield "whole", partial(self._compared, dtype)
        stateful, time = bool(self.first), self.size.time
        if stateful and self.thorough:
            yield "zero state", partial(self._compared, dtype, state=False)
        if stateful and time > 1 and self.size.directions == 1:
            yield "chunks", partial(self._compared, dtype, cuts=sorted({1, time // 3 + 1, time - 1} - {time}))
        if self.target.takes_lengths and time > 1 and self.thorough:
            yield "lengths", partial(self._compared, dtype, padded=True)
        yield "inference", partial(self._inference, dtype)
        yield "repeat", partial(self._repeated, dtype)
        if dtype == torch.float64 and not self.target.trusted and time <= LONG:
            yield "finite differences", self._finite_differences

    def _compared(
        self, dtype: torch.dtype, state: bool = True, padded: bool = False, cuts: Sequence[int] = ()
    ) -> Iterator[Finding]:
        exact, allowed = self.references(dtype, state, padded)
        tested = self._results(self.implementation.tested(dtype), dtype, False, state, padded, cuts)
        yield from _findings(tested, exact, allowed)

    def _inference(self, dtype: torch.dtype) -> Iterator[Finding]:
        exact, allowed = self.references(dtype)
        form = self.implementation.state_dtype(dtype)
        with torch.inference_mode():
            first = [value.to(form) for value in self.first] or None
            y, last = self.implementation.tested(dtype).run(self.x.to(dtype), first, None)
        tested = {"y": y, **dict(zip(self.implementation.state_names, last, strict=True))}
        yield from _findings(tested, {name: exact[name] for name in tested}, allowed)

    def _repeated(self, dtype: torch.dtype) -> Iterator[Finding]:
        runner = self.implementation.tested(dtype)
        first = self._results(runner, dtype, False)
        self._results(runner, dtype, False, state=False)
        second = self._results(runner, dtype, False)
        allowed = dict.fromkeys(first, 0.0)
        if self.device.type != "cpu":  # a GPU's kernels may sum in any order
            allowed = self.references(dtype)[1]
        yield from _findings(second, first, allowed)

    def _finite_differences(self) -> Iterator[Finding]:
        """Along a random direction of unit length for each tensor, of the reference in float64."""
        runner = self.implementation.exact(torch.float64)
        leaves = {"x": self.x.double(), **dict(zip(self.implementation.state_names, self.first, strict=True))}
        leaves = {name: value.double().clone().requires_grad_() for name, value in leaves.items()}
        names = list(leaves)

        def outputs() -> list[Tensor]:
            y, last = runner.run(leaves["x"], [leaves[name] for name in names[1:]] or None, None)
            return [y, *last]

        cotangents = [value.double() for value in (self.cotangents[0], *self.cotangents[1])]
        slopes = gradients(outputs(), cotangents, leaves | dict(runner.weights))
        generator, h = torch.Generator().manual_seed(4), 1e-4
        for name, leaf in (leaves | dict(runner.weights)).items():
            direction = torch.randn(leaf.shape, generator=generator, dtype=torch.float64).to(leaf.device)
            direction /= direction.norm()
            values = []
            with torch.no_grad():
                for step in (h, -2 * h):
                    leaf += step * direction
                    values.append(sum(float((y * c).sum()) for y, c in zip(outputs(), cotangents, strict=True)))
                leaf += h * direction
            slope = slopes[f"grad {name}"]
            error = abs((values[0] - values[1]) / (2 * h) - float((slope * direction).sum()))
            # What a random direction sees of a gradient, and what the subtraction leaves of a value's digits.
            seen = float(slope.norm()) / math.sqrt(leaf.numel())
            allowed = 1e-5 * seen + 1e-12 * (abs(values[0]) + 1) / h
            yield f"grad {name}", error / allowed, error / seen if seen else math.inf * bool(error > allowed), ""


#: Quantity; error as a multiple of what is allowed, and as a share of the largest entry; where.
Finding = tuple[str, float, float, str]


def _findings(
    tested: Mapping[str, Tensor], exact: Mapping[str, Tensor], allowed: Mapping[str, float]
) -> Iterator[Finding]:
    for name, truth in exact.items():
        if tested[name].shape != truth.shape:
            wrong = f"it is {tuple(tested[name].shape)}, not {tuple(truth.shape)}"
            yield name, math.inf, math.inf, wrong
            continue
        errors = (tested[name].double() - truth.double()).abs()
        error, size = largest(errors), largest(truth)
        figure = error / allowed[name] if allowed[name] else (0.0 if error == 0 else math.inf)
        where = ""
        if figure > 1 and name in ("y", "grad x"):
            times = (~(errors <= allowed[name])).nonzero()[:, :2].tolist()
            row, time = min(times, key=lambda place: (place[1], place[0]))
            where = f"first in row {row} at t = {time}"
        yield name, figure, error / size if size else (0.0 if error == 0 else math.inf), where
