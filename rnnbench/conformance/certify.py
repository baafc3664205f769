"""`rnnbench certify`: is a recurrent layer right on this machine? Outputs, last states and every gradient.

An implementation is run at each size in each number format, and compared with what it should compute: the same in
float64, one time step at a time, of the same rounded weights and inputs. An error is judged as a multiple of what is
allowed: `Target.multiple` times the error of the plain loop in the same number format, which is at least `rounding`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial

import torch
from torch import Tensor

from rnnbench.conformance.cell_under_test import gradients, largest
from rnnbench.conformance.certified import Row
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
    "repeat": "the first again after the others: on a CPU identical bit for bit",
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
LENGTHS = {"quick": (1, 13, 150, 1050), "full": (1, 2, 13, 150, 512, 2048)}
MIDDLE = 13
#: Beyond so many time steps no finite differences are taken, and other checks only on request.
LONG = 200
#: Weights of an input matrix below which errors are looked at in several samples.
FEW = 16
#: An error of up to so many times what is allowed must show in two samples, the second by the rounding errors of all
#: samples: a rounding that tips a relu, or a norm over two numbers that are nearly equal, may come to thirty times its
#: usual error (`nn.RNN` with relu in bfloat16 at H 57: 0.7 to 35 % of a gradient).
CHANCE = 30.0
#: Of inputs and cotangents.
SAMPLES = 4


def grid(targets: Sequence[Target], preset: str, lengths: Sequence[int] | None = None) -> list[tuple[Target, Size]]:
    """Each implementation at each size of a preset, quick or full, the shortest first; at other lengths where given."""
    first, *others = WIDTHS[preset]
    times = sorted(set(lengths or LENGTHS[preset]))
    middle = MIDDLE if MIDDLE in times else times[len(times) // 2]
    sizes = [Size(first[0], time, *first[1:]) for time in times]
    sizes += [
        Size(batch, time, *widths) for batch, *widths in others for time in (times if preset == "full" else [middle])
    ]
    stack = Size(first[0], middle, *first[1:], layers=2, directions=2)
    return [
        (target, size)
        for target in targets
        for size in sorted([*sizes, *([stack] if target.stacked else [])], key=lambda size: size.time)
    ]


#: (sizes that are done, sizes in all, what comes next).
Progress = Callable[[int, int, str], object]


def certify(
    jobs: Sequence[tuple[Target, Size]],
    dtypes: Sequence[str] = tuple(DTYPES),
    device: str = "cpu",
    thorough: bool = True,
    progress: Progress = lambda done, total, what: None,
) -> tuple[list[Row], list[str]]:
    """Check implementations at some sizes in some number formats.

    Args:
        jobs: What `grid` gives.
        dtypes: Of `DTYPES`.
        device: cpu or cuda.
        thorough: Beyond `LONG` time steps as well make the checks that need references of their own: without a state,
            of unlike lengths, in bfloat16.
        progress: Called before each size.

    Returns:
        The rows; and in words what could not be run at all.

    Raises:
        UserError: Nothing could be built, or could be run in any of the number formats.
    """
    rows: list[Row] = []
    notes: dict[str, None] = {}
    refused: set[tuple[str, str]] = set()
    for done, (target, size) in enumerate(jobs):
        progress(done, len(jobs), f"{target.name} at {size}")
        try:
            case = _Case(target, size, torch.device(device), thorough or size.time <= LONG)
        except UserError as error:
            notes[str(error).rstrip(".")] = None
            continue
        for name in dtypes:
            if (target.name, name) in refused or (name == "bfloat16" and not case.thorough):
                continue
            reason = target.refusal(case.device, DTYPES[name])
            if (
                reason is None
                and name != "float32"
                and not any((row.implementation, row.dtype) == (target.name, name) for row in rows)
            ):
                reason = case.failure(DTYPES[name])
            if reason is None:
                rows += case.rows(name)
            else:
                refused.add((target.name, name))
                notes[f"{target.name} was not run in {name}: {reason}"] = None
    if not rows:
        raise UserError(f"nothing could be checked: {'; '.join(notes)}.")
    return rows, list(notes)


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

        self.first = [state.float() for state in self.implementation.states(size.batch, size.input_size, device)]
        # The first is what is tested, and the second what is looked at again, by the rounding errors of all. So is the
        # first where a tensor is a number or two: what rounding makes of it may be next to nothing by chance.
        self.samples = [
            (
                normal(size.batch, size.time, size.input_size),
                normal(size.batch, size.time, self.implementation.width),
                [normal(*state.shape) for state in self.first],
            )
            for _ in range(SAMPLES)
        ]
        # Not sorted, and one of a single time step.
        batch, time = size.batch, size.time
        self.lengths = [1 + (time - 1) * row // max(batch - 1, 1) for row in (*range(1, batch), 0)]
        self.tested, self.references = cache(self.implementation.tested), cache(self._references)
        self.exact = cache(self._exact)
        self.whole = cache(lambda dtype: self._results(self.tested(dtype), dtype, False))

    # --- runs -------------------------------------------------------------------------------------------------------

    def _results(
        self, runner: Runner, dtype: torch.dtype, double: bool, state: bool = True, padded: bool = False,
        cuts: Sequence[int] = (), sample: int = 0,
    ) -> dict[str, Tensor]:  # fmt: skip
        """On inputs rounded to the number format, then in float64 where ``double``."""
        x, of_y, of_states = self.samples[sample]

        def cast(value: Tensor, form: torch.dtype = dtype) -> Tensor:
            return value.to(form).double() if double else value.to(form)

        form = self.implementation.state_dtype(dtype)
        states = [cast(value, form) for value in self.first] if state and self.first else None
        of_y, of_states = cast(of_y), [cast(value, form) for value in of_states]
        lengths = self.lengths if padded else None
        if lengths is not None:
            inside = (
                torch.arange(self.size.time, device=self.device) < torch.tensor(lengths, device=self.device)[:, None]
            )
            of_y = of_y * inside.unsqueeze(-1)
        names = self.implementation.state_names
        values = run_results(runner, cast(x), states, names, (of_y, of_states), cuts, lengths)
        if lengths is not None:
            values["y"] = torch.where(inside.unsqueeze(-1), values["y"], 0)
        return values

    def _references(
        self, dtype: torch.dtype, state: bool = True, padded: bool = False, sample: int = 0
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """What is right, and the largest error allowed, by tensor."""
        # For weights and inputs are drawn in float32.
        exact = self.exact(torch.float32 if dtype == torch.float64 else dtype, state, padded, sample)
        if dtype == torch.float64:
            return exact, near(exact, exact, dtype, 1.0)
        multiple, unit = self.target.multiple(self.device, dtype), torch.finfo(dtype).eps
        plainly, tokens = self.implementation.plain(dtype), self.size.batch * self.size.time
        allowed = dict.fromkeys(exact, 0.0)
        few = self.size.hidden_size * self.size.input_size < FEW
        for other in range(SAMPLES) if few or sample else (0,):
            truth = self.exact(dtype, state, padded, other)
            plain = self._results(plainly, dtype, False, state, padded, sample=other)
            for name, figure in near(truth, plain, dtype, multiple).items():
                least = multiple * rounding(name, tokens, unit, dtype) * largest(truth[name])
                allowed[name] = max(allowed[name], figure, least)
        return exact, allowed

    def _exact(self, dtype: torch.dtype, state: bool, padded: bool, sample: int) -> dict[str, Tensor]:
        return self._results(self.implementation.exact(dtype), dtype, True, state, padded, sample=sample)

    def failure(self, dtype: torch.dtype) -> str | None:
        """None where the implementation runs in this number format; else what it raises."""
        try:
            self.whole(dtype)
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
        def findings(sample: int) -> dict[str, Finding]:
            exact, allowed = self.references(dtype, state, padded, sample)
            if sample == 0 and state and not padded and not cuts:
                tested = self.whole(dtype)
            else:
                tested = self._results(self.tested(dtype), dtype, False, state, padded, cuts, sample)
            return {finding[0]: finding for finding in _findings(tested, exact, allowed)}

        first = findings(0)
        if any(1 < figure <= CHANCE for _, figure, _, _ in first.values()):
            second = findings(1)
            for name, finding in first.items():
                first[name] = min(finding, second[name], key=lambda one: one[1]) if finding[1] > 1 else finding
        yield from first.values()

    def _inference(self, dtype: torch.dtype) -> Iterator[Finding]:
        exact, allowed = self.references(dtype)
        form = self.implementation.state_dtype(dtype)
        with torch.inference_mode():
            first = [value.to(form) for value in self.first] or None
            y, last = self.tested(dtype).run(self.samples[0][0].to(dtype), first, None)
        tested = {"y": y, **dict(zip(self.implementation.state_names, last, strict=True))}
        yield from _findings(tested, {name: exact[name] for name in tested}, allowed)

    def _repeated(self, dtype: torch.dtype) -> Iterator[Finding]:
        first, second = self.whole(dtype), self._results(self.tested(dtype), dtype, False)
        allowed = dict.fromkeys(first, 0.0)
        if self.device.type != "cpu":  # a GPU's kernels may sum in any order
            allowed = self.references(dtype)[1]
        yield from _findings(second, first, allowed)

    def _finite_differences(self) -> Iterator[Finding]:
        """Along a random direction of unit length for each tensor, of the reference in float64."""
        runner = self.implementation.exact(torch.float64)
        leaves = {
            "x": self.samples[0][0].double(),
            **dict(zip(self.implementation.state_names, self.first, strict=True)),
        }
        leaves = {name: value.double().clone().requires_grad_() for name, value in leaves.items()}
        names = list(leaves)

        def outputs() -> list[Tensor]:
            y, last = runner.run(leaves["x"], [leaves[name] for name in names[1:]] or None, None)
            return [y, *last]

        cotangents = [value.double() for value in (self.samples[0][1], *self.samples[0][2])]
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
