"""Implementations of which only the code is known: a module or a function of the user's, torch's scan operators.

What they should compute is what they compute themselves in float64, one time step at a time; or what a second module
does, of the same weights, that is written plainly.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from rnnbench.conformance.implementation import Implementation, Run, Runner, Size, Target, row_by_row
from rnnbench.errors import UserError, told


class FunctionModule(nn.Module):
    """A function of (x, state or None, weights) as a module that has the weights."""

    def __init__(self, function: Callable[..., Any], weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.function = function
        self.weights = nn.ParameterDict({name: nn.Parameter(weight.float()) for name, weight in weights.items()})

    def forward(self, x: Tensor, state: Any = None, **lengths: Tensor) -> Any:
        return self.function(x, state, dict(self.weights), **lengths)


class ModuleTarget(Target):
    """A module that maps x (B, T, I), or x and a state, to y (B, T, W), or y and the last state.

    Args:
        name: As it is to be called.
        build: Input size and hidden size to the module.
        arguments: The names of the arguments that its forward takes.
        reference: The same to one of the same weights, whose computation is taken for right; where there is none the
            module is compared with itself, and its gradients with finite differences.
        trusted: Whether the reference is ours.
    """

    def __init__(
        self,
        name: str,
        build: Callable[[int, int], nn.Module],
        arguments: Sequence[str],
        reference: Callable[[int, int], nn.Module] | None = None,
        trusted: bool = False,
    ) -> None:
        self.name, self.build, self.reference, self.trusted = name, build, reference or build, trusted
        self.takes_lengths = "lengths" in arguments
        self.takes_state = len([argument for argument in arguments if argument != "lengths"]) > 1

    def at(self, size: Size, device: torch.device) -> Implementation:
        try:
            module, reference = (make(size.input_size, size.hidden_size) for make in (self.build, self.reference))
            reference.load_state_dict(module.state_dict())
        except Exception as error:  # a user's class may raise anything
            raise UserError(f"{self.name} cannot be built at {size}: {told(error)}.") from error
        return _ModuleImplementation(self, module.to(device), reference.to(device), size, device)


class _ModuleImplementation(Implementation):
    def __init__(
        self, target: ModuleTarget, module: nn.Module, reference: nn.Module, size: Size, device: torch.device
    ) -> None:
        self.module, self.reference, self.device = module, reference, device
        two, three = (self._trial(target, batch, size.input_size) for batch in (2, 3))
        self.width, self.spec = two[0].shape[-1], two[2]
        self.batch_dims = [_differing(target.name, *shapes) for shapes in zip(two[1], three[1], strict=True)]
        if not target.takes_state:
            self.batch_dims = []  # what comes out cannot be handed on
        many = len(self.batch_dims) > 1
        self.state_names = [f"state {i}" if many else "state" for i in range(len(self.batch_dims))]

    def _trial(self, target: ModuleTarget, batch: int, input_size: int) -> tuple[Tensor, list[Tensor], Any]:
        """y, the state's parts and their nesting: one call shows how it is to be used."""
        x = torch.randn(batch, 4, input_size, generator=torch.Generator().manual_seed(0)).to(self.device)
        try:
            with torch.no_grad():
                y, parts, spec = _flat(self.module(x))
        except UserError as error:
            raise UserError(f"{target.name} {error}") from None
        except Exception as error:  # likewise
            raise UserError(f"{target.name} fails on x of shape {tuple(x.shape)}: {told(error)}.") from error
        if y.dim() != 3 or y.shape[:2] != x.shape[:2]:
            raise UserError(f"{target.name} returns y of shape {tuple(y.shape)} for x {tuple(x.shape)}; "
                            "it must be (batch, time, width).")  # fmt: skip
        return y, parts, spec

    def _call(
        self, module: nn.Module, x: Tensor, states: Sequence[Tensor] | None, lengths: Sequence[int] | None
    ) -> tuple[Tensor, list[Tensor]]:
        arguments: list[Any] = [x]
        if states and self.batch_dims:
            arguments.append(pytree.tree_unflatten(list(states), self.spec))
        named = {} if lengths is None else {"lengths": torch.tensor(lengths, device=x.device)}
        y, parts, _ = _flat(module(*arguments, **named))
        return y, parts if self.batch_dims else []

    def tested(self, dtype: torch.dtype) -> Runner:
        module = copy.deepcopy(self.module).to(dtype)
        return Runner(partial(self._call, module), _weights(module))

    def exact(self, dtype: torch.dtype) -> Runner:
        module = copy.deepcopy(self.reference).to(dtype).double()
        return Runner(self._stepped(partial(self._call, module)), _weights(module))

    def plain(self, dtype: torch.dtype) -> Runner:
        """In float64 as well, for the module's code in this format may be wrong: its state, outputs and their gradients
        are rounded to the format at each time step, and weights and inputs are off by up to half a unit.
        """
        module = copy.deepcopy(self.reference).to(dtype).double()
        generator, unit = torch.Generator().manual_seed(5), torch.finfo(dtype).eps

        def off(value: Tensor) -> Tensor:
            return value * (1 + unit * (torch.rand(value.shape, generator=generator).to(value) - 0.5))

        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(off(parameter))
        stepped = self._stepped(partial(self._call, module), dtype)

        def rounded(
            x: Tensor, states: Sequence[Tensor] | None, lengths: Sequence[int] | None
        ) -> tuple[Tensor, list[Tensor]]:
            return stepped(off(x.double()), [state.double() for state in states] if states else None, lengths)

        return Runner(rounded, _weights(module))

    def _stepped(self, call: Run, dtype: torch.dtype | None = None) -> Run:
        """One time step a call, the state handed on; and rounded to a number format. Without a state, all in one."""

        def run(x: Tensor, states: Sequence[Tensor] | None, _: object) -> tuple[Tensor, list[Tensor]]:
            if not self.batch_dims:
                return call(x, None, None)
            outputs, current = [], states
            for t in range(x.shape[1]):
                y, current = call(x[:, t : t + 1], current, None)
                if dtype is not None:
                    y, *current = (_Rounded.apply(value, dtype) for value in (y, *current))
                outputs.append(y)
            return torch.cat(outputs, dim=1), list(current or ())

        return row_by_row(run, self.batch_dims)


