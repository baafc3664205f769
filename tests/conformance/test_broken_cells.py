"""Cells and backends, each with one fault: refused, by the property that it lacks, with a word on where."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
import torch
from support.saboteurs import Saboteur, Spoil, forgets_the_state, loop, no_gradient_to_the_state
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.backends import BACKENDS
from rnnbench.cells import Cell, registry
from rnnbench.cli.check_cell import verdicts
from rnnbench.conformance import PROPERTIES, CellUnderTest, CheckResult, check
from rnnbench.conformance.property import Rule
from rnnbench.conformance.sequences import chunk, reference, worst


class Right(Cell):
    """s' = tanh(W x + U s + b): what the others are except for their fault."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias)

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return torch.tanh(u + s @ self.weight_hh.t())


class StateInModule(Right):
    """Keeps its state in the module and ignores its argument."""

    kept: Tensor | None = None

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        self.kept = super().step(u, torch.zeros_like(s) if self.kept is None else self.kept.detach())
        return self.kept


class Keepsake(Right):
    """Computes the right thing, and keeps its last state."""

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        self.last = super().step(u, s)
        return self.last


class Restarts(Right):
    """Begins anew at every call: a mark on the first time step makes it forget the state."""

    def drive(self, x: Tensor) -> Tensor:
        first = torch.zeros_like(x[..., :1])
        first[:, 0] = 1
        return torch.cat((super().drive(x), first), dim=-1)

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return super().step(u[:, :-1], s * (1 - u[:, -1:]))


