"""The backend contract: say whether you can run this cell here and, if not, why, in words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from rnnbench.cells.cell import Cell

#: A right result may be this many times as far from the float64 loop's as the loop in the same number format is.
#: In float32 another order of summation is within 6 (over 33 cells and six draws); a coarser format, or an error, not
#: within 100. In bfloat16 another order is within 2, and everything is within 128, so that only gross errors are found.
MULTIPLE = 10.0

#: y (B, T, H), and all states (B, T, *S) or the last one (B, *S).
Output = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Request:
    """What is asked of a backend beside the cell: a state perturbation, every state."""

    device: torch.device
    dtype: torch.dtype
    tap: bool = False
    states: bool = False


class Backend(ABC):
    """Runs a cell over time, with the chunk property and the reference property (see the README)."""

    name: ClassVar[str]
    #: Never chosen by ``auto``, nor timed or checked unasked; each such backend says why.
    on_request_only: ClassVar[bool] = False

    @abstractmethod
    def refusal(self, cell: Cell, request: Request) -> str | None:
        """None where this backend can run the cell so; else the reason, in words."""

    def multiple(self, request: Request) -> float:
        """How many times the loop's error its own may be; a backend that needs more than `MULTIPLE` says why."""
        return MULTIPLE

    @abstractmethod
    def run(self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool) -> Output:
        """x (B, T, I), state (B, *S), tap (B, T, *S) → y, and all states or the last."""
