"""torch's own kernels for torch's own cells: cuDNN on a GPU, oneDNN (LSTM) or ATen on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor

from rnnbench.backends.backend import Backend, Output, Request
from rnnbench.cells.cell import Cell

_FUNCTIONS = {"RNN_TANH": torch.rnn_tanh, "RNN_RELU": torch.rnn_relu, "GRU": torch.gru}
#: cuDNN's numbers for them.
_CUDNN_MODES = {"RNN_RELU": 0, "RNN_TANH": 1, "LSTM": 2, "GRU": 3}


class TorchBackend(Backend):
    """What `nn.RNN`, `nn.LSTM` and `nn.GRU` call, on the cell's own parameters."""

    name = "torch"

    def refusal(self, cell: Cell, request: Request) -> str | None:
        if cell.torch_mode is None:
            return "torch.nn has no kernel for this cell"
        if cell.stochastic or cell.needs:
            return "torch's kernels take no input but x, and this cell has draws or side inputs"
        if request.device.type == "cpu" and request.dtype not in (torch.float32, torch.float64):
            return f"on a CPU torch's kernels are for float32 and float64, not {request.dtype}"
        if request.tap:
            return "torch's kernels take no tap: nothing can be added to a state inside them"
        if request.states and cell.torch_mode == "LSTM":
            return "torch's LSTM kernels return the last c_t only, not every state"
        return None

    def multiple(self, request: Request) -> float:
        # For widths to 256 cuDNN takes kernels whose tanh and sigmoid are good to 17 bits, whatever allow_tf32 says: on
        # an H200 the outputs of all three are off by 9e-6, where the loop's are by 1e-7 (H 8) to 1e-6 (H 256). TF32,
        # which is no float32, is off by 5e-4. bfloat16 has 8 bits; that the state is rounded to them at each step
        # makes the error twice the loop's at the worst (H 8 to 256, T 13 to 150, on a CPU).
        return 300.0 if request.device.type == "cuda" and request.dtype == torch.float32 else super().multiple(request)

    def run(self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool) -> Output:
        weights: list[Tensor] = list(cell.parameters())
        if torch.cudnn_is_acceptable(x):
            _flatten(cell, weights, x.dtype)
        # has_biases, num_layers, dropout, train, bidirectional, batch_first
        how = (True, 1, 0.0, torch.is_grad_enabled(), False, True)
        if cell.torch_mode == "LSTM":
            h, c = (part.unsqueeze(0).contiguous() for part in state.to(x.dtype).unbind(1))
            y, h, c = torch.lstm(x, (h, c), weights, *how)
            return y, torch.stack((h[0], c[0]), dim=1).to(state.dtype)
        assert cell.torch_mode is not None
        y, h = _FUNCTIONS[cell.torch_mode](x, state.to(x.dtype).unsqueeze(0).contiguous(), weights, *how)
        return y, (y if return_states else h[0]).to(state.dtype)


def _flatten(cell: Cell, weights: list[Tensor], dtype: torch.dtype) -> None:
    """Lay the weights out as the one block that cuDNN wants, once: it would otherwise copy them at every call."""
    first = weights[0]
    block = first.untyped_storage().data_ptr()
    if dtype != first.dtype or all(weight.untyped_storage().data_ptr() == block for weight in weights):
        return
    mode = _CUDNN_MODES[str(cell.torch_mode)]
    with torch.cuda.device_of(first), torch.no_grad():
        torch._cudnn_rnn_flatten_weight(
            weights, len(weights), cell.input_size, mode, cell.hidden_size, 0, 1, True, False
        )
