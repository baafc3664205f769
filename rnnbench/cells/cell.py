"""The cell contract: what sees all of time at once is apart from what sees one time step."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rnnbench.errors import UserError


class Cell(nn.Module, ABC):
    """A recurrence s_t = step(u_t, s_{t−1}) with u = drive(x) and y = read(s, u).

    A subclass declares its parameters and the three functions; a backend owns the loop over time. ``step`` is a pure
    function of tensors: no in-place writes and no branch on values, so that it can be traced, vmapped and
    differentiated. The state is one explicit tensor, float32 at least; with weights and input in bfloat16, y may be as
    wide. `GatedCell` is the form of one with gates; `AffineCell`, `MatrixCell` and `WindowCell` are those that can be
    run in parallel over time.

    The rest has defaults. `draw` makes a cell stochastic and `needs` gives it time stamps and the like; `memory` says
    what of the state is memory; `penalty`, `constrain` and `parameter_groups` take part in its training; ``exempt``
    names checks that it cannot pass, with the reason. An `initial_state` that expands a parameter is learned. A weight
    that is not to be trained is a buffer, or a parameter that requires no gradient: it is counted apart.

    Args:
        input_size: Width I of the input.
        hidden_size: Width H of what the next layer reads.

    Further keyword arguments of a subclass are its options: ``--cell.NAME VALUE`` on the command line.
    """

    #: What `rnnbench cells` says of it, and where it is from.
    paper: ClassVar[str] = ""
    #: Names of the state's parts where it has several, (parts, H), the first of which is read: gradients are then
    #: measured of each as well.
    parts: ClassVar[tuple[str, ...]] = ()
    #: The gate, as `gates` names it, that each block of H numbers of the biases opens, in order; "" for none.
    bias_gates: ClassVar[tuple[str, ...]] = ()
    #: What `drive` is given beside x, by name, as keyword arguments of (B, T) float32 each: ``time``, when the step is,
    #: in steps from the window's first or, in a stream, from its beginning; ``observed``, 1 where x was measured, 0
    #: where it is the last measured one; ``elapsed``, steps since the last measurement before this one. Data without
    #: gaps have the step's number and ones. A sequence may be cut anywhere, so take ``elapsed`` rather than a
    #: difference of two times. See `rnnbench.cells.side_inputs`.
    needs: ClassVar[tuple[str, ...]] = ()
    #: Properties (`rnnbench.conformance.PROPERTIES`) that it is not checked for, by name, with the reason: a surrogate
    #: gradient, an adaptive solver. The reason is told wherever numbers of the cell stand.
    exempt: ClassVar[Mapping[str, str]] = {}
    #: What `beside` has set for the run that goes on.
    _side: Mapping[str, Tensor] | None = None
    _draws: Tensor | None = None

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size

    @property
    def state_shape(self) -> tuple[int, ...]:
        """Shape S of one sample's state."""
        return (len(self.parts), self.hidden_size) if self.parts else (self.hidden_size,)

    @property
    def torch_mode(self) -> str | None:
        """``RNN_TANH``, ``RNN_RELU``, ``LSTM`` or ``GRU`` where this is torch's own maths, weights in torch's order."""
        return None

    def initial_state(self, batch: int) -> Tensor:
        """Zeros, (B, *S), on the weights' device, in their dtype but never below float32."""
        weight = any_weight(self)
        dtype = torch.promote_types(weight.dtype, torch.float32)
        return torch.zeros(batch, *self.state_shape, dtype=dtype, device=weight.device)

    @abstractmethod
    def drive(self, x: Tensor) -> Tensor:
        """(B, T, I) → (B, T, G): all that depends on the input alone, over all time at once."""

    def draw(self, batch: int, time: int) -> Tensor | None:
        """The randomness of a run, (B, T, N), which `step` and `read` find after u's G numbers; None: there is none.

        Drawn once for each window that is trained on, however it is cut, by torch's global generator, which the run's
        seed sets and its checkpoints hold. As with dropout, micro-batches and devices draw other numbers than one would
        alone. One mask for a whole window is drawn as (B, 1, N) and expanded. In evaluation mode it is the mean of what
        training draws, so that a run is deterministic.
        """
        return None

    @property
    def stochastic(self) -> bool:
        """Whether the cell draws random numbers."""
        return type(self).draw is not Cell.draw

    def driven(self, x: Tensor) -> Tensor:
        """(B, T, I) → (B, T, G + N), what `step` and `read` take as u: `drive` with the side inputs, then the draws.

        Raises:
            UserError: a side input that the cell needs is not there, or is not (B, T).
        """
        side = self._side or {}
        for name in self.needs:
            if name not in side:
                raise UserError(
                    f"{type(self).__name__} needs {name} beside its input, and there is none; take data that have it, "
                    "or another cell."
                )
            if side[name].shape != x.shape[:2]:
                raise UserError(f"{name} must be {tuple(x.shape[:2])} as x is, got {tuple(side[name].shape)}.")
        u = self.drive(x, **{name: side[name] for name in self.needs})
        draws = self.draw(*x.shape[:2]) if self._draws is None else self._draws
        return u if draws is None else torch.cat((u, draws.to(u)), dim=-1)

    @contextmanager
    def beside(self, side: Mapping[str, Tensor] | None, draws: Tensor | None) -> Iterator[None]:
        """The context in which `driven` uses these side inputs, (B, T) each, and these draws, (B, T, N)."""
        with kept(self, "_side", side), kept(self, "_draws", draws):
            yield

    @abstractmethod
    def step(self, u: Tensor, s: Tensor) -> Tensor:
        """(B, G), (B, *S) → (B, *S): one time step, all of the recurrence."""

    def read(self, s: Tensor, u: Tensor) -> Tensor:
        """States (B, T, *S) and drives (B, T, G) → (B, T, H), what the next layer sees: the state or its first part."""
        return s.select(-2, 0) if self.parts else s

    def memory(self, s: Tensor) -> Tensor:
        """(…, *S) → (…, M): those numbers of a state, or of a gradient by it, that are memory; here all of them.

        A selection, by slices and `torch.cat`. Clocks, and masks that a state only carries along, are none: probes
        leave them out, and they do not count for its size.
        """
        return s.flatten(-len(self.state_shape))

    def unrolled(self) -> AbstractContextManager[None]:
        """The context of a backend's run, in which what `step` computes from the parameters alone is computed once.

        By default nothing is. A cell with something to keep returns `kept`; its `step` works without it, only slower.
        """
        return nullcontext()

    def reset_parameters(self) -> None:
        """torch's own initialisation of recurrent layers: every parameter uniform in ±1/√H, in order of declaration."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    # --- its training -------------------------------------------------------------------------------------------------

    def penalty(self) -> Tensor | None:
        """What is added to the training loss, (), a function of the parameters; None: nothing. No score includes it."""
        return None

    def constrain(self) -> None:
        """Put the parameters back where they may be, in place; called without gradients after each update."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters that are optimised otherwise than the others: ``params``, a list of them, with ``lr_factor``, by
        which the learning rate is multiplied, or ``weight_decay``, or both. A parameter is in one group at most.
        """
        return []

    # --- what the named initialisations (`rnnbench.cells.init`) act upon ------------------------------------------

    def recurrent_matrices(self) -> list[Tensor]:
        """Views of the square (H, H) matrices that the last state is multiplied by: here the blocks of weight_hh."""
        return square_blocks(self, self.hidden_size)

    def gates(self) -> dict[str, list[Tensor]]:
        """Views of the biases, (H,) each or fewer where heads share a gate, whose sum opens it.

        ``keep`` is the gate that at 1 keeps the old state, ``write`` the one that at 1 lets the new in, where that is
        another one than 1 − keep; a cell with one gate names whichever its bias opens. Empty for a cell without gates;
        by default what ``bias_gates`` says of bias, or of bias_ih and bias_hh.
        """
        biases = [bias for name, bias in self.named_parameters() if name in ("bias", "bias_ih", "bias_hh")]
        blocks = enumerate(self.bias_gates)
        return {gate: [bias.split(self.hidden_size)[block] for bias in biases] for block, gate in blocks if gate}

    # --- what a probe looks at (`rnnbench.probes.gates`) ----------------------------------------------------------

    def gate_values(self, u: Tensor, s: Tensor) -> dict[str, Tensor]:
        """Each gate's value, (B, …) in 0 … 1, by the name that its paper gives it; empty for a cell without gates.

        From u, (B, G), and the state before the step, (B, *S). Like `step` it treats each row by itself, so that many
        time steps can be passed at once, as rows. An output gate that looks at the new memory has done so.
        """
        return {}


class GatedCell(Cell):
    """A cell whose next state and gate values come from one function, so that the two cannot drift."""

    @abstractmethod
    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, G), (B, *S) → the next state, (B, *S), and the gates that it was made with, as `gate_values`."""

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return self.gated_step(u, s)[0]

    def gate_values(self, u: Tensor, s: Tensor) -> dict[str, Tensor]:
        return self.gated_step(u, s)[1]


