"""Weights to and from `torch.nn.RNN`, `LSTM` and `GRU`: the parameters have the same names, shapes and order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from rnnbench.cells.cell import Cell
from rnnbench.cells.nonlinear.gru import GRU
from rnnbench.cells.nonlinear.lstm import LSTM
from rnnbench.cells.nonlinear.rnn import RNN
from rnnbench.errors import UserError

_CELLS: dict[str, Callable[[int, int], Cell]] = {
    "RNN_TANH": RNN,
    "RNN_RELU": partial(RNN, nonlinearity="relu"),
    "LSTM": LSTM,
    "GRU": GRU,
}
_MODULES = {"RNN_TANH": nn.RNN, "RNN_RELU": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}


def to_torch(cells: Sequence[Cell]) -> nn.RNNBase:
    """A stack of equal cells as one ``batch_first`` torch module with copies of their weights.

    Raises:
        UserError: a cell that torch does not have, or a stack of unlike cells.
    """
    modes = {cell.torch_mode for cell in cells}
    mode = modes.pop() if len(modes) == 1 else None
    if mode is None:
        raise UserError(f"torch.nn has no module for {', '.join(type(cell).__name__ for cell in cells)}.")
    first, weight = cells[0], next(cells[0].parameters())
    options: dict[str, Any] = {"batch_first": True, "device": weight.device, "dtype": weight.dtype}
    if mode.startswith("RNN_"):
        options["nonlinearity"] = mode.removeprefix("RNN_").lower()
    module = _MODULES[mode](first.input_size, first.hidden_size, len(cells), **options)
    with torch.no_grad():
        for copy, weight in zip(module.parameters(), (p for cell in cells for p in cell.parameters()), strict=True):
            copy.copy_(weight)
    return module


def from_torch(module: nn.RNNBase) -> list[Cell]:
    """One cell a layer, with copies of a torch module's weights.

    Raises:
        UserError: bidirectional, projected or bias-free modules, whose maths these cells do not have.
    """
    if module.bidirectional or module.proj_size or not module.bias:
        raise UserError("only unidirectional torch modules with biases and without projection can be taken over.")
    cells: list[Cell] = []
    for layer in range(module.num_layers):
        width = module.input_size if layer == 0 else module.hidden_size
        cell = _CELLS[module.mode](width, module.hidden_size)
        reference = getattr(module, f"weight_hh_l{layer}")
        cell.to(device=reference.device, dtype=reference.dtype)
        with torch.no_grad():
            for name, parameter in cell.named_parameters():
                parameter.copy_(getattr(module, f"{name}_l{layer}"))
        cells.append(cell)
    return cells
