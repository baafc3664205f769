"""torch's own cells in the loop that everyone writes, and its modules: all layers and directions in one call."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from rnnbench.backends.backend import Backend, Output, Request
from rnnbench.backends.dispatch import BACKENDS, choose
from rnnbench.backends.layers import Layers, LayersBackend
from rnnbench.cells.cell import Cell

_CELLS = {"RNN_TANH": torch.rnn_tanh_cell, "RNN_RELU": torch.rnn_relu_cell, "GRU": torch.gru_cell}
_MODULES = {"RNN_TANH": nn.RNN, "RNN_RELU": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}


class Plain(Backend):
    """What `nn.RNNCell`, `nn.LSTMCell` and `nn.GRUCell` call, step by step; the input's product is inside the loop."""

    name = "plain"
    #: It is only a contestant.
    on_request_only = True

    def refusal(self, cell: Cell, request: Request) -> str | None:
        if cell.torch_mode is None:
            return "torch.nn has no such cell"
        if request.tap or request.states:
            return "the plain loop neither takes a tap nor returns every state"
        return None

    def run(self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool) -> Output:
        weights, outputs = list(cell.parameters()), []
        if cell.torch_mode == "LSTM":
            h, c = state.to(x.dtype).unbind(1)
            for t in range(x.shape[1]):
                h, c = torch.lstm_cell(x[:, t], (h, c), *weights)
                outputs.append(h)
            return torch.stack(outputs, dim=1), torch.stack((h, c), dim=1).to(state.dtype)
        assert cell.torch_mode is not None
        call, h = _CELLS[cell.torch_mode], state.to(x.dtype)
        for t in range(x.shape[1]):
            h = call(x[:, t], h, *weights)
            outputs.append(h)
        return torch.stack(outputs, dim=1), h.to(state.dtype)


class TorchModule(LayersBackend):
    """`nn.RNN`, `nn.LSTM` and `nn.GRU` themselves, built once, which share the parameters of the cells.

    The backend ``torch`` calls the same kernels cell by cell. On a GPU the two want the parameters of several cells
    laid out differently, and cuDNN copies those that lie otherwise at every call: give each its copy of the layers.
    """

    name = "nn"
    #: It is only a contestant.
    on_request_only = True

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[nn.Module, nn.RNNBase] = WeakKeyDictionary()

    def refusal(self, cell: Cell, request: Request) -> str | None:
        if request.states:
            return "torch's modules return the last state only, not every state"
        return BACKENDS["torch"].refusal(cell, request)

    def multiple(self, request: Request) -> float:
        return BACKENDS["torch"].multiple(request)  # they are the same kernels

    def run(self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool) -> Output:
        y, (last,) = self._call(self._module(cell, [cell], 1), x, [state])
        return y, last

    def run_layers(self, layers: Layers, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        cells = layers.cells
        choose(cells[0], self, Request(x.device, x.dtype))
        return self._call(self._module(layers, cells, layers.directions), x, states)

    def _module(self, owner: nn.Module, cells: Sequence[Cell], directions: int) -> nn.RNNBase:
        """The module around these cells; another one where their parameters are other tensors than before."""
        parameters = [parameter for cell in cells for parameter in cell.parameters()]
        module = self._kept.get(owner)
        if module is None or any(a is not b for a, b in zip(module.parameters(), parameters, strict=True)):
            module = self._kept[owner] = _around(cells, parameters, directions)
        if parameters[0].is_cuda and len({p.untyped_storage().data_ptr() for p in parameters}) > 1:
            # Once: it writes to the parameters, which a graph in flight must not see. Not in inference mode, for a
            # tensor created there can never have a gradient.
            with torch.inference_mode(False):
                module.flatten_parameters()
        return module

    @staticmethod
    def _call(module: nn.RNNBase, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        dtype, stacked = states[0].dtype, torch.stack(list(states)).to(x.dtype)
        if module.mode == "LSTM":
            y, (h, c) = module(x, tuple(part.contiguous() for part in stacked.unbind(2)))
            return y, list(torch.stack((h, c), dim=2).to(dtype).unbind(0))
        y, h = module(x, stacked)
        return y, list(h.to(dtype).unbind(0))


def _around(cells: Sequence[Cell], parameters: Sequence[Tensor], directions: int) -> nn.RNNBase:
    first, layers = cells[0], len(cells) // directions
    mode = str(first.torch_mode)
    extra = {"nonlinearity": mode.removeprefix("RNN_").lower()} if mode.startswith("RNN_") else {}
    module = _MODULES[mode](
        first.input_size,
        first.hidden_size,
        layers,
        batch_first=True,
        bidirectional=directions == 2,
        device="meta",  # its own weights take no memory
        **extra,
    )
    for name, parameter in zip([name for name, _ in module.named_parameters()], parameters, strict=True):
        setattr(module, name, parameter)
    return module
