"""Properties of the constructor: one seed gives one cell, the state_dict holds all of it, cells share nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from rnnbench.cells.cell import Cell
from rnnbench.cells.registry import make_cell
from rnnbench.conformance.cell_under_test import CellUnderTest, run
from rnnbench.conformance.property import Broken
from rnnbench.conformance.surroundings import watched
from rnnbench.errors import told


def construction(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """Built twice from one seed it is the same cell, from another seed another; all memory is written; none is shared.

    The first run is as the second, creates no parameter, and no other cell that is built or run changes it.
    """
    with watched("the constructor", subject.settings, "torch's random state"), memory_filled():
        cell, twin, other = subject.build(), subject.build(), subject.build(2)
        _seeds_nothing(subject)
    _whole(cell)
    _same_by_seed(cell, twin, other)
    _apart(cell, other)
    x, state = subject.sample(torch.float32).x.cpu(), subject.sample(torch.float32).state.cpu()
    declared = [name for name, _ in cell.named_parameters()]
    with torch.no_grad(), memory_filled():
        y = run(cell, x, state, "loop")[0]
        if not y.isfinite().all():
            raise Broken("a run gives what was in memory before it: it uses torch.empty and does not fill it")
        if late := [name for name, _ in cell.named_parameters() if name not in declared]:
            raise Broken(f"the parameter {late[0]} is created by the first run; create it in the constructor")
        for what, module in (("when it is run again", cell), ("of a cell built from the same seed", twin)):
            if not torch.equal(run(module, x, state, "loop")[0], y):
                raise Broken(f"y is another one {what}")
        run(other, x, state, "loop")
        if not torch.equal(run(cell, x, state, "loop")[0], y):
            raise Broken("y is another one after another cell was built and run: keep no attribute of the class")
    return None, ""


def reload(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """A cell of another seed that loads the state_dict of this one, its weights moved, computes what this one does."""
    cell, other = subject.build(), subject.build(2)
    x, state = subject.sample(torch.float32).x.cpu(), subject.sample(torch.float32).state.cpu()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in cell.parameters():
            if weight.is_floating_point():
                weight.add_(0.01 * torch.randn(weight.shape, generator=generator))
        try:
            other.load_state_dict(cell.state_dict())
        except Exception as error:
            raise Broken(f"load_state_dict of its own state_dict raised {told(error)}") from error
        if not torch.equal(run(cell, x, state, "loop")[0], run(other, x, state, "loop")[0]):
            raise Broken(
                "loaded from its state_dict it computes something else: a weight, or what follows from one, is neither "
                "a parameter nor a persistent buffer"
            )
    return None, ""


@contextmanager
def memory_filled() -> Iterator[None]:
    """The context in which memory that is not written is NaN, and not what happens to be there."""
    deterministic: Any = torch.utils.deterministic  # whose attribute its type does not have
    kept = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        deterministic.fill_uninitialized_memory,
    )
    torch.use_deterministic_algorithms(True, warn_only=True)
    deterministic.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(kept[0], warn_only=kept[1])
        deterministic.fill_uninitialized_memory = kept[2]


def _tensors(cell: Cell) -> dict[str, Tensor]:
    """Parameters and buffers by name, those with two names twice."""
    pairs = itertools.chain(cell.named_parameters(remove_duplicate=False), cell.named_buffers(remove_duplicate=False))
    return {name: value.detach().to_dense() for name, value in pairs}


def _seeds_nothing(subject: CellUnderTest) -> None:
    after = []
    with torch.random.fork_rng(devices=[]):
        for seed in (1, 2):
            torch.manual_seed(seed)
            make_cell(subject.config, subject.input_size, subject.hidden_size)
            after.append(torch.get_rng_state())
    if torch.equal(*after):
        raise Broken("the constructor seeds torch's generator, and so all that is drawn after it; leave it alone")


def _whole(cell: Cell) -> None:
    for name, weight in cell.named_parameters():
        if is_lazy(weight):
            raise Broken(f"the parameter {name} has no shape before the first run; the sizes are known: use them")
        if weight.is_floating_point() and weight.dtype != torch.get_default_dtype():
            raise Broken(f"the parameter {name} is made in {weight.dtype}; leave dtype out, the caller sets it")
    for name, value in _tensors(cell).items():
        if value.isnan().any():
            raise Broken(f"`{name}` holds memory that was never written (torch.empty); fill it in the constructor")


def _same_by_seed(cell: Cell, twin: Cell, other: Cell) -> None:
    first, second, third = _tensors(cell), _tensors(twin), _tensors(other)
    for name, value in first.items():
        if name not in second or not torch.equal(value, second[name]):
            raise Broken(f"`{name}` is another one when built again from the same seed; draw it by torch's generator")
    fixed = [name for name, weight in cell.named_parameters() if weight.requires_grad and _drawn(weight)]
    for name in fixed:
        if torch.equal(first[name], third[name]):
            raise Broken(f"the parameter {name} is the same from every seed; set no seed in the constructor")


def _drawn(weight: Tensor) -> bool:
    """Whether a parameter looks random: a matrix without any number twice."""
    return weight.dim() > 1 and weight.numel() > 8 and len(weight.detach().unique()) == weight.numel()


def _apart(cell: Cell, other: Cell) -> None:
    parameters = list(cell.named_parameters(remove_duplicate=False))
    for (one, first), (two, second) in itertools.combinations(parameters, 2):
        if first is second:
            raise Broken(
                f"{two} is {one} under another name: one parameter, trained as one; use one name, or two weights"
            )
        (begin, end), (start, stop) = _extent(first), _extent(second)
        if begin < stop and start < end:
            raise Broken(f"the parameters {one} and {two} share memory: an update of one changes the other; clone it")
    for name, weight in parameters:
        if any(size > 1 and stride == 0 for size, stride in zip(weight.shape, weight.stride(), strict=True)):
            raise Broken(f"the parameter {name} is an expanded tensor: its numbers are one in memory; clone it")
    taken = _storages(other)
    for name, place in _storages(cell).items():
        if place in taken.values():
            raise Broken(f"`{name}` is shared with every other cell of the class; clone it in the constructor")


def _storages(cell: Cell) -> dict[str, int]:
    """Where each weight and buffer begins in memory; of a sparse one that is not known."""
    values = cell.state_dict().items()
    return {
        name: value.untyped_storage().data_ptr()
        for name, value in values
        if isinstance(value, Tensor) and value.layout == torch.strided and value.numel()
    }


def _extent(weight: Tensor) -> tuple[int, int]:
    """The addresses from its first number to behind its last."""
    span = sum((size - 1) * stride for size, stride in zip(weight.shape, weight.stride(), strict=True)) + 1
    return weight.data_ptr(), weight.data_ptr() + span * weight.element_size()
