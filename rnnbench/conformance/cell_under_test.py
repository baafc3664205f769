"""The cell under test: built once, with data of its own, and what a run of it gives."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor

from rnnbench.backends.backend import Request
from rnnbench.backends.dispatch import BACKENDS, choose, run
from rnnbench.cells.cell import Cell
from rnnbench.cells.registry import checked_options, make_cell
from rnnbench.config import CellConfig

#: Sequences, their length, the width of the input and of the cell; four heads divide the last.
B, T, I, H = 3, 13, 5, 8


@dataclass(frozen=True)
class Sample:
    """What a cell is run on. All states in it are ones that the cell can come to, not just any numbers.

    Args:
        x: (B, T, I).
        state: (B, *S), after a sequence of its own.
        spread: (B, T, *S), the difference of two sequences' states: directions in which states really differ. A
            counter or a mark in the state, equal in both, is not shifted by it.
        cotangents: For y, (B, T, H), and for the last state, (B, *S).
    """

    x: Tensor
    state: Tensor
    spread: Tensor
    cotangents: tuple[Tensor, Tensor]


class CellUnderTest:
    """A cell by name, the backends it is held against, and the data.

    Args:
        cell: Name or `CellConfig`.
        backends: Those to look at; every one that can run the cell where not given, less those that run only on
            request.
        device: cpu or cuda.
        input_size: I.
        hidden_size: H.
        seq_len: T.

    Raises:
        UserError: unknown cell, option or backend, a constructor that raises, a backend that cannot run the cell.
    """

    def __init__(
        self,
        cell: str | CellConfig,
        backends: Sequence[str] | None = None,
        device: str = "cpu",
        input_size: int = I,
        hidden_size: int = H,
        seq_len: int = T,
    ) -> None:
        self.config = CellConfig.parse(cell)
        checked_options(self.config)
        self.device = torch.device(device)
        self.input_size, self.hidden_size, self.seq_len = input_size, hidden_size, seq_len
        self._asked = backends
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self._cell = make_cell(self.config, input_size, hidden_size).to(self.device)
        for name in backends or ():
            choose(self._cell, name, Request(self.device, torch.float32))
        self.cell, self.sample, self.results = cache(self.fresh), cache(self._sample), cache(self._results)

    @cached_property
    def square(self) -> CellUnderTest:
        """The same cell where input and cell are equally wide, which some cells treat apart."""
        return CellUnderTest(
            self.config, self._asked, self.device.type, self.hidden_size, self.hidden_size, self.seq_len
        )

    @cached_property
    def refusals(self) -> dict[str, str]:
        """Why a backend does not run it, by backend."""
        reasons = {}
        for name, backend in BACKENDS.items():
            if self._asked is None and backend.on_request_only:
                reasons[name] = "runs on request only"
            elif reason := self.refusal(name):
                reasons[name] = reason
        return reasons

    @cached_property
    def backends(self) -> list[str]:
        """Those that can run it, or those asked for."""
        return list(self._asked) if self._asked else [name for name in BACKENDS if name not in self.refusals]

    def refusal(
        self, backend: str, dtype: torch.dtype = torch.float32, tap: bool = False, states: bool = False
    ) -> str | None:
        """A backend's reason not to run it so."""
        return BACKENDS[backend].refusal(self._cell, Request(self.device, dtype, tap=tap, states=states))

    def fresh(self, dtype: torch.dtype) -> Cell:
        """A copy of the cell in a number format, the same weights in each; ``cell`` is one that is kept."""
        return copy.deepcopy(self._cell).to(dtype)

    def _sample(self, dtype: torch.dtype, seed: int = 0) -> Sample:
        """Drawn and run in float32, so that it is the same numbers in float64; in bfloat16 they are rounded.

        But for what is of the state: that is float32 at least, whatever the weights are.
        """
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator).to(self.device)

        with torch.no_grad():
            first, second = (
                run(self._cell, normal(B, self.seq_len, self.input_size), backend="loop", return_states=True)[1]
                for _ in range(2)
            )
        x, cotangents = (
            normal(B, self.seq_len, self.input_size),
            (normal(B, self.seq_len, self.hidden_size), normal(*first[:, 0].shape)),
        )
        wide = torch.promote_types(dtype, torch.float32)
        return Sample(
            x.to(dtype),
            first[:, -1].to(wide),
            (second - first).to(wide),
            (cotangents[0].to(dtype), cotangents[1].to(wide)),
        )

    def _results(
        self, dtype: torch.dtype, backend: str = "loop", cuts: tuple[int, ...] = (), tapped: bool = False
    ) -> dict[str, Tensor]:
        """`results` on the first sample, remembered; with a small tap of its own where ``tapped``."""
        sample = self.sample(dtype)
        tap = 1e-3 * sample.spread if tapped else None
        return results(self.cell(dtype), sample.x, sample.state, sample.cotangents, backend, cuts, tap)


def results(
    cell: Cell,
    x: Tensor,
    state: Tensor,
    cotangents: tuple[Tensor, ...],
    backend: str,
    cuts: tuple[int, ...] = (),
    tap: Tensor | None = None,
) -> dict[str, Tensor]:
    """Run a cell, in chunks cut at ``cuts``: all it gives, and all gradients under the cotangents.

    Args:
        cell: Any.
        x: (B, T, I).
        state: (B, *S).
        cotangents: For y, (B, T, H), and for the last state, (B, *S).
        backend: What runs it.
        cuts: Times at which a new chunk begins, ascending.
        tap: (B, T, *S), or None.

    Returns:
        ``y``, ``state`` (the last), ``grad x``, ``grad state`` (the first), ``grad NAME`` of each parameter, and
        ``grad tap`` where there is one; zeros where there is no way from the one to the other.
    """
    leaves = {
        "x": x.detach().requires_grad_(),
        "state": state.detach().requires_grad_(),
        **dict(cell.named_parameters()),
    }
    if tap is not None:
        leaves["tap"] = tap.detach().requires_grad_()
    outputs, current = [], leaves["state"]
    for begin, end in itertools.pairwise((0, *cuts, x.shape[1])):
        part = leaves["tap"][:, begin:end] if tap is not None else None
        y, current = run(cell, leaves["x"][:, begin:end], current, backend, part)
        outputs.append(y)
    y = torch.cat(outputs, dim=1)
    # A last state may be what it was given, whatever the parameters are.
    pairs = [(o, given.to(o.dtype)) for o, given in zip((y, current), cotangents, strict=True) if o.requires_grad]
    gradients = torch.autograd.grad(
        [out for out, _ in pairs], list(leaves.values()), [given for _, given in pairs], allow_unused=True
    )
    missing = {
        f"grad {name}": torch.zeros_like(leaf) if gradient is None else gradient
        for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True)
    }
    return {"y": y.detach(), "state": current.detach(), **missing}


def largest(error: Tensor) -> float:
    """The largest absolute entry; NaN counts as infinite."""
    worst = float(error.abs().max())
    return worst if worst == worst else float("inf")
