"""The cell under test: built once, with random data, and all outputs and gradients of a run of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor

from rnnbench.backends import dispatch
from rnnbench.backends.backend import Output, Request
from rnnbench.backends.dispatch import BACKENDS, choose
from rnnbench.cells.cell import Cell
from rnnbench.cells.registry import checked_options, make_cell
from rnnbench.config import CellConfig
from rnnbench.conformance.property import Broken
from rnnbench.conformance.surroundings import settings
from rnnbench.errors import told

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
    """

    x: Tensor
    state: Tensor
    spread: Tensor
    cotangents: tuple[Tensor, Tensor]


class CellUnderTest:
    """A cell by name, the backends that are checked with it, and the data.

    Where no backends are given: every one that can run the cell, less those that run only on request.

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
        #: Of this process, as they were before anything of the cell ran.
        self.settings = settings()
        self._cell = self.build().to(self.device)
        for name in backends or ():
            choose(self._cell, name, Request(self.device, torch.float32))
        self.cell, self.sample, self.results = cache(self.fresh), cache(self._sample), cache(self._results)

    def build(self, seed: int = 1) -> Cell:
        """A new one as its constructor leaves it, on the CPU; the random state is put back.

        Raises:
            UserError: the constructor raises.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return make_cell(self.config, self.input_size, self.hidden_size)

    def sized(self, input_size: int, hidden_size: int, seq_len: int | None = None) -> CellUnderTest:
        """The same cell with other sizes, and sequences of another length.

        Raises:
            UserError: the constructor refuses these sizes.
        """
        return CellUnderTest(
            self.config, self._asked, self.device.type, input_size, hidden_size, seq_len or self.seq_len
        )

    @property
    def cell_class(self) -> type[Cell]:
        """Its class."""
        return type(self._cell)

    @property
    def exempt(self) -> Mapping[str, str]:
        """The properties that it lacks by its nature, and why, as its class declares."""
        return getattr(self._cell, "exempt", {})

    @cached_property
    def square(self) -> CellUnderTest:
        """The same cell with I = H, a special case of some cells."""
        return self.sized(self.hidden_size, self.hidden_size)

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
        """One more of it in a number format, the same weights in each; ``cell`` is one that is kept.

        Built anew, as a copy would lack what the constructor hooked on the weights.
        """
        return self.build().to(self.device, dtype)

    def inputs(self, batch: int, time: int, generator: torch.Generator, scale: float = 1.0) -> Tensor:
        """Random x, (batch, time, I), in float32; after its columns the side inputs and the draws, where it has such.

        So every check covers them: they are cut into chunks, mixed with other rows and perturbed like x. A side input
        is uniform in 0 … 1, a draw what the cell itself draws; only x is scaled.
        """
        columns = [scale * torch.randn(batch, time, self.input_size, generator=generator)]
        columns.append(torch.rand(batch, time, len(self._cell.needs), generator=generator))
        if self._cell.stochastic:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
                if (draws := self._cell.draw(batch, time)) is not None:
                    columns.append(draws.float().cpu())
        return torch.cat(columns, dim=-1).to(self.device)

    def _sample(self, dtype: torch.dtype, seed: int = 0, scale: float = 1.0) -> Sample:
        """Drawn and run in float32, so that it is the same numbers in float64; in bfloat16 they are rounded.

        Except the states, which are float32 at least, whatever the weights are.
        """
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator).to(self.device)

        with torch.no_grad():
            first, second = (
                run(self._cell, self.inputs(B, self.seq_len, generator), backend="loop", return_states=True)[1]
                for _ in range(2)
            )
        x = self.inputs(B, self.seq_len, generator, scale).to(dtype)
        of_y, of_state = normal(B, self.seq_len, self.hidden_size), normal(*first[:, 0].shape)
        wide = torch.promote_types(dtype, torch.float32)
        return Sample(x, first[:, -1].to(wide), (second - first).to(wide), (of_y.to(dtype), of_state.to(wide)))

    def _results(
        self, dtype: torch.dtype, backend: str = "loop", cuts: tuple[int, ...] = (), tapped: bool = False
    ) -> dict[str, Tensor]:
        """`results` on the first sample, remembered; with a small tap where ``tapped``."""
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
    """Run a cell, in chunks that begin at ``cuts``: all outputs, and all gradients under the cotangents.

    x (B, T, I), a state (B, *S), cotangents for y (B, T, H) and for the last state (B, *S), and perhaps a tap
    (B, T, *S) → ``y``, ``state`` (the last), ``grad x``, ``grad state`` (the first), ``grad NAME`` of each parameter,
    and ``grad tap``.
    """
    leaves = {
        "x": x.detach().requires_grad_(),
        "state": state.detach().requires_grad_(),
        **trainable(cell),
    }
    if tap is not None:
        leaves["tap"] = tap.detach().requires_grad_()
    outputs, current = [], leaves["state"]
    for begin, end in itertools.pairwise((0, *cuts, x.shape[1])):
        part = leaves["tap"][:, begin:end] if tap is not None else None
        y, current = run(cell, leaves["x"][:, begin:end], current, backend, part)
        outputs.append(y)
    y = torch.cat(outputs, dim=1)
    return {"y": y.detach(), "state": current.detach(), **gradients((y, current), cotangents, leaves)}


