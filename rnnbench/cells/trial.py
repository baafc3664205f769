"""A trial call of somebody's nn.Module: is it a step or a layer, and what is its state made of?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor, nn

from rnnbench.errors import told

#: Batch and time of a call; sizes of the module itself that are equal to one are passed over.
SIZES = (19, 23, 29, 31, 37, 41)
#: A layer without a state is looked at here: so far back, and so far ahead.
BACK, AHEAD = 192, 63
#: What the widths of a state's parts are called.
NAMES = {1: "h", 2: "(h, c)"}


class NotAsked(Exception):
    """A module is not of a form; the message says in what it differs."""


@dataclass(frozen=True)
class Part:
    """A tensor of a state: its shape without the batch, and which axis that is."""

    shape: tuple[int, ...]
    axis: int = 0


#: A tensor, or a tuple or list of trees. With parts in the place of tensors it is a state's structure.
Tree = Any


@dataclass(frozen=True)
class Form:
    """How a module is called.

    Args:
        step: One time step, x (B, I), at a call; else all of them.
        state: The parts of its state.
        apart: A step's output is none of the state's parts, and comes before it.
        batch_first: A layer's x is (B, T, I), not (T, B, I).
        past: Of a layer without a state, how many earlier inputs reach an output; None of one with a state.
    """

    step: bool
    state: Tree
    apart: bool = False
    batch_first: bool = True
    past: int | None = None

    def __str__(self) -> str:
        state = NAMES.get(len(leaves(self.state)), "state")
        if self.step:
            return f"a step cell (x, {state}) → {f'(out, {state})' if self.apart else state}"
        x = "x (B, T, I)" if self.batch_first else "x (T, B, I)"
        if self.past is None:
            return f"a whole layer ({x}, state) → (y, state)"
        return f"a whole layer {x} → y, its state the last {self.past} inputs"


def leaves(tree: Tree) -> list[Any]:
    """The tensors, or parts, of a tree, in order."""
    return [leaf for item in tree for leaf in leaves(item)] if isinstance(tree, tuple | list) else [tree]


def rebuilt(tree: Tree, values: Iterator[Any]) -> Tree:
    """A tree of the same structure with other leaves."""
    if not isinstance(tree, tuple | list):
        return next(values)
    items = [rebuilt(item, values) for item in tree]
    return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)


def own_state(module: nn.Module) -> Callable[[int], Tree] | None:
    """A module's own ``initial_state(batch)``, where it has one."""
    method = getattr(module, "initial_state", None)
    return method if callable(method) and not isinstance(method, nn.Module) else None


def form_of(module: nn.Module, input_size: int, hidden_size: int) -> Form:
    """Try a module, in evaluation mode and without gradients.

    Raises:
        NotAsked: It is none of the forms.
    """
    batch, time = [size for size in SIZES if size not in (input_size, hidden_size)][:2]
    weight = next(iter([*module.parameters(), *module.buffers()]), torch.empty(0))
    generator = torch.Generator("cpu").manual_seed(0)
    x = torch.randn(batch, time, input_size, generator=generator, device="cpu").to(weight)
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            try:
                return _step(module, x[:, 0], hidden_size)
            except NotAsked as reason:
                not_step = str(reason)
            try:
                return _layer(module, x, hidden_size)
            except NotAsked as reason:
                raise NotAsked(f"as a step {not_step}; as a layer {reason}") from None
    finally:
        module.train(training)


def _step(module: nn.Module, x: Tensor, hidden_size: int) -> Form:
    batch = len(x)
    positional, required = _positional(module)
    if positional < 2:
        raise NotAsked("it takes no state")
    h = x.new_zeros(batch, hidden_size)
    first, reason = None, ""
    if (own := own_state(module)) is not None:
        starts = [own(batch)]
    elif required > 1:
        starts = [h, (h, h)]
    else:
        first = _called(module, x)
        # The state is all that is returned, or what stands behind an output.
        starts = [first, first[1]] if _is_pair(first) else [first]
    for start in starts:
        try:
            start = start if first is None else _zeros(start)
            out = _called(module, x, start)
        except NotAsked as error:
            reason = reason or str(error)
            continue
        apart = not _alike(out, start)
        if apart and not (_is_pair(out) and _alike(out[1], start)):
            continue
        y = leaves(out)[0]
        if y.shape != (batch, hidden_size):
            reason = f"its output is {tuple(y.shape)}, not (B, H) = {(batch, hidden_size)}"
        elif any(part.shape[:1] != (batch,) for part in leaves(start)):
            reason = f"its state is not (B, …), B = {batch}"
        else:
            _check_start(first, out)
            return Form(True, rebuilt(start, iter([Part(tuple(part.shape[1:])) for part in leaves(start)])), apart)
    raise NotAsked(reason or "what it returns has other shapes than the state that it is given")