class WrongTanh(torch.autograd.Function):
    """tanh with the derivative 1 − y."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return gradient * (1 - y)


class WrongGradient(Right):
    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return WrongTanh.apply(u + s @ self.weight_hh.t())  # type: ignore[no-any-return]


class Detached(Right):
    """Truncates backpropagation at every step."""

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return super().step(u, s.detach())


class InPlace(Right):
    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return s.copy_(super().step(u, s))


class LooksAhead(Right):
    def drive(self, x: Tensor) -> Tensor:
        return super().drive(x + x.roll(-1, dims=1))


class LooksAheadDetached(Right):
    """The same without a gradient."""

    def drive(self, x: Tensor) -> Tensor:
        return super().drive(x + x.detach().roll(-1, dims=1))


class ReadsTwice(Right):
    def read(self, s: Tensor, u: Tensor) -> Tensor:
        return torch.cat((s, s), dim=-1)


class Mixes(Right):
    """Subtracts the mean of the batch."""

    def drive(self, x: Tensor) -> Tensor:
        u = super().drive(x)
        return u - u.mean(0, keepdim=True)


class MixesDetached(Right):
    """Divides by the largest entry of the batch, without a gradient."""

    def drive(self, x: Tensor) -> Tensor:
        return super().drive(x / x.detach().abs().amax(dim=(0, 1)))


class Bfloat16State(Right):
    def initial_state(self, batch: int) -> Tensor:
        return torch.zeros(batch, self.hidden_size, dtype=torch.bfloat16, device=self.bias.device)


class Float32State(Right):
    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return super().step(u, s).float()


class WideGate(Right):
    def gate_values(self, u: Tensor, s: Tensor) -> dict[str, Tensor]:
        return {"update": 2 * torch.sigmoid(u)}


class LostGate(Right):
    """Takes the mean of a gate over its rows."""

    def gate_values(self, u: Tensor, s: Tensor) -> dict[str, Tensor]:
        return {"update": torch.sigmoid(u).mean(0)}


class MixedGate(Right):
    """Shows each row's gate less the first row's."""

    def gate_values(self, u: Tensor, s: Tensor) -> dict[str, Tensor]:
        return {"update": torch.sigmoid(u - u[:1])}


class Explodes(Right):
    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return 1 / s.square()


class Raises(Right):
    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return u @ s


class Branches(Right):
    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return super().step(u, s) if s.sum() > 0 else super().step(u, -s)


class DropsOut(Right):
    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return F.dropout(super().step(u, s))


#: What a run leaves behind outside of the module.
_LEFT = [0.0]


class Global(Right):
    """Remembers in a global variable what the last run read."""

    def drive(self, x: Tensor) -> Tensor:
        return super().drive(x) + _LEFT[0]

    def read(self, s: Tensor, u: Tensor) -> Tensor:
        _LEFT[0] = float(s.detach().mean())
        return s


TWICE = "step, called twice with the same, gives two different results"
NO_MATRIX = r"step of \(3, 8\) and \(3, 8\) raised RuntimeError: mat1 and mat2 shapes cannot be multip.*"
#: Cell, the properties that it lacks, and what the first result says.
BROKEN: list[tuple[type[Cell], set[str], str]] = [
    (StateInModule, {"contract"}, r"step gives \(3, 8\), expected \(B, \*S\) = \(1, 8\)"),
    (Keepsake, {"memory"}, "a run changes `last`: what is to be remembered belongs in the state"),
    (Restarts, {"chunk", "use", "views"}, r"y, first at t = \d+, cut at [\d, ]+"),
    (WrongGradient, {"gradient", "tap"}, r"grad \w+"),
    (Detached, {"gradient", "tap"}, r"grad \w+"),
    (InPlace, {"purity", "chunk"}, "step writes into the s that it is given, in place"),
    (LooksAhead, {"chunk", "causality"}, r"y, first at t = \d+, cut at [\d, ]+"),
    (LooksAheadDetached, {"chunk", "gradient", "causality"}, r"y, first at t = \d+, cut at [\d, ]+"),
    (ReadsTwice, {"contract"}, r"read gives \(3, 13, 16\), expected \(B, T, H\) = \(3, 13, 8\)"),
    (Mixes, {"batch"}, "y in row 0 of the batch depends on x in row 1"),
    (WideGate, {"gates"}, r"gate_values gives for update from [\d.]+ to 1[.]\d+, expected 0 … 1"),
    (LostGate, {"gates"}, r"gate_values gives for update \(8,\), expected \(B, …\) = \(3, …\)"),
    (MixedGate, {"gates"}, "gate_values gives for update what changes with the rows beside it"),
    (Bfloat16State, {"contract"}, r"initial_state\(3\) of a cell in float32 is bfloat16, expected float32"),
    (Float32State, {"contract"}, "step turns a state in float64 into one in float32"),
    (Explodes, {"contract"}, "y is not finite at t = 0, from the initial state"),
    (Raises, {"contract"}, NO_MATRIX),
    (Branches, {"copies", "batch"}, "on the meta device, .*: write torch.where"),
    (DropsOut, {"purity", "chunk"}, TWICE),
]
#: Cell, a property that it lacks, and what that property's first result says.
WHERE: list[tuple[type[Cell], str, str]] = [
    (LooksAhead, "causality", "y at t = 0 depends on x at t = 1"),
    (LooksAheadDetached, "causality", "y before t = 1 changes when x from t = 1 on does"),
    (MixesDetached, "batch", "y in row 0 of the batch changes when rows 1 and 2 do"),
    (Global, "construction", "y is another one when it is run again"),
]


@pytest.fixture(autouse=True)
def put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.cell_names()
    monkeypatch.setattr(registry, "_CELLS", dict(registry._CELLS))


def broken(cls: type[Cell]) -> list[CheckResult]:
    registry._CELLS["tested"] = cls
    return [result for result in check("tested") if result.ok is False]


def test_the_right_one_has_every_property() -> None:
    """It is not these tests' own code that is refused."""
    assert broken(Right) == []
    assert {result.property for result in check("tested")} == {"backend", *PROPERTIES}


@pytest.mark.parametrize(("cls", "lacks", "words"), BROKEN, ids=[cls.__name__ for cls, _, _ in BROKEN])
def test_what_fails_is_named(cls: type[Cell], lacks: set[str], words: str) -> None:
    results = broken(cls)
    assert {result.property for result in results} == lacks
    assert re.fullmatch(words, results[0].where), results[0].where
    lines = verdicts("tested", results)
    assert len(lines) == len(lacks)
    for line in lines:
        assert re.match(rf"tested: the ({'|'.join(lacks)}) check fails \(loop in float\d\d", line)
        assert "\n" not in line


