"""torch's scan operators as recurrent layers, each beside the loop that it stands for.

`associative_scan` has two ways: the generic one, by slices, and the pointwise one, a fused kernel whose gradient is
written by hand. On a CPU torch offers the first alone; the operator behind the second is called itself there, so that
its gradient can be looked at without a GPU.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn

from rnnbench.conformance.module_implementation import ModuleTarget

Pair = tuple[Tensor, Tensor]


def _affine(left: Pair, right: Pair) -> Pair:
    """Of s → a·s + b, first the left one and then the right one."""
    return left[0] * right[0], left[1] * right[0] + right[1]


class AffineLoop(nn.Module):
    """s_t = a_t ⊙ s_{t−1} + b_t, a = σ(W_a x), b = W_b x, in a loop; y is s."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(input_size)
        self.weight_a, self.weight_b = (
            nn.Parameter(torch.empty(hidden_size, input_size).uniform_(-bound, bound)) for _ in range(2)
        )

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        a, b = torch.sigmoid(x @ self.weight_a.t()), x @ self.weight_b.t()
        s = b.new_zeros(b.shape[0], b.shape[2]) if state is None else state
        y = self.solve(a, b, s)
        return y, y[:, -1]

    def solve(self, a: Tensor, b: Tensor, s: Tensor) -> Tensor:
        """a and b, (B, T, H), and the state (B, H) to start from → all states, (B, T, H)."""
        states = []
        for a_t, b_t in zip(a.unbind(1), b.unbind(1), strict=True):
            s = a_t * s + b_t
            states.append(s)
        return torch.stack(states, dim=1)


class GenericScan(AffineLoop):
    """The same by ``associative_scan(…, combine_mode="generic")``; its first output, the products of a, is unused."""

    def solve(self, a: Tensor, b: Tensor, s: Tensor) -> Tensor:
        from torch._higher_order_ops import associative_scan

        b = torch.cat((torch.addcmul(b[:, :1], a[:, :1], s.unsqueeze(1)), b[:, 1:]), dim=1)
        states: Tensor = associative_scan(_affine, (a, b), dim=1, combine_mode="generic")[1]
        return states


class PointwiseScan(AffineLoop):
    """The same by ``combine_mode="pointwise"``, with the same output unused."""

    def solve(self, a: Tensor, b: Tensor, s: Tensor) -> Tensor:
        from torch._higher_order_ops import associative_scan

        b = torch.cat((torch.addcmul(b[:, :1], a[:, :1], s.unsqueeze(1)), b[:, 1:]), dim=1)
        if b.is_cuda:
            states: Tensor = associative_scan(_affine, (a, b), dim=1, combine_mode="pointwise")[1]
            return states
        # The function has the name of its module, which only the table of modules still gives.
        operator = sys.modules["torch._higher_order_ops.associative_scan"].associative_scan_op
        scanned = operator(
            lambda a, b, c, d: [*_affine((a, b), (c, d))], (a.mT.movedim(-1, 0), b.mT.movedim(-1, 0)), ()
        )
        states = scanned[1]
        return states.movedim(0, 1)


class TanhLoop(nn.Module):
    """s_t = tanh(W x_t + U s_{t−1}) in a loop; y is s."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size).uniform_(-bound, bound))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size, hidden_size).uniform_(-bound, bound))

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        u = x @ self.weight_ih.t()
        return self.solve(u, u.new_zeros(u.shape[0], u.shape[2]) if state is None else state)

    def step(self, s: Tensor, u: Tensor) -> Tensor:
        """States (B, H) and inputs (B, H) → the next states."""
        return torch.tanh(u + s @ self.weight_hh.t())

    def solve(self, u: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """u (B, T, H) and the state to start from → all states and the last."""
        states = []
        for u_t in u.unbind(1):
            s = self.step(s, u_t)
            states.append(s)
        return torch.stack(states, dim=1), s


class Scan(TanhLoop):
    """The same by ``scan``."""

    def solve(self, u: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        from torch._higher_order_ops.scan import scan

        def combine(s: Tensor, u: Tensor) -> Pair:
            s = self.step(s, u)
            return s, s.clone()  # the operator refuses two outputs that are one tensor

        last, states = scan(combine, s, u, dim=1)
        return states, last


_SCANS: dict[str, tuple[Callable[[int, int], nn.Module], Callable[[int, int], nn.Module]]] = {
    "torch:associative_scan": (GenericScan, AffineLoop),
    "torch:associative_scan_pointwise": (PointwiseScan, AffineLoop),
    "torch:scan": (Scan, TanhLoop),
}


def scan_operators() -> dict[str, ModuleTarget]:
    """Those that this torch has, by name."""
    try:
        import torch._higher_order_ops.associative_scan
        import torch._higher_order_ops.scan  # noqa: F401
    except ImportError:
        return {}
    return {
        name: ModuleTarget(name, build, ("x", "state"), reference, trusted=True)
        for name, (build, reference) in _SCANS.items()
    }
