"""External implementations as contestants.

* ``plain``: the loop over `nn.LSTMCell` and its like that everyone writes.
* ``nn``: `nn.RNN`, `nn.LSTM` and `nn.GRU` themselves, all layers and both directions in one call.
* ``torchrecurrent``: that package's loops, for the cells that it defines as we do.
* ``flashrnn``, ``flashrnn_alternating``: recurrent kernels in CUDA, with the product inside and beside.
* ``fla``: flash-linear-attention, for states that decay, `gla` and `deltanet`, in Triton.
* ``mamba_ssm``: the selective scan of Mamba's authors, in CUDA.
* ``accelerated_scan``, ``accelerated_scan_triton``: scans for states that are affine in the last one, in CUDA and in
  Triton.
"""

from rnnbench.backends.backend import Backend
from rnnbench.throughput.external.gpu_kernels import (
    AlternatingFlashRNN,
    FlashRNN,
    LinearAttention,
    SelectiveScan,
    TritonScan,
    WarpScan,
)
from rnnbench.throughput.external.torch_modules import Plain, TorchModule
from rnnbench.throughput.external.torch_recurrent import TorchRecurrent

#: By name.
EXTERNAL: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        Plain(),
        TorchModule(),
        TorchRecurrent(),
        FlashRNN(),
        AlternatingFlashRNN(),
        LinearAttention(),
        SelectiveScan(),
        WarpScan(),
        TritonScan(),
    )
}