@pytest.mark.parametrize(("cls", "lacks", "words"), WHERE, ids=[cls.__name__ for cls, _, _ in WHERE])
def test_where_it_fails(cls: type[Cell], lacks: str, words: str) -> None:
    assert next(result.where for result in broken(cls) if result.property == lacks) == words


def wrong_from_seven_on(cell: Cell, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    y, last = loop(cell, x, state)
    return torch.cat((y[:, :7], 1.001 * y[:, 7:]), dim=1), last


@pytest.fixture
def sabotage(monkeypatch: pytest.MonkeyPatch) -> Callable[[Spoil], Saboteur]:
    """Put a wrong backend among the others."""

    def put(spoil: Spoil) -> Saboteur:
        saboteur = Saboteur(spoil)
        monkeypatch.setitem(BACKENDS, "saboteur", saboteur)
        return saboteur

    return put


@pytest.mark.parametrize("spoil", [forgets_the_state, no_gradient_to_the_state, wrong_from_seven_on])
def test_a_wrong_backend_is_named(spoil: Spoil, sabotage: Callable[[Spoil], Saboteur]) -> None:
    sabotage(spoil)
    results = broken(Right)
    assert {result.property for result in results} == {"chunk", "reference"}
    assert {result.backend for result in results} == {"saboteur"}
    assert all(result.figure is not None and result.figure > 10 for result in results)


@pytest.mark.parametrize("spoil", [forgets_the_state, no_gradient_to_the_state])
@pytest.mark.parametrize("rule", [chunk, reference])
def test_a_wrong_backend_is_found_in_bfloat16(spoil: Spoil, rule: Rule, sabotage: Callable[[Spoil], Saboteur]) -> None:
    """Coarse as it is: what it allows is a tenth of a tensor's largest entry, or a little more."""
    sabotage(spoil)
    subject = CellUnderTest("gru")
    figure, _ = rule(subject, "saboteur", torch.bfloat16)
    assert figure is not None
    assert figure > 2
    assert subject.sample(torch.bfloat16).state.dtype == torch.float32


def test_where_a_backend_goes_wrong(sabotage: Callable[[Spoil], Saboteur]) -> None:
    sabotage(wrong_from_seven_on)
    registry.register_cell("tested")(Right)
    subject = CellUnderTest("tested")
    truth, tested = ({"y": subject.results(torch.float64, name)["y"]} for name in ("loop", "saboteur"))
    figure, where = worst(tested, truth, {"y": 1e-9})
    assert figure > 1e5
    assert where == "y, first at t = 7"


def test_a_backend_that_runs_on_request_only(
    sabotage: Callable[[Spoil], Saboteur], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listed, and left out, unless it is asked for."""
    monkeypatch.setattr(sabotage(forgets_the_state), "on_request_only", True, raising=False)
    assert broken(Right) == []
    assert CheckResult("backend", "saboteur", "", None, None, "runs on request only") in check("tested")
    asked = check("tested", backends=["saboteur"])
    assert {result.property for result in asked if result.ok is False} == {"chunk", "reference"}


class Kinked(Right):
    """relu without a bias: at x = 0 and s = 0 it is at its kink."""

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return torch.relu(u - self.bias + s)


@pytest.fixture
def on_the_kink(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Let the first so many samples be all zero."""
    sample = CellUnderTest._sample

    def first(count: int) -> None:
        def zeroed(self: CellUnderTest, dtype: torch.dtype, seed: int = 0, scale: float = 1.0) -> object:
            drawn = sample(self, dtype, seed, scale)
            if seed < count:
                drawn.x.zero_()
                drawn.state.zero_()
            return drawn

        monkeypatch.setattr(CellUnderTest, "_sample", zeroed)

    return first


@pytest.mark.parametrize(("zeros", "ok"), [(0, True), (2, True), (3, False)])
def test_a_kink_is_no_false_alarm(zeros: int, ok: bool, on_the_kink: Callable[[int], None]) -> None:
    """A draw on a kink is drawn again; where every draw is on one, the check fails."""
    on_the_kink(zeros)
    registry.register_cell("tested")(Kinked)
    assert [result.ok for result in PROPERTIES["gradient"].findings(CellUnderTest("tested"))] == [ok]
