"""One cell for each kind of fault that a check is there for: refused by that check, with a word on what is wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells import GRU, LSTM, RNN, Cell, registry
from rnnbench.config import CellConfig
from rnnbench.conformance import PROPERTIES, CellUnderTest, check, like
from rnnbench.errors import UserError


class Plain(Cell):
    """s' = tanh(W x + U s + b)."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()
        self.more(hidden_size)

    def more(self, size: int) -> None:
        """What a faulty one does besides."""

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias)

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return torch.tanh(u + s @ self.weight_hh.t())


class Clock(Plain):
    """Counts its steps in the last number of its state, and uses the count."""

    @property
    def state_shape(self) -> tuple[int, ...]:
        return (self.hidden_size + 1,)

    def at(self, s: Tensor, t: Tensor) -> Tensor:
        """The state that goes into a step."""
        return torch.where(t % 4 < 2, s, 0.5 * s)

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return torch.cat((super().step(u, self.at(s[:, :-1], s[:, -1:])), s[:, -1:] + 1), dim=-1)

    def read(self, s: Tensor, u: Tensor) -> Tensor:
        return s[..., :-1]


class Learned(Plain):
    """Begins at a learned state."""

    def more(self, size: int) -> None:
        self.first = nn.Parameter(torch.rand(size))

    def initial_state(self, batch: int) -> Tensor:
        return self.first.to(torch.promote_types(self.first.dtype, torch.float32)).expand(batch, -1)


class Fourier(Plain):
    """Rounds as a transform does: 1e-17 of each input is in every other."""

    def drive(self, x: Tensor) -> Tensor:
        return super().drive(torch.fft.irfft(torch.fft.rfft(x, dim=1), n=x.shape[1], dim=1))


class Noisy(Plain):
    """Keeps some numbers of its state at random; the mean in evaluation."""

    def draw(self, batch: int, time: int) -> Tensor:
        half = torch.full((batch, time, self.hidden_size), 0.5, device=self.bias.device)
        return torch.bernoulli(half) if self.training else half

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        u, keep = u.chunk(2, dim=-1)
        return keep * s + (1 - keep) * super().step(u, s)


class Choice(Plain):
    def __init__(self, input_size: int, hidden_size: int, scale: float = 0.5, on: bool = True) -> None:
        super().__init__(input_size, hidden_size)
        self.scale, self.on = scale, on

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return super().step(u, self.scale * s if self.on else s)


class IgnoredChoice(Choice):
    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return Plain.step(self, u, s)


