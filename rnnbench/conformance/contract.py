"""Properties of the declaration itself: shapes and number formats, pure functions, nothing kept between runs."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from rnnbench.backends.dispatch import run
from rnnbench.cells.affine_cell import AffineCell
from rnnbench.cells.cell import Cell
from rnnbench.cells.registry import make_cell
from rnnbench.conformance.cell_under_test import B, CellUnderTest, T, largest
from rnnbench.conformance.property import Broken
from rnnbench.errors import told


def contract(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """Shapes and number formats are the declared ones, with I ≠ H and I = H; outputs are finite."""
    for one in (subject, subject.square):
        _sizes(one)
        _initial_state(one)
        _shapes(one, dtype)
    return None, ""


def _sizes(subject: CellUnderTest) -> None:
    cell = subject.cell(torch.float32)
    sizes, asked = (cell.input_size, cell.hidden_size), (subject.input_size, subject.hidden_size)
    if sizes != asked:
        raise Broken(f"(input_size, hidden_size) is {sizes}, but it was built with {asked}")
    shape = cell.state_shape
    if not isinstance(shape, tuple) or not all(isinstance(size, int) and size > 0 for size in shape):
        raise Broken(f"state_shape is {shape!r}, expected a tuple of positive whole numbers")


def _initial_state(subject: CellUnderTest) -> None:
    """float32 at least: in bfloat16 a state would forget its own small changes."""
    for weights in (torch.float32, torch.float64, torch.bfloat16):
        cell = copy.deepcopy(subject.cell(torch.float32)).to(weights)
        wanted = torch.promote_types(weights, torch.float32)
        for batch in (B, 1):
            what = f"initial_state({batch}) of a cell in {_name(weights)}"
            state = cell.initial_state(batch)
            _expect(what, tuple(state.shape), (batch, *cell.state_shape), "(batch, *state_shape)")
            if state.dtype != wanted:
                raise Broken(f"{what} is {_name(state.dtype)}, expected {_name(wanted)}")
            if state.device.type != subject.device.type:
                raise Broken(f"{what} is on {state.device}, expected the parameters' {subject.device}")


def _shapes(subject: CellUnderTest, dtype: torch.dtype) -> None:
    cell = subject.cell(dtype)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(B, T, cell.input_size, generator=generator).to(subject.device, dtype)
    with torch.no_grad():
        u = _call("drive", cell.drive, x)
        if u.dim() != 3 or u.shape[:2] != (B, T):
            raise Broken(f"drive gives {tuple(u.shape)}, expected (B, T, G) = ({B}, {T}, G)")
        u = cell.driven(x)
        first = cell.initial_state(B)
        s = _call("step", cell.step, u[:, 0], first)
        _expect("step", tuple(s.shape), (B, *cell.state_shape), "(B, *S)")
        if s.dtype != first.dtype:
            raise Broken(f"step turns a state in {_name(first.dtype)} into one in {_name(s.dtype)}")
        for time in (T, 1):
            states = first.unsqueeze(1).expand(-1, time, *cell.state_shape)
            y = _call("read", cell.read, states, u[:, :time])
            _expect("read", tuple(y.shape), (B, time, cell.hidden_size), "(B, T, H)")
            if y.dtype != dtype:
                raise Broken(f"read gives {_name(y.dtype)} where weights and x are {_name(dtype)}")
            y, states = run(cell, x[:, :time], backend="loop", return_states=True)
            for what, value in (("y", y), ("state", states)):
                bad = (~value.isfinite()).nonzero()
                if len(bad):
                    raise Broken(f"{what} is not finite at t = {int(bad[:, 1].min())}, from the initial state")


def _call(what: str, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    try:
        return function(*inputs)
    except Exception as error:
        shapes = " and ".join(str(tuple(tensor.shape)) for tensor in inputs)
        raise Broken(f"{what} of {shapes} raised {told(error)}") from error


def purity(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """`drive`, `step` and `read` write into none of their inputs, and give the same when called twice."""
    cell, sample = subject.cell(dtype), subject.sample(dtype)
    with torch.no_grad():
        x = sample.x.clone()
        _pure("drive", cell.drive, {"x": x})
        u = cell.driven(x)
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
    """What a run leaves in the module does not depend on its input: all memory is in the state.

    Compared after a first run, so that a cell may keep what follows from its sizes alone, a mask say.
    """
    cell, sample = subject.cell(dtype), subject.sample(dtype)
    with torch.no_grad():
        run(cell, sample.x, sample.state, "loop")
        before = _contents(cell)
        run(cell, sample.x.flip(1) + 1, backend="loop")
    after = _contents(cell)
    for name in before.keys() | after.keys():
        if name not in before or name not in after or not _same(before[name], after[name]):
            raise Broken(f"a run changes the cell's own `{name}`: what is to be remembered belongs in the state")
    return None, ""


def copies(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """A deep copy computes the same; the cell can be built and run on the meta device, which has shapes and no values.

    So a branch on values is found, and a cell of any size can be counted without memory.
    """
    cell, sample = subject.cell(dtype), subject.sample(dtype)
    with torch.no_grad():
        y, _ = run(cell, sample.x, sample.state, "loop")
        again, _ = run(copy.deepcopy(cell), sample.x, sample.state, "loop")
    if not torch.equal(y, again):
        raise Broken("copy.deepcopy of it computes something else")
    try:
        with torch.device("meta"):
            meta = make_cell(subject.config, subject.input_size, subject.hidden_size).to(dtype)
            run(meta, torch.empty(B, 2, subject.input_size, dtype=dtype), backend="loop")
    except Exception as error:
        raise Broken(
            f"on the meta device, which has shapes and no values, it raised {told(error)}; does it branch on values?"
        ) from error
    return None, ""


def _contents(cell: Cell) -> dict[str, Any]:
    """All attributes, buffers and parameters of a module and of those inside it, by dotted name, copied."""
    out: dict[str, Any] = {}
    for prefix, module in cell.named_modules():
        tensors = {**module._parameters, **module._buffers}
        rest = {key: value for key, value in vars(module).items() if key not in ("_parameters", "_buffers", "_modules")}
        out |= {f"{prefix}.{key}".lstrip("."): _copied(value) for key, value in {**rest, **tensors}.items()}
    return out


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple | deque):
        return [_copied(item) for item in value]
    return value


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one is other or (type(one) is type(other) and bool(one == other))


def _expect(what: str, got: tuple[int, ...], wanted: tuple[int, ...], meaning: str) -> None:
    if got != wanted:
        raise Broken(f"{what} gives {got}, expected {meaning} = {wanted}")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def gates(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """`gate_values` gives numbers in 0 … 1, row by row as `step` does; a cell without gates gives none.

    The decay of an affine cell may be above 1: such a state grows.
    """
    cell, sample = subject.cell(dtype), subject.sample(dtype)
    with torch.no_grad():
        u, s = cell.driven(sample.x)[:, 0], sample.state
        values, turned = cell.gate_values(u, s), cell.gate_values(u.roll(1, 0), s.roll(1, 0))
    for name, value in values.items():
        if value.shape[:1] != (B,):
            raise Broken(f"gate_values gives for {name} {tuple(value.shape)}, expected (B, …) = ({B}, …)")
        highest = float("inf") if name == "decay" and isinstance(cell, AffineCell) else 1 + 1e-6
        low, high = float(value.min()), float(value.max())
        if not (low >= -1e-6 and high <= highest):
            raise Broken(f"gate_values gives for {name} from {low:.3g} to {high:.3g}, expected 0 … 1")
        if largest(turned[name] - value.roll(1, 0)) > 1e-6:
            raise Broken(f"gate_values gives for {name} what changes with the rows beside it")
    return None, ""
