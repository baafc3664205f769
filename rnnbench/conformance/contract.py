"""Properties of the declaration itself: shapes, number formats and devices, copies, the state to start from."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from rnnbench.cells.cell import Cell
from rnnbench.conformance.cell_under_test import B, CellUnderTest, called, differs, driven, run
from rnnbench.conformance.property import Broken
from rnnbench.errors import told


def contract(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """Shapes and number formats are the declared ones, with I ≠ H and I = H; outputs are finite."""
    for one in (subject, subject.square):
        declared(one, dtype)
    return None, ""


def declared(subject: CellUnderTest, dtype: torch.dtype) -> None:
    """`contract` at one size.

    Raises:
        Broken: something is not as declared.
    """
    _sizes(subject)
    _initial_state(subject)
    _shapes(subject, dtype)


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
    cell, length = subject.cell(dtype), subject.seq_len
    generator = torch.Generator().manual_seed(0)
    x = subject.inputs(B, length, generator).to(dtype)
    with torch.no_grad():
        u = called("drive", partial(driven, cell), x)
        if u.dim() != 3 or u.shape[:2] != (B, length):
            raise Broken(f"drive gives {tuple(u.shape)}, expected (B, T, G) = ({B}, {length}, G)")
        first = cell.initial_state(B)
        s = called("step", cell.step, u[:, 0], first)
        _expect("step", tuple(s.shape), (B, *cell.state_shape), "(B, *S)")
        if s.dtype != first.dtype:
            raise Broken(f"step turns a state in {_name(first.dtype)} into one in {_name(s.dtype)}")
        for batch, time in ((B, length), (B, 1), (1, length), (1, 1)):
            u = called("drive", partial(driven, cell), x[:batch, :time])
            _expect("drive", tuple(u.shape[:2]), (batch, time), "(B, T, …)")
            s = called("step", cell.step, u[:, 0], first[:batch])
            _expect("step", tuple(s.shape), (batch, *cell.state_shape), "(B, *S)")
            states = first[:batch].unsqueeze(1).expand(-1, time, *cell.state_shape)
            y = called("read", cell.read, states, u)
            _expect("read", tuple(y.shape), (batch, time, cell.hidden_size), "(B, T, H)")
            if y.dtype != dtype:
                raise Broken(f"read gives {_name(y.dtype)} where weights and x are {_name(dtype)}")
            y, states = run(cell, x[:batch, :time], backend="loop", return_states=True)
            for what, value in (("y", y), ("state", states)):
                bad = (~value.isfinite()).nonzero()
                if len(bad):
                    raise Broken(f"{what} is not finite at t = {int(bad[:, 1].min())}, from the initial state")


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
            _on_meta(subject, subject.build().to(dtype))
    except Exception as error:
        raise Broken(
            f"on the meta device, which has shapes and no values, it raised {told(error)}; a step must not ask for a "
            "value (.item(), if, while): write torch.where"
        ) from error
    return None, ""


def devices(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """A cell that is built on the CPU, run, and moved to another device or number format computes there.

    So every tensor that it computes with is registered, or made on its input's device. The other device is meta.
    """
    cell = subject.build()
    for where, value in _attributes(cell):
        raise Broken(
            f"`{where}` is a {type(value).__name__} that is not registered: .to(), the optimiser and the state_dict "
            f"do not see it; use {_instead(value)}"
        )
    x, state = subject.sample(torch.float32).x[:, :2], subject.sample(torch.float32).state
    with torch.no_grad():
        run(cell.to(subject.device), x, state, "loop")
        for what, value in zip(("y", "state"), run(cell.to(dtype), x.to(dtype), state.to(dtype), "loop"), strict=True):
            truth = run(subject.cell(dtype), x.to(dtype), state.to(dtype), "loop")[what == "state"]
            if differs(value, truth):
                raise Broken(f"run in float32 and then moved to {_name(dtype)}, {what} is another than of one made so")
        try:
            _on_meta(subject, cell.to("meta"))
        except Exception as error:
            try:
                with torch.device("meta"):
                    _on_meta(subject, cell)
            except Exception:  # it asks for values: that is what `copies` finds
                return None, ""
            raise Broken(
                f"built on the CPU and moved to another device it raised {told(error)}; make constants with "
                "device=s.device and register the others as buffers"
            ) from error
    return None, ""


def _instead(value: Any) -> str:
    if isinstance(value, nn.Module):
        return "nn.ModuleList"
    return "nn.ParameterList" if isinstance(value, nn.Parameter) else "register_buffer"


def _attributes(cell: Cell) -> Iterator[tuple[str, Any]]:
    """Parameters, tensors and modules that are attributes of a cell, or in its lists, and not registered."""
    registered = {id(value) for value in (*cell.parameters(), *cell.buffers(), *cell.modules())}
    for prefix, module in cell.named_modules():
        for name, value in vars(module).items():
            if not name.startswith("_") or isinstance(value, Tensor):
                for key, item in _items(f"{prefix}.{name}".lstrip("."), value):
                    if id(item) not in registered:
                        yield key, item


def _items(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Tensor | nn.Module):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _items(f"{name}[{key!r}]", item)
    elif isinstance(value, list | tuple | set):
        for index, item in enumerate(value):
            yield from _items(f"{name}[{index}]", item)


def _on_meta(subject: CellUnderTest, cell: Cell) -> None:
    columns = subject.sample(torch.float32).x.shape[-1]
    dtype = next((weight.dtype for weight in cell.parameters()), torch.get_default_dtype())
    run(cell, torch.empty(B, 2, columns, dtype=dtype, device="meta"), backend="loop")


def start(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """The initial state is the same each time, in every row, for every batch and in evaluation mode."""
    cell = subject.fresh(dtype)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = cell.initial_state(B)
        torch.manual_seed(2)
        cases = {"when asked again": cell.initial_state(B), f"in a batch of {B + 2}": cell.initial_state(B + 2)[:B]}
        cases |= {
            "in a batch of 1": cell.initial_state(1).expand_as(first),
            "in evaluation": cell.eval().initial_state(B),
        }
        cases["in another row"] = first.roll(1, 0)
    for where, state in cases.items():
        if not torch.equal(state, first):
            raise Broken(f"initial_state is another one {where}; it must be the same for every sequence")
    return None, ""


def _expect(what: str, got: tuple[int, ...], wanted: tuple[int, ...], meaning: str) -> None:
    if got != wanted:
        raise Broken(f"{what} gives {got}, expected {meaning} = {wanted}")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
