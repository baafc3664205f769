"""Implementations of our cells: a cell on a backend; and torch's own layers, which have some cells' maths."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnnbench.backends.backend import Backend, Request
from rnnbench.backends.dispatch import BACKENDS, run
from rnnbench.backends.layers import Layers, run_layers
from rnnbench.backends.loop import Loop
from rnnbench.cells.cell import Cell
from rnnbench.config import CellConfig
from rnnbench.conformance.implementation import Implementation, Runner, Size, Target, row_by_row
from rnnbench.errors import UserError, told


class CellTarget(Target):
    """A cell on a backend or an external implementation of it; in evaluation, in which it draws no random numbers.

    Args:
        build: Input size and hidden size to the cell.
    """

    def __init__(self, label: str, build: Callable[[int, int], Cell], backend: Backend) -> None:
        self.name, self.build, self.backend = f"{label}/{backend.name}", build, backend
        self.package = getattr(backend, "package", None)

    def refusal(self, device: torch.device, dtype: torch.dtype) -> str | None:
        return self.backend.refusal(self.build(8, 8), Request(device, dtype))

    def multiple(self, device: torch.device, dtype: torch.dtype) -> float:
        return self.backend.multiple(Request(device, dtype))

    def at(self, size: Size, device: torch.device) -> Implementation:
        try:
            cell = self.build(size.input_size, size.hidden_size)
        except Exception as error:
            reason = str(error).rstrip(".") if isinstance(error, UserError) else told(error)
            raise UserError(f"{self.name} cannot be built at {size}: {reason}.") from error
        return _CellImplementation(cell.to(device).eval(), self.backend)


class _CellImplementation(Implementation):
    state_names, batch_dims = ("state",), (0,)

    def __init__(self, cell: Cell, backend: Backend) -> None:
        self.cell, self.backend, self.width = cell, backend, cell.hidden_size

    def state_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return torch.promote_types(dtype, torch.float32)

    def tested(self, dtype: torch.dtype) -> Runner:
        return self._on(self.backend, copy.deepcopy(self.cell).to(dtype))

    def exact(self, dtype: torch.dtype) -> Runner:
        return self._on(Loop(), copy.deepcopy(self.cell).to(dtype).double())

    def plain(self, dtype: torch.dtype) -> Runner:
        return self._on(Loop(), copy.deepcopy(self.cell).to(dtype))

    @staticmethod
    def _on(backend: Backend, cell: Cell) -> Runner:
        def run_cell(x: Tensor, states: Sequence[Tensor] | None, _: object) -> tuple[Tensor, list[Tensor]]:
            y, last = run(cell, x, states[0] if states else None, backend)
            return y, [last]

        return Runner(run_cell, dict(cell.named_parameters()))


class RecurrentTarget(Target):
    """`nn.RNN`, `nn.LSTM` or `nn.GRU`, or a class made from one of them, with whichever library runs it here.

    Args:
        name: As it is to be called.
        kind: The class; one whose constructor takes torch's arguments is checked in several layers as well.
    """

    takes_lengths = True

    def __init__(self, name: str, kind: Callable[..., nn.RNNBase]) -> None:
        self.name, self.kind = name, kind
        options = {"num_layers": 1, "batch_first": True, "bidirectional": False}
        try:
            inspect.signature(kind).bind(1, 1, **options)
            self.stacked = True
        except TypeError:
            self.stacked = False

    def multiple(self, device: torch.device, dtype: torch.dtype) -> float:
        return BACKENDS["torch"].multiple(Request(device, dtype))

    def at(self, size: Size, device: torch.device) -> Implementation:
        options: dict[str, Any] = {}
        if self.stacked:
            options = {"num_layers": size.layers, "batch_first": True, "bidirectional": size.directions > 1}
        try:
            module = self.kind(size.input_size, size.hidden_size, **options)
        except Exception as error:  # a user's class may raise anything
            raise UserError(f"{self.name} cannot be built at {size}: {told(error)}.") from error
        return _RecurrentImplementation(self.name, module.to(device))


class _RecurrentImplementation(Implementation):
    """One of torch's layers against the loop over our cells with its weights."""

    def __init__(self, name: str, module: nn.RNNBase) -> None:
        if module.proj_size:
            raise UserError(f"{name} projects its state (proj_size), which the cells here do not; build it without.")
        if module.dropout:
            raise UserError(f"{name} has dropout, and no two runs are the same; build it without.")
        relu = {"nonlinearity": "relu"} if module.mode == "RNN_RELU" else {}
        config = CellConfig(module.mode.partition("_")[0].lower(), relu)
        self.module = module
        self.layers = Layers(config, module.input_size, module.hidden_size, module.num_layers, module.bidirectional).to(
            next(module.parameters()).device
        )
        self.width = self.layers.width
        self.state_names = ("state h", "state c") if module.mode == "LSTM" else ("state",)
        self.batch_dims = tuple(1 for _ in self.state_names)
        with torch.no_grad():
            ours, theirs = self._named(self.layers), dict(module.named_parameters())
            for key, parameter in ours.items():
                parameter.copy_(theirs[key]) if key in theirs else parameter.zero_()  # it may be without biases
        self.keys = [key for key in ours if key in theirs]

    @staticmethod
    def _named(layers: Layers) -> dict[str, nn.Parameter]:
        """Our parameters by torch's names."""
        named: dict[str, nn.Parameter] = {}
        for index, cell in enumerate(layers.cells):
            layer, backwards = divmod(index, layers.directions)
            suffix = f"_l{layer}{'_reverse' * backwards}"
            named |= {f"{name}{suffix}": parameter for name, parameter in cell.named_parameters()}
        return named

    def tested(self, dtype: torch.dtype) -> Runner:
        module = copy.deepcopy(self.module).to(dtype)
        theirs = dict(module.named_parameters())
        return Runner(partial(_run_module, module), {key: theirs[key] for key in self.keys})

    def exact(self, dtype: torch.dtype) -> Runner:
        return self._loop(copy.deepcopy(self.layers).to(dtype).double())

    def plain(self, dtype: torch.dtype) -> Runner:
        return self._loop(copy.deepcopy(self.layers).to(dtype))

    def _loop(self, layers: Layers) -> Runner:
        paired = len(self.state_names) == 2

        def run_loop(x: Tensor, states: Sequence[Tensor] | None, _: object) -> tuple[Tensor, list[Tensor]]:
            firsts = layers.initial_state(len(x))
            if states is not None:
                by_cell = torch.stack(list(states), dim=2) if paired else states[0]
                firsts = list(by_cell.to(firsts[0].dtype).unbind(0))
            y, last = run_layers(layers, x, firsts, Loop())
            stacked = torch.stack(last)
            return y, list(stacked.unbind(2)) if paired else [stacked]

        named = self._named(layers)
        return Runner(row_by_row(run_loop, self.batch_dims), {key: named[key] for key in self.keys})


def _run_module(
    module: nn.RNNBase, x: Tensor, states: Sequence[Tensor] | None, lengths: Sequence[int] | None
) -> tuple[Tensor, list[Tensor]]:
    """One of torch's layers called as its documentation says; sequences of unlike lengths are packed."""
    first: Any = None
    if states is not None:
        first = tuple(state.contiguous() for state in states) if len(states) > 1 else states[0].contiguous()
    flipped = not module.batch_first
    time = x.shape[1]
    x = x.transpose(0, 1) if flipped else x
    if lengths is None:
        y, last = module(x, first)
    else:
        packed = pack_padded_sequence(x, torch.tensor(lengths), not flipped, enforce_sorted=False)
        y, last = module(packed, first)
        y, _ = pad_packed_sequence(y, not flipped, total_length=time)
    return (y.transpose(0, 1) if flipped else y), list(last) if isinstance(last, tuple) else [last]