def _layer(module: nn.Module, x: Tensor, hidden_size: int) -> Form:
    batch, time, _ = x.shape
    own = own_state(module)
    if own is None and _positional(module)[1] > 1:
        raise NotAsked("its state has no default; give it None, or the module a method initial_state(batch)")
    start = [] if own is None else [own(batch)]
    out = _called(module, x, *start)
    if isinstance(out, Tensor):
        _check_output(out, (batch, time, hidden_size))
        return Form(False, (), past=0)  # how far back it looks is for `past_of` to say
    if not _is_pair(out):
        raise NotAsked(f"it returns {_kinds(out)}, not y or (y, state)")
    shapes = [tuple(part.shape) for part in leaves(_zeros(out[1]))]
    if any(batch in shape and time in shape for shape in shapes):
        raise NotAsked("its state grows with the sequence")
    # A module with time first takes what it is given here for a batch of T.
    batch_first = all(batch in shape for shape in shapes)
    if not batch_first and not all(time in shape for shape in shapes):
        raise NotAsked(f"its state's parts {', '.join(map(str, shapes))} have no axis for the batch, B = {batch}")
    if not batch_first:
        x = x.transpose(0, 1)
        out = _called(module, x, *start)
    _check_output(out[0], (*x.shape[:2], hidden_size))
    again = _called(module, x, _zeros(out[1]) if own is None else start[0])
    if not _alike(again, out):
        raise NotAsked("given a state as it returns it, it returns other shapes")
    if own is None:
        _check_start(out, again)
    parts = []
    for shape in (tuple(part.shape) for part in leaves(out[1])):
        axis = shape.index(batch)
        parts.append(Part((*shape[:axis], *shape[axis + 1 :]), axis))
    return Form(False, rebuilt(out[1], iter(parts)), batch_first=batch_first)


def past_of(module: nn.Module, input_size: int) -> tuple[bool, int]:
    """Of a layer without a state, whether batch comes first, and how many earlier inputs reach an output.

    module: One to be used for nothing else: it is made float64.

    Raises:
        NotAsked: None do, all do, or later ones.
    """
    module = module.double().eval()
    generator = torch.Generator("cpu").manual_seed(0)
    x = torch.randn(3, BACK + 1 + AHEAD, input_size, generator=generator, dtype=torch.float64, device="cpu")
    for batch_first in (True, False):
        taken = (x if batch_first else x.transpose(0, 1).contiguous()).requires_grad_()
        with torch.enable_grad():
            y = _called(module, taken)
            (slope,) = torch.autograd.grad((y[1, BACK] if batch_first else y[BACK, 1]).sum(), taken)
        reached = slope.ne(0).any(-1)
        reached = reached if batch_first else reached.transpose(0, 1)
        if not reached[[0, 2]].any():
            break
    else:
        raise NotAsked("it mixes the rows of a batch")
    steps = reached[1].nonzero()[:, 0].tolist()
    if steps and steps[-1] > BACK:
        raise NotAsked(f"its output depends on the input {steps[-1] - BACK} steps later")
    if not steps or steps[0] == BACK:
        raise NotAsked("its output depends on no earlier input")
    if steps[0] == 0:
        raise NotAsked("it looks back without end and returns no state; have it return (y, state)")
    return batch_first, BACK - steps[0]


def _positional(module: nn.Module) -> tuple[int, int]:
    """How many arguments forward takes by position, and how many it must be given."""
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    taken = [item for item in signature(module.forward).parameters.values() if item.kind in kinds]
    return len(taken), sum(item.default is Parameter.empty for item in taken)


def _called(module: nn.Module, *inputs: Tree) -> Tree:
    try:
        return module(*inputs)
    except Exception as error:
        raise NotAsked(f"it raised {told(error)}") from error


def _is_pair(tree: Tree) -> bool:
    return isinstance(tree, tuple | list) and len(tree) == 2


def _alike(one: Tree, other: Tree) -> bool:
    """The same structure, and tensors of the same shapes."""
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return isinstance(one, Tensor) and isinstance(other, Tensor) and one.shape == other.shape


def _zeros(tree: Tree) -> Tree:
    if not all(isinstance(leaf, Tensor) for leaf in leaves(tree)):
        raise NotAsked(f"it returns {_kinds(tree)} where tensors are expected")
    return rebuilt(tree, (torch.zeros_like(leaf) for leaf in leaves(tree)))


def _check_output(y: Any, expected: tuple[int, ...]) -> None:
    if not isinstance(y, Tensor) or y.shape != expected:
        shape = tuple(y.shape) if isinstance(y, Tensor) else _kinds(y)
        raise NotAsked(f"its output is {shape}, expected {expected}")


def _check_start(first: Tree | None, from_zeros: Tree) -> None:
    """first: What came out where no state was given; None where one must be."""
    for one, other in zip(leaves(first), leaves(from_zeros), strict=True) if first is not None else ():
        if not torch.allclose(one, other, rtol=1e-4, atol=1e-5, equal_nan=True):
            raise NotAsked("it does not start from zeros; give it a method initial_state(batch) that says from what")


def _kinds(value: Any) -> str:
    """``(Tensor, NoneType)``."""
    return f"({', '.join(map(_kinds, value))})" if isinstance(value, tuple | list) else type(value).__name__