def trainable(cell: Cell) -> dict[str, Tensor]:
    """The parameters that are trained, by name; a frozen one has no gradient."""
    return {name: parameter for name, parameter in cell.named_parameters() if parameter.requires_grad}


def gradients(
    outputs: Sequence[Tensor], cotangents: Sequence[Tensor], leaves: Mapping[str, Tensor], keep: bool = False
) -> dict[str, Tensor]:
    """``grad NAME`` of each leaf; zeros where no output depends on it. ``keep``: the graph, for another call."""
    # A last state may be the first one unchanged, whatever the parameters are.
    pairs = [(out, c.to(out.dtype)) for out, c in zip(outputs, cotangents, strict=True) if out.requires_grad]
    values = torch.autograd.grad(
        [out for out, _ in pairs], list(leaves.values()), [c for _, c in pairs], keep, allow_unused=True
    )
    return {
        f"grad {name}": torch.zeros_like(leaf) if value is None else value
        for (name, leaf), value in zip(leaves.items(), values, strict=True)
    }


def largest(error: Tensor) -> float:
    """The largest absolute entry; NaN counts as infinite."""
    worst = float(error.abs().max())
    return worst if worst == worst else float("inf")


def differs(value: Tensor, truth: Tensor) -> bool:
    """By more than another order of summation in float64 can explain: a matrix product's may depend on the numbers."""
    return largest(value - truth) > 1e-12 * max(1.0, largest(truth))


def called(what: str, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """A function of the cell on some inputs.

    Raises:
        Broken: it raised something.
    """
    try:
        return function(*inputs)
    except Exception as error:
        shapes = " and ".join(str(tuple(tensor.shape)) for tensor in inputs)
        raise Broken(f"{what} of {shapes} raised {told(error)}") from error


def run(
    cell: Cell,
    x: Tensor,
    state: Tensor | None = None,
    backend: str = "auto",
    tap: Tensor | None = None,
    return_states: bool = False,
) -> Output:
    """`rnnbench.backends.run`, with side inputs and draws as the columns of x after the cell's own."""
    x, side, draws = _split(cell, x)
    return dispatch.run(cell, x, state, backend, tap, return_states, side, draws)


def driven(cell: Cell, x: Tensor) -> Tensor:
    """What `step` and `read` take as u, (B, T, G): from x with the same further columns."""
    x, side, draws = _split(cell, x)
    with cell.beside(side, draws):
        return cell.driven(x)


def _split(cell: Cell, x: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor | None]:
    sides = len(cell.needs)
    x, side, draws = x.split((cell.input_size, sides, x.shape[-1] - cell.input_size - sides), dim=-1)
    return x, dict(zip(cell.needs, side.unbind(-1), strict=True)), draws if draws.shape[-1] else None
