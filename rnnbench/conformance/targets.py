"""What `rnnbench certify` is given to check, by name: a layer of torch, a cell, an implementation, a file's object."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rnnbench.backends.backend import Backend, Request
from rnnbench.cells.cell import Cell
from rnnbench.cells.registry import cell_names, make_cell
from rnnbench.conformance.cell_implementation import CellTarget, RecurrentTarget
from rnnbench.conformance.implementation import Target
from rnnbench.conformance.module_implementation import FunctionModule, ModuleTarget, parameter_names
from rnnbench.conformance.scan_operators import scan_operators
from rnnbench.errors import UserError, told, unknown
from rnnbench.system.python_files import load_file

#: torch's layers; `nn.RNN` has two kinds.
_TORCH: dict[str, dict[str, Callable[..., nn.RNNBase]]] = {
    "torch:RNN": {
        "torch:RNN": nn.RNN,
        "torch:RNN(nonlinearity=relu)": partial(nn.RNN, nonlinearity="relu"),
    },
    "torch:LSTM": {"torch:LSTM": nn.LSTM},
    "torch:GRU": {"torch:GRU": nn.GRU},
}
#: The size at which a cell is tried to see which backends run it, and a function to see what it makes.
_TRIED = 8


def find_targets(name: str, implementations: Mapping[str, Backend], device: torch.device) -> list[Target]:
    """What a name stands for.

    Args:
        name: ``torch:LSTM`` or another layer or scan operator of torch; ``lstm``, a cell on every backend that runs it
            unasked; ``lstm/flashrnn``, on that one; ``flashrnn``, every cell that it runs; ``file.py:NAME``, a class or
            a function of the user's.
        implementations: Backends and external implementations, by name.
        device: Where they are to run.

    Raises:
        UserError: There is none of that name, it cannot run here, or the file's object is of no kind that is known.
    """
    path, colon, attribute = name.rpartition(":")
    if colon and path.endswith(".py"):
        return _of_file(Path(path), attribute, implementations, device)
    if name.startswith("torch:"):
        scans = scan_operators()
        if name not in _TORCH and name not in scans:
            raise unknown("layer of torch", name, [*_TORCH, *scans])
        if name in scans:
            return [scans[name]]
        return [RecurrentTarget(label, kind) for label, kind in _TORCH[name].items()]
    cell, slash, backend = name.partition("/")
    request = Request(device, torch.float32)
    if not slash and name in implementations:
        return _every_cell(implementations[name], request)
    if cell not in cell_names() and ":" not in cell:  # torchrecurrent:MGU is found by its package
        raise unknown("target", cell, [*_TORCH, *scan_operators(), *cell_names(), *implementations, "FILE.py:NAME"])
    build = partial(make_cell, cell)
    if not slash:
        return _every_backend(cell, build, implementations, request)
    if backend not in implementations:
        raise unknown("backend", backend, implementations)
    reason = implementations[backend].refusal(build(_TRIED, _TRIED), request)
    if reason is not None:
        raise UserError(f"{backend} cannot run {cell} here: {reason}.")
    return [CellTarget(cell, build, implementations[backend])]


def _every_backend(
    label: str, build: Callable[[int, int], Cell], implementations: Mapping[str, Backend], request: Request
) -> list[Target]:
    cell = build(_TRIED, _TRIED)
    able = [one for one in implementations.values() if not one.on_request_only and one.refusal(cell, request) is None]
    # The loop is what the others are compared with, and alone it is compared with itself in float64.
    return [CellTarget(label, build, backend) for backend in able]


def _every_cell(backend: Backend, request: Request) -> list[Target]:
    cells = {name: make_cell(name, _TRIED, _TRIED) for name in cell_names()}
    reasons = {name: backend.refusal(cell, request) for name, cell in cells.items()}
    able = [name for name, reason in reasons.items() if reason is None]
    if not able:
        counts = Counter(reason for reason in reasons.values() if reason is not None)
        raise UserError(f"{backend.name} runs no cell here: {'; '.join(reason for reason, _ in counts.most_common())}.")
    return [CellTarget(name, partial(make_cell, name), backend) for name in able]


def _of_file(path: Path, attribute: str, implementations: Mapping[str, Backend], device: torch.device) -> list[Target]:
    file = load_file(path)
    label = f"{path.name}:{attribute}"
    public = [key for key, value in vars(file).items() if callable(value) and not key.startswith("_")]
    if attribute not in public:
        raise unknown(f"object of {path.name}", attribute, public)
    thing, reference = getattr(file, attribute), getattr(file, f"{attribute}_reference", None)
    if isinstance(thing, nn.Module):
        raise UserError(f"{label} is a module that has its sizes already; name its class, "
                        "or a function of (input_size, hidden_size) that builds it.")  # fmt: skip
    if not isinstance(thing, type) and "weights" in parameter_names(thing):
        return [_function(label, attribute, file, thing, reference)]
    try:
        with torch.random.fork_rng(devices=[]):
            built: Any = thing(_TRIED, _TRIED)
    except Exception as error:  # a user's code may raise anything
        wanted = "a class or a function must take (input_size, hidden_size), or be a function of (x, state, weights)"
        raise UserError(f"{label} fails on the sizes ({_TRIED}, {_TRIED}): {told(error)}; {wanted}.") from error
    if isinstance(built, Cell):
        return _every_backend(label, thing, implementations, Request(device, torch.float32))
    if isinstance(built, nn.RNNBase):
        return [RecurrentTarget(label, thing)]
    if isinstance(built, nn.Module):
        return [ModuleTarget(label, thing, parameter_names(built.forward), reference)]
    raise UserError(f"{label} makes a {type(built).__name__}; it must be an nn.Module, a Cell, a function that builds "
                    "one of (input_size, hidden_size), or a function of (x, state, weights).")  # fmt: skip


def _function(label: str, attribute: str, file: Any, function: Callable[..., Any], reference: Any) -> Target:
    """A function of (x, state, weights), with the function of its file that makes the weights."""
    draw = getattr(file, f"{attribute}_weights", None) or getattr(file, "weights", None)
    if not callable(draw):
        raise UserError(f"{label} needs its weights: a function {attribute}_weights(input_size, hidden_size) in the "
                        "same file that returns them as a dict of tensors.")  # fmt: skip

    def build(called: Callable[..., Any], input_size: int, hidden_size: int) -> nn.Module:
        return FunctionModule(called, draw(input_size, hidden_size))

    arguments = [name for name in inspect.signature(function).parameters if name != "weights"]
    return ModuleTarget(
        label, partial(build, function), arguments, partial(build, reference) if reference is not None else None
    )
