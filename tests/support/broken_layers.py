"""Recurrent layers that are right, and ones that are wrong in ways that libraries were, as a user's file has them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from rnnbench.conformance.scan_operators import AffineLoop


def scaled(value: Tensor, factor: float) -> Tensor:
    """The value itself, its gradient times a factor."""
    more = (factor - 1) * value
    return value + (more - more.detach())


# --- right ---------------------------------------------------------------------------------------------------------


class RightLSTM(nn.LSTM):
    """torch's, called time step by time step and stitched together."""

    def forward(self, x: Any, hx: Any = None) -> Any:
        if isinstance(x, PackedSequence) or self.bidirectional or self.num_layers > 1:
            return super().forward(x, hx)
        outputs = []
        for t in range(x.shape[1]):
            y, hx = super().forward(x[:, t : t + 1].contiguous(), hx)
            outputs.append(y)
        return torch.cat(outputs, dim=1), hx


class RightModule(nn.Module):
    """s_t = a ⊙ s_{t−1} + (1 − a) ⊙ tanh(W x_t + U s_{t−1}), for rows of unlike lengths as well."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.randn(hidden_size, input_size) / input_size**0.5)
        self.U = nn.Parameter(torch.randn(hidden_size, hidden_size) / (2 * hidden_size**0.5))
        self.a = nn.Parameter(torch.rand(hidden_size))

    def forward(self, x: Tensor, state: Tensor | None = None, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        s = x.new_zeros(len(x), len(self.a)) if state is None else state
        outputs = []
        for t, u in enumerate((x @ self.W.t()).unbind(1)):
            new = self.step(u, s)
            s = new if lengths is None else torch.where((t < lengths).unsqueeze(1), new, s)
            outputs.append(new)
        return torch.stack(outputs, dim=1), s

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return self.a * s + (1 - self.a) * torch.tanh(u + s @ self.U.t())


def right_function_weights(input_size: int, hidden_size: int) -> dict[str, Tensor]:
    return {"W": torch.randn(input_size, hidden_size), "U": torch.randn(hidden_size, hidden_size) / hidden_size}


def right_function(x: Tensor, state: Any, weights: dict[str, Tensor]) -> Any:
    """Two states, in a dict, of which one counts the sequences in its second dimension."""
    h = x.new_zeros(len(x), weights["U"].shape[0]) if state is None else state["h"]
    total = torch.zeros_like(h).t() if state is None else state["sum"]
    outputs = []
    for t in range(x.shape[1]):
        h = torch.tanh(x[:, t] @ weights["W"] + h @ weights["U"])
        total = total + h.t()
        outputs.append(total.t())
    return torch.stack(outputs, dim=1), {"h": h, "sum": total}


# --- wrong ---------------------------------------------------------------------------------------------------------


class UnusedOutputScan(AffineLoop):
    """What torch's pointwise scan does where its first output is unused: a's gradient comes from one place alone."""

    def solve(self, a: Tensor, b: Tensor, s: Tensor) -> Tensor:
        return super().solve(torch.cat((a[:, :1], a[:, 1:].detach()), dim=1), b, s)


UnusedOutputScan_reference = AffineLoop


class OneLayer(nn.LSTM):
    """A base for LSTMs of one layer in one direction."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, batch_first=True)


class WrongGradientWhenWide(OneLayer):
    """The gradient of weight_hh is off by 0.1 % from H = 57 on."""

    def forward(self, x: Any, hx: Any = None) -> Any:
        if self.hidden_size < 57 or isinstance(x, PackedSequence):
            return super().forward(x, hx)
        if hx is None:
            hx = (x.new_zeros(1, len(x), self.hidden_size),) * 2
        first, second, *biases = self.parameters()
        y, *last = torch.lstm(x, hx, [first, scaled(second, 1.001), *biases], True, 1, 0.0, True, False, True)
        return y, tuple(last)


class WrongWhenLong(nn.RNN):
    """Outputs are off by 0.1 % after 1000 time steps."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, batch_first=True)

    def forward(self, x: Any, hx: Any = None) -> Any:
        y, last = super().forward(x, hx)
        return (y if isinstance(y, PackedSequence) else torch.cat((y[:, :1000], 1.001 * y[:, 1000:]), dim=1)), last


class WrongInPadding(OneLayer):
    """Rows shorter than the longest have outputs off by 0.1 %."""

    def forward(self, x: Any, hx: Any = None) -> Any:
        y, last = super().forward(x, hx)
        if isinstance(y, PackedSequence):
            padded, lengths = pad_packed_sequence(y, batch_first=True)
            padded = torch.where((lengths < lengths.max())[:, None, None], 1.001 * padded, padded)
            y = pack_padded_sequence(padded, lengths, batch_first=True, enforce_sorted=False)
        return y, last


class FinalStateOfThePadding(OneLayer):
    """The last state of a shorter row is the one after its padding."""

    def forward(self, x: Any, hx: Any = None) -> Any:
        if not isinstance(x, PackedSequence):
            return super().forward(x, hx)
        padded, lengths = pad_packed_sequence(x, batch_first=True)
        y, last = super().forward(padded, hx)
        return pack_padded_sequence(y, lengths, batch_first=True, enforce_sorted=False), last


class WrongInBfloat16(OneLayer):
    """In bfloat16 the state to start from is forgotten."""

    def forward(self, x: Any, hx: Any = None) -> Any:
        forgets = isinstance(x, Tensor) and x.dtype == torch.bfloat16 and hx is not None
        return super().forward(x, tuple(0 * part for part in hx) if forgets else hx)


class AnotherEachTime(OneLayer):
    """Less than a rounding error, but another one at each call."""

    def forward(self, x: Any, hx: Any = None) -> Any:
        y, last = super().forward(x, hx)
        return (y * (1 + 2e-7 * torch.rand_like(y)) if isinstance(y, Tensor) else y), last


class WrongGradientOfTheState(OneLayer):
    """The gradient of the first h is off by 1 %."""

    def forward(self, x: Any, hx: Any = None) -> Any:
        return super().forward(x, None if hx is None else (scaled(hx[0], 1.01), hx[1]))


class WrongInInference(OneLayer):
    """Right in training."""

    def forward(self, x: Any, hx: Any = None) -> Any:
        y, last = super().forward(x, hx)
        return (y if torch.is_grad_enabled() else y.flip(0)), last


class WrongInEveryFormat(RightModule):
    """A gradient that is wrong at each step in each format, so that the module agrees with itself."""

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return self.a * s + (1 - self.a) * torch.tanh(u + s @ scaled(self.U, 1.001).t())


class LosesItsState(RightModule):
    """The state that is handed on is the one before the last step."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        y, last = super().forward(x, state)
        return y, y[:, -2] if x.shape[1] > 1 else last


class Raises(OneLayer):
    """At one width alone."""

    def forward(self, x: Any, hx: Any = None) -> Any:
        if self.hidden_size == 7:
            raise RuntimeError("no kernel for a width of 7")
        return super().forward(x, hx)
