"""The cell under test: built once, with random data, and all outputs and gradients of a run of it."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial

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
    """What a cell is run on. All its states are ones that the cell can reach, not just any numbers.

    Args:
        x: (B, T, I).
        state: (B, *S), after another sequence.
        spread: (B, T, *S), the difference of two sequences' states: directions in which states really differ. A
            counter or a mark in the state, equal in both, is not shifted by it.
        cotangents: For y, (B, T, H), and for the last state, (B, *S).
        draws: (B, T, N), what the cell's `draw` gave once; None of a cell without draws.
    """

    x: Tensor
    state: Tensor
    spread: Tensor
    cotangents: tuple[Tensor, Tensor]
    draws: Tensor | None = None


class CellUnderTest:
    """A cell by name, the backends that are checked with it, and the data.

    Where no backends are given: every one that can run the cell, less those that run only on request. A stochastic cell
    draws no more: wherever it is not given the sample's draws it has one row of numbers, for all rows and time steps.

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
            drawn = self._cell.draw(B, seq_len)
        self._draws = None
        if drawn is not None:
            self._draws = drawn.detach()
            self._cell.draw = partial(_expanded, self._draws[:1, :1])  # type: ignore[method-assign]
        for name in backends or ():
            choose(self._cell, name, Request(self.device, torch.float32))
        self.cell, self.sample, self.results = cache(self.fresh), cache(self._sample), cache(self._results)

    @cached_property
    def square(self) -> CellUnderTest:
        """The same cell with I = H, a special case of some cells."""
        return CellUnderTest(
            self.config, self._asked, self.device.type, self.hidden_size, self.hidden_size, self.seq_len
        )

    @property
    def exempt(self) -> Mapping[str, str]:
        """What it is not checked for, and why: `Cell.exempt`."""
        return self._cell.exempt

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

        Except the states, which are float32 at least, whatever the weights are.
        """
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator).to(self.device)

        with torch.no_grad():
            first, second = (
                run(self._cell, normal(B, self.seq_len, self.input_size), backend="loop", return_states=True)[1]
                for _ in range(2)
            )
        x = normal(B, self.seq_len, self.input_size).to(dtype)
        of_y, of_state = normal(B, self.seq_len, self.hidden_size), normal(*first[:, 0].shape)
        wide = torch.promote_types(dtype, torch.float32)
        cotangents = of_y.to(dtype), of_state.to(wide)
        return Sample(x, first[:, -1].to(wide), (second - first).to(wide), cotangents, self._draws)

    def _results(
        self, dtype: torch.dtype, backend: str = "loop", cuts: tuple[int, ...] = (), tapped: bool = False
    ) -> dict[str, Tensor]:
        """`results` on the first sample, remembered; with a small tap where ``tapped``."""
        sample = self.sample(dtype)
        tap = 1e-3 * sample.spread if tapped else None
        cell = self.cell(dtype)
        return results(cell, sample.x, sample.state, sample.cotangents, backend, cuts, tap, sample.draws)


def results(
    cell: Cell,
    x: Tensor,
    state: Tensor,
    cotangents: tuple[Tensor, ...],
    backend: str,
    cuts: tuple[int, ...] = (),
    tap: Tensor | None = None,
    draws: Tensor | None = None,
) -> dict[str, Tensor]:
    """Run a cell, in chunks that begin at ``cuts``: all outputs, and all gradients under the cotangents.

    x (B, T, I), a state (B, *S), cotangents for y (B, T, H) and for the last state (B, *S), and perhaps a tap
    (B, T, *S) and draws (B, T, N) → ``y``, ``state`` (the last), ``grad x``, ``grad state`` (the first), ``grad NAME``
    of each parameter that is trained, and ``grad tap``.
    """
    leaves = {
        "x": x.detach().requires_grad_(),
        "state": state.detach().requires_grad_(),
        **trained(cell),
    }
    if tap is not None:
        leaves["tap"] = tap.detach().requires_grad_()
    outputs, current = [], leaves["state"]
    for begin, end in itertools.pairwise((0, *cuts, x.shape[1])):
        part = leaves["tap"][:, begin:end] if tap is not None else None
        drawn = draws[:, begin:end] if draws is not None else None
        y, current = run(cell, leaves["x"][:, begin:end], current, backend, part, draws=drawn)
        outputs.append(y)
    y = torch.cat(outputs, dim=1)
    return {"y": y.detach(), "state": current.detach(), **gradients((y, current), cotangents, leaves)}


def trained(cell: Cell) -> dict[str, Tensor]:
    """Its parameters that require a gradient, by name."""
    return {name: parameter for name, parameter in cell.named_parameters() if parameter.requires_grad}


def _expanded(draws: Tensor, batch: int, time: int) -> Tensor:
    """(1, 1, N) for all rows and time steps."""
    return draws.expand(batch, time, -1)


def gradients(
    outputs: Sequence[Tensor], cotangents: Sequence[Tensor], leaves: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """``grad NAME`` of each leaf; zeros where no output depends on it."""
    # A last state may be the first one unchanged, whatever the parameters are.
    pairs = [(out, c.to(out.dtype)) for out, c in zip(outputs, cotangents, strict=True) if out.requires_grad]
    values = torch.autograd.grad(
        [out for out, _ in pairs], list(leaves.values()), [c for _, c in pairs], allow_unused=True
    )
    return {
        f"grad {name}": torch.zeros_like(leaf) if value is None else value
        for (name, leaf), value in zip(leaves.items(), values, strict=True)
    }


def largest(error: Tensor) -> float:
    """The largest absolute entry; NaN counts as infinite."""
    worst = float(error.abs().max())
    return worst if worst == worst else float("inf")
