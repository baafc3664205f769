"""Modules as people bring them, in every form that is taken as a cell, and in some that are not."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells import Cell


@dataclass
class Decay:
    """Its annotations are looked up in the module that it is in."""

    a: float = 0.5


class OwnCell(Cell):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.W = nn.Parameter(torch.randn(hidden_size, input_size))

    def drive(self, x: Tensor) -> Tensor:
        return x @ self.W.t()

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return torch.tanh(u + s / 2)


class Step(nn.Module):
    """(x, h) → h, where h may be left out."""

    def __init__(self, input_size: int, hidden_size: int, a: float = Decay().a) -> None:
        super().__init__()
        self.a, self.W, self.U = a, nn.Linear(input_size, hidden_size), nn.Linear(hidden_size, hidden_size)

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        h = x.new_zeros(len(x), self.U.in_features) if h is None else h
        return self.a * h + (1 - self.a) * torch.tanh(self.W(x) + self.U(h))


class PairStep(nn.Module):
    """(x, (h, c)) → (h, c), both of which must be given."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(input_size, hidden_size)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        h, c = state
        return self.cell(x, (h, c))


class OutputStep(Step):
    """(x, h) → (out, h)."""

    def forward(self, x: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        h = super().forward(x, h)
        return 2 * h + 1, h


class OwnStart(Step):
    """(x, h) → h from ones, in float32 wherever the module is."""

    def initial_state(self, batch: int) -> Tensor:
        return torch.ones(batch, self.U.in_features)


class Stack(nn.Module):
    """(x (B, T, I), state) → (y, state), two layers."""

    def __init__(self, input_size: int, hidden_size: int, batch_first: bool = True) -> None:
        super().__init__()
        self.rnn = nn.LSTM(input_size, hidden_size, num_layers=2, batch_first=batch_first)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        return self.rnn(x, state)


class Convolution(nn.Module):
    """x (B, T, I) → y, from four inputs each."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(input_size, hidden_size, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(F.pad(x.transpose(1, 2), (3, 0)))).transpose(1, 2)


class TimeFirstConvolution(Convolution):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(0, 1)).transpose(0, 1)


class Forgetful(nn.Module):
    """Its state never leaves it."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.rnn = nn.GRU(input_size, hidden_size, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.rnn(x)[0]


class LooksAhead(Convolution):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flip(1)).flip(1)


class Wide(Stack):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, 2 * hidden_size)


class LearnedStart(Step):
    """What it starts from is not zeros, and nothing says so."""

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return super().forward(x, torch.ones(len(x), self.U.in_features).to(x) if h is None else h)


class Grows(nn.Module):
    """Its state is every input."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.W = nn.Linear(input_size, hidden_size)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        seen = x if state is None else torch.cat((state, x), dim=1)
        return self.W(seen.cumsum(1)[:, -x.shape[1] :]), seen


class Strange(nn.Module):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.W = nn.Linear(input_size, hidden_size)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"y": self.W(x)}
