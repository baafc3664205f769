"""What a function or a run must leave alone: its inputs, the module, its class, globals, the random state."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from types import CodeType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnbench.cells.cell import Cell
from rnnbench.conformance.cell_under_test import CellUnderTest, driven, results, run
from rnnbench.conformance.property import Broken
from rnnbench.conformance.surroundings import watched


def purity(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """`drive`, `step` and `read` write into none of their inputs, and give the same when called twice."""
    cell, sample = subject.cell(dtype), subject.sample(dtype)
    with torch.no_grad():
        x = sample.x.clone()
        u = _pure("drive", partial(driven, cell), {"x": x})
        s = _pure("step", cell.step, {"u": u[:, 0].clone(), "s": sample.state.clone()})
        _pure("read", cell.read, {"s": s.unsqueeze(1).clone(), "u": u[:, :1].clone()})
    return None, ""


def _pure(what: str, function: Callable[..., Tensor], inputs: Mapping[str, Tensor]) -> Tensor:
    before = {name: tensor.clone() for name, tensor in inputs.items()}
    first = function(*inputs.values())
    for name, tensor in inputs.items():
        if not torch.equal(tensor, before[name]):
            raise Broken(f"{what} writes into the {name} that it is given, in place")
    first = first.clone()
    if not torch.equal(first, function(*inputs.values())):
        raise Broken(f"{what}, called twice with the same, gives two different results")
    return first


def memory(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """What a run leaves behind does not depend on it: all memory is in the state, and random numbers are left alone.

    Compared after a first run, so that a cell may keep what follows from its sizes alone, a mask say.
    """
    cell, sample = subject.cell(dtype), subject.sample(dtype)
    with watched("a run", subject.settings):
        results(cell, sample.x, sample.state, sample.cotangents, "loop")
    with torch.no_grad():
        before = _contents(cell)
        run(cell, sample.x.flip(1) + 1, backend="loop")
        _unchanged("a run", cell, before)
        cell.step(driven(cell, sample.x)[:, 0], sample.state)  # a count of steps is the same after every such run
        _unchanged("a step", cell, before)
    return None, ""


def _unchanged(what: str, cell: Cell, before: dict[str, Any]) -> None:
    after = _contents(cell)
    for name in before.keys() | after.keys():
        if name not in before or name not in after or not _same(before[name], after[name]):
            raise Broken(f"{what} changes `{name}`: what is to be remembered belongs in the state")


def _contents(cell: Cell) -> dict[str, Any]:
    """All attributes, buffers and parameters of a module and of those inside it, by dotted name, copied.

    And the plain values that its class and those above it hold, as attributes or as globals that a method names.
    """
    out: dict[str, Any] = {}
    for cls in type(cell).__mro__[: type(cell).__mro__.index(Cell)]:
        methods = [item for item in vars(cls).values() if inspect.isfunction(item)]
        held = {f"{cls.__name__}.{key}": value for key, value in vars(cls).items() if not key.startswith("__")}
        for method in methods:
            named = _names(method.__code__)
            held |= {key: value for key, value in method.__globals__.items() if key in named}
            held |= inspect.getclosurevars(method).nonlocals
        out |= {key: _copied(value) for key, value in held.items() if isinstance(value, _PLAIN)}
    for prefix, module in cell.named_modules():
        tensors = {**module._parameters, **module._buffers}
        rest = {key: value for key, value in vars(module).items() if key not in ("_parameters", "_buffers", "_modules")}
        out |= {f"{prefix}.{key}".lstrip("."): _copied(value) for key, value in {**rest, **tensors}.items()}
    return out


#: Values that can be memory; not functions, classes or modules.
_PLAIN = (bool, int, float, complex, str, list, tuple, dict, set, deque, Tensor, np.ndarray)


def _names(code: CodeType) -> set[str]:
    """The global names that a function uses, and those inside it."""
    inner = (item for item in code.co_consts if isinstance(item, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone().to_dense()
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple | deque):
        return [_copied(item) for item in value]
    return value


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one is other or (type(one) is type(other) and bool(one == other))
