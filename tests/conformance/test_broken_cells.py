"""Cells and backends, each with one thing wrong: refused, by the law that it breaks, with a word on where."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.backends import BACKENDS, Backend, Request
from rnnbench.backends.loop import Loop
from rnnbench.cells import Cell, registry
from rnnbench.cli.check_cell import verdicts
from rnnbench.conformance import PROPERTIES, CellUnderTest, CheckResult, check
from rnnbench.conformance.property import Rule
from rnnbench.conformance.sequences import chunk, reference, worst


class Right(Cell):
    """s' = tanh(W x + U s + b): what the others are but for their fault."""

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


class OwnState(Right):
    """Keeps its state in the module and ignores the one it is given."""

    own: Tensor | None = None

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        self.own = super().step(u, torch.zeros_like(s) if self.own is None else self.own.detach())
        return self.own


class Keepsake(Right):
    """Computes the right thing, and keeps its last state."""

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        self.last = super().step(u, s)
        return self.last


class Restarts(Right):
    """Begins anew at every call: a mark on the first instant makes it forget the state."""

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
    """The same where no gradient tells."""

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
    """Divides by the largest entry of the batch, where no gradient tells."""

    def drive(self, x: Tensor) -> Tensor:
        return super().drive(x / x.detach().abs().amax(dim=(0, 1)))


class Bfloat16State(Right):
    def initial_state(self, batch: int) -> Tensor:
        return torch.zeros(batch, self.hidden_size, dtype=torch.bfloat16, device=self.bias.device)


class Float32State(Right):
    """Steps in float32 whatever it is given."""

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return super().step(u, s).float()


class WideGate(Right):
    """Says of a gate what is none's to be."""

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


#: Cell, the laws it breaks, and the first finding's words.
BROKEN: list[tuple[type[Cell], set[str], str]] = [
    (OwnState, {"purity", "chunk"}, "step, called twice with the same, gives two different results"),
    (Keepsake, {"memory"}, "a run changes the cell's own `last`: what is to be remembered belongs in the state"),
    (Restarts, {"chunk"}, r"y, first at t = \d+, cut at [\d, ]+"),
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
    (
        Raises,
        {"contract"},
        r"step of \(3, 8\) and \(3, 8\) raised RuntimeError: mat1 and mat2 shapes cannot be multip.*",
    ),
    (Branches, {"copies", "batch"}, "on the meta device, .* does it branch on values[?]"),
    (DropsOut, {"purity", "chunk"}, "step, called twice with the same, gives two different results"),
]


@pytest.fixture(autouse=True)
def put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.cell_names()
    monkeypatch.setattr(registry, "_CELLS", dict(registry._CELLS))


def broken(cls: type[Cell]) -> list[CheckResult]:
    registry._CELLS["tested"] = cls
    return [finding for finding in check("tested") if finding.ok is False]


def test_the_right_one_keeps_every_law() -> None:
    """The scaffolding of these tests is not what is refused."""
    assert broken(Right) == []
    assert {finding.law for finding in check("tested")} == {"backend", *PROPERTIES}


@pytest.mark.parametrize(("cls", "laws", "words"), BROKEN, ids=[cls.__name__ for cls, _, _ in BROKEN])
def test_a_broken_law_is_named(cls: type[Cell], laws: set[str], words: str) -> None:
    found = broken(cls)
    assert {finding.law for finding in found} == laws
    assert re.fullmatch(words, found[0].where), found[0].where
    lines = verdicts("tested", found)
    assert len(lines) == len(laws)
    for line in lines:
        assert re.match(rf"tested: the ({'|'.join(laws)}) check fails \(loop in float\d\d", line)
        assert "\n" not in line


def test_looking_ahead_says_how_far() -> None:
    (found,) = (finding for finding in broken(LooksAhead) if finding.law == "causality")
    assert found.where == "y at t = 0 depends on x at t = 1"
    (found,) = (finding for finding in broken(LooksAheadDetached) if finding.law == "causality")
    assert found.where == "y before t = 1 changes when x from t = 1 on does"


def test_mixing_is_found_where_no_gradient_tells() -> None:
    (found,) = (finding for finding in broken(MixesDetached) if finding.law == "batch")
    assert found.where == "y in row 0 of the batch changes when rows 1 and 2 do"


def test_memory_outside_of_the_module() -> None:
    found = broken(Global)
    assert "determinism" in {finding.law for finding in found}
    (first, *_) = (finding for finding in found if finding.law == "determinism")
    assert first.where == "y, first at t = 0 is another one when the same is run again"


