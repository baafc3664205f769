"""torchrecurrent: its layers, which are loops over time as well, with our cells' weights."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.func import functional_call

from rnnbench.backends.backend import Output, Request
from rnnbench.cells.cell import Cell
from rnnbench.cells.nonlinear.antisymmetric import AntisymmetricRNN
from rnnbench.cells.nonlinear.cornn import CoRNN
from rnnbench.cells.nonlinear.indrnn import IndRNN
from rnnbench.cells.nonlinear.janet import JANET
from rnnbench.cells.nonlinear.lstm_peephole import PeepholeLSTM
from rnnbench.cells.nonlinear.mgu import MGU
from rnnbench.cells.nonlinear.minimal_rnn import MinimalRNN
from rnnbench.cells.nonlinear.ugrnn import UGRNN
from rnnbench.throughput.external.package import PackageImplementation

#: The layer's name there, its options, and its weights computed from ours. Where it has two biases and we one, the
#: second is zero.
Counterpart = tuple[str, dict[str, Any], dict[str, Tensor]]


def _janet(cell: JANET) -> Counterpart:
    # Its β is a weight, which would be learned.
    return "JANET", {}, {"weight_hh": cell.weight_hh, "beta": cell.weight_hh.new_full((), cell.beta)}


def _minimal_rnn(cell: MinimalRNN) -> Counterpart:
    b_z, b_g = cell.bias.chunk(2)
    weights = {"weight_mm": cell.weight_zh, "weight_hh": cell.weight_hh, "bias_ih": b_z, "bias_hh": b_g}
    return "MinimalRNN", {}, weights


def _antisymmetric(cell: AntisymmetricRNN) -> Counterpart:
    # It takes W and computes W − Wᵀ − γI at every step.
    rows, columns = torch.triu_indices(cell.hidden_size, cell.hidden_size, 1, device=cell.weight_hh.device)
    W = cell.weight_hh.new_zeros(cell.hidden_size, cell.hidden_size).index_put((rows, columns), cell.weight_hh)
    kind = "GatedAntisymmetricRNN" if cell.gated else "AntisymmetricRNN"
    return kind, {"epsilon": cell.epsilon, "gamma": cell.gamma}, {"weight_hh": W, "bias_hh": _no_bias(cell)}


def _cornn(cell: CoRNN) -> Counterpart:
    W_y, W_z = cell.weight_hh.chunk(2, dim=1)
    options = {"dt": cell.dt, "gamma": cell.gamma, "epsilon": cell.epsilon}
    return "coRNN", options, {"weight_hh": W_y, "weight_ch": W_z, "bias_ch": _no_bias(cell)}


def _no_bias(cell: Cell) -> Tensor:
    return next(cell.parameters()).new_zeros(cell.hidden_size)


COUNTERPARTS: dict[type[Cell], Callable[[Any], Counterpart]] = {
    PeepholeLSTM: lambda cell: ("PeepholeLSTM", {}, {"weight_hh": cell.weight_hh, "weight_ph": cell.peephole}),
    JANET: _janet,
    MGU: lambda cell: ("MGU", {}, {"weight_hh": torch.cat((cell.weight_hh, cell.weight_hn))}),
    UGRNN: lambda cell: ("UGRNN", {}, {"weight_hh": cell.weight_hh}),
    MinimalRNN: _minimal_rnn,
    IndRNN: lambda cell: ("IndRNN", {"nonlinearity": "relu"}, {"vector_u": cell.weight_hh}),
    AntisymmetricRNN: _antisymmetric,
    CoRNN: _cornn,
}


class TorchRecurrent(PackageImplementation):
    """A layer of torchrecurrent, built once a cell and called with weights computed from the cell's own.

    It has no RNN, LSTM or GRU of torch's kind, and its LEM computes y' from the old z, the paper's and ours from z'.
    """

    name = "torchrecurrent"
    package = "torchrecurrent"
    module = "torchrecurrent"

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[Cell, nn.Module] = WeakKeyDictionary()

    def unfit(self, cell: Cell) -> str | None:
        return None if type(cell) in COUNTERPARTS else "torchrecurrent has no layer with this cell's maths"

    def elsewhere(self, request: Request) -> str | None:
        return None

    def run(self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool) -> Output:
        kind, options, weights = COUNTERPARTS[type(cell)](cell)
        layer = self._kept.get(cell)
        if layer is None:
            layer_class = getattr(import_module(self.module), kind)
            how = {"batch_first": True, "device": "meta", **options}  # its own weights take no memory
            layer = self._kept[cell] = layer_class(cell.input_size, cell.hidden_size, **how)
        ours: Any = cell
        weights = {"weight_ih": ours.weight_ih, "bias_ih": ours.bias, "bias_hh": torch.zeros_like(ours.bias), **weights}
        first = state.to(x.dtype).unsqueeze(0)
        # JANET there has h and c, which are the same.
        parts: Any = first.unbind(2) if state.dim() == 3 else (first, first) if kind == "JANET" else first
        y, last = functional_call(layer, {f"cells.0.{name}": value for name, value in weights.items()}, (x, parts))
        if state.dim() == 3:
            return y, torch.stack([part[0] for part in last], dim=1).to(state.dtype)
        return y, (last[0] if kind == "JANET" else last)[0].to(state.dtype)
