"""The loop, unrolled in chunks that torch.compile fuses into few kernels: any cell, after a minute of compiling."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType

import torch
from torch import Tensor, nn

from rnnbench.backends.backend import Backend, Output, Request
from rnnbench.cells.cell import Cell
from rnnbench.errors import UserError

#: Time steps in one compiled chunk: compile time grows with it, calls from Python shrink with it.
CHUNK = 16


class Compiled(Backend):
    """Each chunk is one call of compiled code; the rest that fills no chunk runs step by step as in the loop.

    One compilation for each cell class, shape, dtype and gradient mode, kept by torch.compile in memory and on disk.
    """

    name = "compile"
    #: Compiling costs more before the first step than most runs would get back.
    on_request_only = True

    def refusal(self, cell: Cell, request: Request) -> str | None:
        if request.tap:
            return "the compiled steps take no tap"
        if any(isinstance(module, nn.RNNBase) for module in cell.modules()):
            return "torch.compile does not look inside torch's own recurrent modules"
        return _missing(request.device.type)

    def run(self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool) -> Output:
        with cell.unrolled():
            u = cell.driven(x)
            learns = torch.is_grad_enabled() and any(t.requires_grad for t in (u, state, *cell.parameters()))
            if learns and not state.requires_grad:
                # Else the first chunk alone, whose state needs no gradient, would be compiled a second time.
                state = state.detach().requires_grad_()
            # Each time step contiguous: strides that depend on T would be compiled for anew with each T.
            drives = u.transpose(0, 1).contiguous().unbind(0)
            compiled = _compiled(_key(cell, drives[0], state, learns))
            states: list[Tensor] = []
            for begin in range(0, len(drives), CHUNK):
                chunk = drives[begin : begin + CHUNK]
                states += (compiled if len(chunk) == CHUNK else _steps)(cell, chunk, state)
                state = states[-1]
            every = torch.stack(states, dim=1)
            return cell.read(every, u), every if return_states else state


def _steps(cell: Cell, drives: Sequence[Tensor], state: Tensor) -> list[Tensor]:
    """Some u_t, (B, G) each, and the state before them → the state after each, (B, *S)."""
    # Lists and not (B, T, …): the kernels of two time steps are then the same and are compiled once.
    states = []
    for u in drives:
        state = cell.step(u, state)
        states.append(state)
    return states


def _key(cell: Cell, u: Tensor, state: Tensor, learns: bool) -> tuple[object, ...]:
    """What torch.compile would compile anew for."""
    options = (item for module in cell.modules() for item in vars(module).items())
    plain = tuple(item for item in options if isinstance(item[1], bool | int | float | str))
    return type(cell), plain, u.shape, state.shape, u.dtype, state.dtype, u.device, learns, u.requires_grad


@lru_cache(maxsize=64)
def _compiled(key: tuple[object, ...]) -> Callable[[Cell, Sequence[Tensor], Tensor], list[Tensor]]:
    # torch.compile keeps its results with a function's code, and after eight of them refuses the ninth. So each key
    # gets a code object of its own, equal to that of `_steps`.
    steps = FunctionType(_steps.__code__.replace(), _steps.__globals__, _steps.__name__)
    compiled = torch.compile(steps, fullgraph=True, dynamic=False)

    def run(cell: Cell, drives: Sequence[Tensor], state: Tensor) -> list[Tensor]:
        try:
            return compiled(cell, drives, state)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = str(error).strip().partition("\n")[0].rstrip(".:")
            raise UserError(
                f"torch.compile cannot compile {type(cell).__name__} ({reason}); take another backend."
            ) from error

    return run


def _missing(device: str) -> str | None:
    """What torch.compile lacks on this machine, in words."""
    if device == "cuda":
        missing = find_spec("triton") is None
        return "torch.compile needs the package triton on a GPU, which is not installed" if missing else None
    compiler = os.environ.get("CXX", {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++"))
    if shutil.which(compiler) is None:
        return f"torch.compile needs a C++ compiler and there is no {compiler}; install one or name yours in CXX"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "torch.compile needs Python's C headers (Python.h); install them"
    return None