class Saboteur(Backend):
    """The loop, with something done to its work."""

    name = "saboteur"

    def __init__(self, spoil: Callable[[Cell, Tensor, Tensor], tuple[Tensor, Tensor]]) -> None:
        self.spoil = spoil

    def refusal(self, cell: Cell, request: Request) -> str | None:
        return "no" if request.tap or request.states else None

    def run(
        self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool
    ) -> tuple[Tensor, Tensor]:
        return self.spoil(cell, x, state)


def forgets_the_state(cell: Cell, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    return Loop().run(cell, x, 0 * state, None, False)


def drops_a_gradient(cell: Cell, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    return Loop().run(cell, x, state.detach(), None, False)


def wrong_from_seven_on(cell: Cell, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    y, last = Loop().run(cell, x, state, None, False)
    return torch.cat((y[:, :7], 1.001 * y[:, 7:]), dim=1), last


@pytest.mark.parametrize(
    ("spoil", "laws"),
    [
        (forgets_the_state, {"chunk", "reference"}),
        (drops_a_gradient, {"chunk", "reference"}),
        (wrong_from_seven_on, {"chunk", "reference"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_wrong_backend_is_named(
    spoil: Callable[[Cell, Tensor, Tensor], tuple[Tensor, Tensor]], laws: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKENDS, "saboteur", Saboteur(spoil))
    found = broken(Right)
    assert {finding.law for finding in found} == laws
    assert {finding.backend for finding in found} == {"saboteur"}
    assert all(finding.figure is not None and finding.figure > 10 for finding in found)


@pytest.mark.parametrize("spoil", [forgets_the_state, drops_a_gradient])
@pytest.mark.parametrize("law", [chunk, reference])
def test_a_wrong_backend_is_found_in_bfloat16(
    spoil: Callable[[Cell, Tensor, Tensor], tuple[Tensor, Tensor]], law: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Coarse as it is: what it allows is a tenth of a tensor's largest entry, or a little more."""
    monkeypatch.setitem(BACKENDS, "saboteur", Saboteur(spoil))
    subject = CellUnderTest("gru")
    figure, _ = law(subject, "saboteur", torch.bfloat16)
    assert figure is not None
    assert figure > 2
    assert subject.sample(torch.bfloat16).state.dtype == torch.float32


def test_where_a_backend_goes_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """The values are wrong from t = 7 on, and among what the law says is when."""
    monkeypatch.setitem(BACKENDS, "saboteur", Saboteur(wrong_from_seven_on))
    registry.register_cell("tested")(Right)
    subject = CellUnderTest("tested")
    truth = {"y": subject.results(torch.float64, "loop")["y"]}
    figure, where = worst({"y": subject.results(torch.float64, "saboteur")["y"]}, truth, {"y": 1e-9})
    assert figure > 1e5
    assert where == "y, first at t = 7"


def test_a_backend_that_runs_on_request_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listed, and left out, unless it is asked for."""
    saboteur = Saboteur(forgets_the_state)
    monkeypatch.setattr(saboteur, "on_request_only", True, raising=False)
    monkeypatch.setitem(BACKENDS, "saboteur", saboteur)
    assert broken(Right) == []
    assert CheckResult("backend", "saboteur", "", None, None, "runs on request only") in check("tested")
    asked = check("tested", backends=["saboteur"])
    assert {finding.law for finding in asked if finding.ok is False} == {"chunk", "reference"}


class Kinked(Right):
    """relu without a bias: at x = 0 and s = 0 it sits on its kink."""

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return torch.relu(u - self.bias + s)


@pytest.fixture
def on_the_kink(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Let the first so many samples be all zero."""
    sample = CellUnderTest._sample

    def first(count: int) -> None:
        def zeroed(self: CellUnderTest, dtype: torch.dtype, seed: int = 0) -> object:
            made = sample(self, dtype, seed)
            if seed < count:
                made.x.zero_()
                made.state.zero_()
            return made

        monkeypatch.setattr(CellUnderTest, "_sample", zeroed)

    return first


@pytest.mark.parametrize(("zeros", "ok"), [(0, True), (2, True), (3, False)])
def test_a_kink_is_no_false_alarm(zeros: int, ok: bool, on_the_kink: Callable[[int], None]) -> None:
    """A draw on a kink is drawn again; where every draw is on one, the law is broken."""
    on_the_kink(zeros)
    registry.register_cell("tested")(Kinked)
    assert [finding.ok for finding in PROPERTIES["gradient"].findings(CellUnderTest("tested"))] == [ok]
