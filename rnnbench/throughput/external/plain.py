"""The loop that everyone writes: a cell of torch's, called at each time step."""

from __future__ import annotations

import torch
from torch import Tensor

from rnnbench.backends.backend import Request
from rnnbench.cells.cell import Cell
from rnnbench.throughput.external.package import ExternalImplementation

_CELLS = {"RNN_TANH": torch.rnn_tanh_cell, "RNN_RELU": torch.rnn_relu_cell, "GRU": torch.gru_cell}


class Plain(ExternalImplementation):
    """What `nn.RNNCell`, `nn.LSTMCell` and `nn.GRUCell` call, step by step; the input's product is inside the loop."""

    name = "plain"

    def refusal(self, cell: Cell, request: Request) -> str | None:
        if cell.torch_mode is None:
            return "torch.nn has no such cell"
        if request.tap or request.states:
            return "the plain loop neither takes a tap nor returns every state"
        return None

    def run(
        self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool
    ) -> tuple[Tensor, Tensor]:
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