def any_weight(module: nn.Module) -> Tensor:
    """A tensor of a module's device and number format: a parameter, else a buffer, else one as torch makes it."""
    buffers = (buffer for buffer in module.buffers() if buffer.is_floating_point())
    return next(itertools.chain(module.parameters(), buffers), torch.empty(0))


def memory_indices(cell: Cell) -> Tensor:
    """Which numbers of a flattened state are its memory, (M,) int64."""
    shape = cell.state_shape
    return cell.memory(torch.arange(math.prod(shape)).view(1, *shape))[0]


def square_blocks(module: nn.Module, size: int) -> list[Tensor]:
    """Views of the (size, size) blocks of a module's weight_hh; none where it is not a stack of such."""
    weight = getattr(module, "weight_hh", None)
    if not isinstance(weight, Tensor) or weight.dim() != 2 or weight.shape[1] != size:
        return []
    return list(weight.split(size))


@contextmanager
def kept(cell: Cell, name: str, value: object) -> Iterator[None]:
    """Set a cell's attribute while the context lasts, and then back to what it was: runs may be nested."""
    before = getattr(cell, name)
    setattr(cell, name, value)
    try:
        yield
    finally:
        setattr(cell, name, before)


def wide(x: Tensor) -> Tensor:
    """At least float32, as the state is: a decay near one would be rounded to one in bfloat16."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