class _Rounded(torch.autograd.Function):
    """A tensor rounded to a number format, and its gradient likewise."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.dtype = dtype
        return value.to(dtype).to(value.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient.to(ctx.dtype).to(gradient.dtype), None


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {name.removeprefix("weights."): parameter for name, parameter in module.named_parameters()}


def _flat(result: Any) -> tuple[Tensor, list[Tensor], Any]:
    """y, the parts of the last state, and how they were nested.

    Raises:
        UserError: It is neither y nor a pair of y and a state of tensors.
    """
    if isinstance(result, Tensor):
        return result, [], None
    if not (isinstance(result, tuple | list) and len(result) == 2 and isinstance(result[0], Tensor)):
        raise UserError(f"returns a {type(result).__name__}; it must return y, or a pair of y and the last state.")
    parts, spec = pytree.tree_flatten(result[1])
    if not all(isinstance(part, Tensor) for part in parts):
        kinds = ", ".join(type(part).__name__ for part in parts)
        raise UserError(f"returns a state of {kinds}; it must be a tensor, or tensors in tuples, lists or dicts.")
    return result[0], parts, spec


def _differing(name: str, two: Tensor, three: Tensor) -> int:
    """The dimension that counts the sequences, from the state of two and that of three."""
    dims = [dim for dim, (a, b) in enumerate(zip(two.shape, three.shape, strict=True)) if (a, b) == (2, 3)]
    if not dims:
        raise UserError(f"{name}: the state of 2 sequences is {tuple(two.shape)} and that of 3 {tuple(three.shape)}; "
                        "a dimension must count the sequences.")  # fmt: skip
    return dims[0]


def parameter_names(function: Callable[..., Any]) -> list[str]:
    """The names of the arguments that a function takes, ``self`` left out."""
    return [name for name in inspect.signature(function).parameters if name != "self"]
