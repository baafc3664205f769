"""Run a cell over a sequence: the one entry point, whichever backend does the work."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rnnbench.backends.backend import Backend, Output, Request
from rnnbench.backends.compiled import Compiled
from rnnbench.backends.graph import Graph
from rnnbench.backends.loop import Loop
from rnnbench.backends.scan import Scan
from rnnbench.backends.sequence import Sequence
from rnnbench.backends.torch_rnn import TorchBackend
from rnnbench.backends.window import Window
from rnnbench.cells.cell import Cell, any_weight
from rnnbench.errors import UserError, unknown

#: By name, the fastest first: `auto` takes the first that can, but for those that run on request only.
BACKENDS: dict[str, Backend] = {
    backend.name: backend for backend in (TorchBackend(), Sequence(), Scan(), Window(), Graph(), Compiled(), Loop())
}


def choose(cell: Cell, backend: str | Backend, request: Request) -> Backend:
    """The backend asked for, by name or itself, or with ``auto`` the fastest that can.

    Raises:
        UserError: no such backend, or it cannot, with its reason.
    """
    if backend == "auto":
        able = (item for item in BACKENDS.values() if not item.on_request_only)
        return next(item for item in able if item.refusal(cell, request) is None)
    if isinstance(backend, str):
        if backend not in BACKENDS:
            raise unknown("backend", backend, ["auto", *BACKENDS])
        backend = BACKENDS[backend]
    reason = backend.refusal(cell, request)
    if reason is not None:
        raise UserError(f"the backend {backend.name} cannot run {type(cell).__name__} here: {reason}.")
    return backend


def run(
    cell: Cell,
    x: Tensor,
    state: Tensor | None = None,
    backend: str | Backend = "auto",
    tap: Tensor | None = None,
    return_states: bool = False,
    side: Mapping[str, Tensor] | None = None,
    draws: Tensor | None = None,
) -> Output:
    """Run a cell over time.

    Args:
        cell: Any `Cell`.
        x: (B, T, I), T ≥ 1.
        state: (B, *S) to start from; the cell's initial state where not given.
        backend: A name in `BACKENDS`, auto, or a `Backend` that is in no registry.
        tap: State perturbation, (B, T, *S), added to each new state: ∂ℓ/∂tap_t at tap = 0 is the total derivative
            ∂ℓ/∂s_t.
        return_states: Return every state instead of the last.
        side: What the cell `needs` beside x, (B, T) each, by name; more may be there.
        draws: (B, T, N) of the cell's `draw` for this sequence; drawn here where not given.

    Returns:
        y (B, T, H), and the last state (B, *S) or all states (B, T, *S).

    Raises:
        UserError: an empty sequence, a shape that does not fit, or a backend that cannot.
    """
    if x.dim() != 3 or x.shape[1] == 0 or x.shape[2] != cell.input_size:
        raise UserError(f"x must be (batch, time ≥ 1, {cell.input_size}), got {tuple(x.shape)}.")
    batch, time = x.shape[:2]
    if state is None:
        state = cell.initial_state(batch)
    elif state.shape != (batch, *cell.state_shape):
        raise UserError(f"state must be {(batch, *cell.state_shape)}, got {tuple(state.shape)}.")
    if tap is not None and tap.shape != (batch, time, *cell.state_shape):
        raise UserError(f"tap must be {(batch, time, *cell.state_shape)}, got {tuple(tap.shape)}.")
    request = Request(x.device, x.dtype, tap=tap is not None, states=return_states)
    with cell.beside(side, draws):
        return choose(cell, backend, request).run(cell, x, state, tap, return_states)


def backend_name(cell: Cell, backend: str, device: torch.device) -> str:
    """Which backend a training step of this cell will run on."""
    return choose(cell, backend, Request(device, any_weight(cell).dtype)).name