class Passes(torch.autograd.Function):
    """The identity with another gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.change = change
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return ctx.change(gradient), None


def with_gradient(change: Callable[[Tensor], Tensor]) -> Callable[[Any, Tensor, Tensor], Tensor]:
    return lambda self, u, s: Plain.step(self, u, Passes.apply(s, change))  # type: ignore[no-untyped-call]


def attribute(name: str, value: Callable[[int], Any]) -> Callable[[Any, int], None]:
    return lambda self, size: setattr(self, name, value(size))


def scaled(value: Callable[[Any, Tensor], Any]) -> Callable[[Any, Tensor, Tensor], Tensor]:
    """A step from a state that is multiplied by something."""
    return lambda self, u, s: Plain.step(self, u, s * value(self, s))


def seeded(seed: Callable[[int], Any]) -> Callable[[Any, int], None]:
    return lambda self, size: seed(0)


def other_first(x: Tensor) -> Tensor:
    """The last column of x is the first once more."""
    return torch.cat((x[..., :-1], x[..., :1]), dim=-1)


def last_two(self: Any, s: Tensor, u: Tensor) -> Tensor:
    """In a long sequence the last but one sees the last."""
    return torch.cat((s[:, :-2], s[:, -1:] + s[:, -2:-1], s[:, -1:]), dim=1) if s.shape[1] > 99 else s


def even(self: Any, u: Tensor, s: Tensor) -> Tensor:
    """Forgets the last number where their number is odd."""
    size = self.hidden_size // 2 * 2
    return Plain.step(self, u, torch.cat((s[:, :size], 0 * s[:, size:]), dim=-1))


def coarse(self: Any, u: Tensor, s: Tensor) -> Tensor:
    return (rational if s.dtype == torch.float32 else torch.tanh)(u + s @ self.weight_hh.t())


def rational(x: Tensor) -> Tensor:
    """tanh to 2e-2."""
    return (x * (27 + x * x) / (27 + 9 * x * x)).clamp(-1, 1)


def drawn(self: Any) -> None:
    with torch.no_grad():
        for weight in self.parameters():
            weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))


def driven(change: Callable[[Any, Tensor, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    return lambda self, x: change(self, x, Plain.drive(self, x))


CALLS = [0]


def counted(self: Any, u: Tensor, s: Tensor) -> Tensor:
    CALLS[0] += 1
    return Plain.step(self, u, s)


def table(self: Any, s: Tensor, t: Tensor) -> Tensor:
    return s * torch.linspace(0.5, 1, 200, dtype=s.dtype, device=s.device)[t.long()]


#: Check, what its message has, the form of the cell, and what is other than in it.
FAULTS: list[tuple[str, str, type[Cell], dict[str, Any]]] = [
    ("construction", "set no seed", Plain, {"reset_parameters": drawn}),
    ("construction", "seeds torch's generator", Plain, {"more": seeded(torch.manual_seed)}),
    ("construction", "numpy's random state", Plain, {"more": seeded(np.random.seed)}),
    ("construction", "Python's random state", Plain, {"more": seeded(random.seed)}),
    ("construction", "never written", Plain, {"more": attribute("w", lambda n: nn.Parameter(torch.empty(n)))}),
    ("construction", "share memory", Plain, {"more": lambda self, n: setattr(self, "w", nn.Parameter(self.bias.data))}),
    ("construction", "under another name", Plain, {"more": lambda self, n: setattr(self, "w", self.bias)}),
    ("construction", "expanded", Plain, {"more": attribute("w", lambda n: nn.Parameter(torch.rand(1).expand(n)))}),
    ("construction", "has no shape", Plain, {"more": attribute("w", lambda n: nn.LazyLinear(n))}),
    (
        "construction",
        "created by the first run",
        Plain,
        {
            "step": scaled(
                lambda self, s: getattr(self, "w", None) or setattr(self, "w", nn.Parameter(torch.ones(()))) or 1.0
            )
        },
    ),
    (
        "reload",
        "persistent",
        Plain,
        {"more": attribute("w", lambda n: float(torch.rand(()))), "step": scaled(lambda self, s: self.w)},
    ),
    ("devices", "`w[0]` is a Tensor", Plain, {"more": attribute("w", lambda n: [torch.ones(n)])}),
    (
        "devices",
        "make constants with device",
        Plain,
        {"step": scaled(lambda self, s: torch.ones(s.shape[1]).to(s.dtype))},
    ),
    (
        "start",
        "when asked again",
        Plain,
        {"initial_state": lambda self, n: torch.randn(n, self.hidden_size).to(self.bias)},
    ),
    (
        "start",
        "in a batch of 5",
        Plain,
        {"initial_state": lambda self, n: torch.full((n, self.hidden_size), 1 / n).to(self.bias)},
    ),
    ("memory", "torch's random state", Plain, {"drive": driven(lambda self, x, u: u + 0 * torch.rand(()).to(u))}),
    ("memory", "CALLS", Plain, {"step": counted}),
    ("modes", "in evaluation mode", Plain, {"step": scaled(lambda self, s: 1.0 if self.training else 0.9)}),
    ("modes", "without gradients", Plain, {"step": scaled(lambda self, s: 1.0 if torch.is_grad_enabled() else 0.9)}),
    (
        "modes",
        "contiguous",
        Plain,
        {"step": lambda self, u, s: Plain.step(self, u, s.as_strided(s.shape, (s.shape[1], 1)))},
    ),
    (
        "precision",
        "y, first at t = 0",
        Plain,
        {"step": coarse},
    ),
    ("precision", "grad x", Plain, {"step": with_gradient(lambda g: 1.001 * g if g.dtype == torch.float32 else g)}),
    (
        "range",
        "inputs of zeros, y",
        Plain,
        {"drive": lambda self, x: Plain.drive(self, x / x.norm(dim=-1, keepdim=True))},
    ),
    ("range", "inputs times 100, y", Plain, {"drive": driven(lambda self, x, u: u.exp() / u.exp().add(1))}),
    ("linearity", "cotangents times 1e+06", Plain, {"step": with_gradient(lambda g: g.clamp(-9, 9))}),
    (
        "linearity",
        "cotangents times 1e+06",
        Plain,
        {"more": lambda self, n: self.bias.register_hook(lambda g: g.clamp(-99, 99))},
    ),
    (
        "length",
        "drive of 2100 steps gives for t = 0",
        Plain,
        {"drive": driven(lambda self, x, u: u + F.pad(u, (0, 0, 0, 99))[:, 99:] if u.shape[1] > 99 else u)},
    ),
    (
        "length",
        "read of 520 steps gives for t = 518",
        Plain,
        {
            "read": lambda self, s, u: (
                torch.cat((s[:, :-2], s[:, -1:] + s[:, -2:-1], s[:, -1:]), 1) if s.shape[1] > 99 else s
            )
        },
    ),
    (
        "length",
        "no derivative at t = ",
        Clock,
        {"at": lambda self, s, t: torch.where(t % 50 > 0, Clock.at(self, s, t), s.detach())},
    ),
    ("length", "a run over 520 steps", Clock, {"at": table}),
    ("views", "is a copy", RNN, {"recurrent_matrices": lambda self: [self.weight_hh.clone()]}),
    (
        "views",
        "does it multiply x",
        Plain,
        {"more": attribute("w", lambda n: nn.Parameter(torch.rand(n, n))), "recurrent_matrices": lambda self: [self.w]},
    ),
    ("views", "'keep'] opened does not raise", LSTM, {"bias_gates": ("keep", "write")}),
    ("views", "'write'] opened neither", GRU, {"bias_gates": ("", "write")}),
    ("batch", "alone than in a batch of 33", Plain, {"step": scaled(lambda self, s: 1.0 if len(s) > 1 else 0.9)}),
    ("batch", "alone than in a batch of 33", Plain, {"step": scaled(lambda self, s: 1.0 if len(s) < 16 else 0.9)}),
    ("use", "the parameter w has no effect", Plain, {"more": attribute("w", lambda n: nn.Parameter(torch.rand(n)))}),
    (
        "use",
        "the parameter weight_hh at 7 of its axis 1",
        Plain,
        {"step": lambda self, u, s: torch.tanh(u + s[:, :-1] @ self.weight_hh[:, :-1].t())},
    ),
    (
        "use",
        "column 4 of x",
        Plain,
        {"drive": lambda self, x: Plain.drive(self, other_first(x))},
    ),
    ("use", "number 8 of the state", Clock, {"at": lambda self, s, t: s}),
    ("use", "no memory", Plain, {"step": lambda self, u, s: torch.tanh(u + 0 * s)}),
    ("use", "the parameter first", Learned, {"initial_state": lambda self, n: Learned.initial_state(self, n).detach()}),
    (
        "sizes",
        "at I = 5, H = 7: the parameter weight_hh at 6",
        Plain,
        {
            "step": lambda self, u, s: Plain.step(
                self, u, torch.cat((s[:, : self.hidden_size // 2 * 2], 0 * s[:, self.hidden_size // 2 * 2 :]), -1)
            )
        },
    ),
    (
        "sizes",
        "at I = 1, H = 57",
        Plain,
        {"step": scaled(lambda self, s: 1.0 if self.hidden_size < 57 else s.detach())},
    ),
    (
        "sizes",
        "at I = 8, H = 8",
        Plain,
        {"drive": driven(lambda self, x, u: x if x.shape[-1] == self.hidden_size else u)},
    ),
    ("options", "the option scale changes nothing", IgnoredChoice, {}),
]


@pytest.fixture(autouse=True)
def put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.cell_names()
    monkeypatch.setattr(registry, "_CELLS", dict(registry._CELLS))


@pytest.mark.parametrize(
    ("name", "words", "form", "other"), FAULTS, ids=[f"{name}-{words}" for name, words, _, _ in FAULTS]
)
def test_a_fault_is_found_by_its_check(name: str, words: str, form: type[Cell], other: dict[str, Any]) -> None:
    registry._CELLS["tested"] = type("Faulty", (form,), {**other, "__module__": __name__})
    results = [result for result in PROPERTIES[name].findings(CellUnderTest("tested")) if result.ok is False]
    assert results
    assert words in results[0].where
    assert "\n" not in results[0].where


@pytest.mark.parametrize("cls", [Plain, Clock, Learned, Fourier, Noisy, Choice])
def test_what_a_cell_may_be(cls: type[Cell]) -> None:
    """A clock in the state, a learned start, random numbers, a transform that rounds: nothing of that is a fault."""
    registry._CELLS["tested"] = cls
    assert [result for result in check("tested") if result.ok is False] == []


def test_like_another_cell() -> None:
    assert {result.backend for result in like(CellConfig("gru"), CellConfig("torch:GRU"))} == {"torch", "loop"}
    assert all(result.ok for result in like(CellConfig("gru"), CellConfig("torch:GRU")))
    registry._CELLS["tested"] = type("Off", (GRU,), {"read": lambda self, s, u: 1.001 * s})
    (*_, off) = like(CellConfig("tested"), CellConfig("gru"))
    assert off.ok is False
    assert off.where.startswith("y, first at t = 0")
    with pytest.raises(UserError, match="the weights of lstm .* and of gru .* do not correspond"):
        like(CellConfig("lstm"), CellConfig("gru"))
