"""Others' implementations as contestants.

* ``plain``: the loop over `nn.LSTMCell` and its kind that everyone writes.
* ``nn``: `nn.RNN`, `nn.LSTM` and `nn.GRU` themselves, all layers and both directions in one call.
* ``torchrecurrent``: that package's loops, for the cells that it has as we have them.
* ``flashrnn``, ``flashrnn_alternating``: recurrent kernels in CUDA, with the product inside and beside.
* ``fla``: flash-linear-attention, for states that decay, `gla` and `deltanet`, in Triton.
* ``mamba_ssm``: the selective scan of Mamba's authors, in CUDA.
* ``accelerated_scan``, ``accelerated_scan_triton``: scans for states that are affine in the last one, in CUDA and in
  Triton.
"""

from rnnbench.throughput.external.accelerated import Triton, Warp
from rnnbench.throughput.external.flash_rnn import Alternating, FlashRNN
from rnnbench.throughput.external.linear_attention import LinearAttention
from rnnbench.throughput.external.package import ExternalImplementation
from rnnbench.throughput.external.plain import Plain
from rnnbench.throughput.external.selective_scan import SelectiveScan
from rnnbench.throughput.external.torch_module import TorchModule
from rnnbench.throughput.external.torch_recurrent import TorchRecurrent

#: By name.
EXTERNAL: dict[str, ExternalImplementation] = {
    peer.name: peer
    for peer in (
        Plain(),
        TorchModule(),
        TorchRecurrent(),
        FlashRNN(),
        Alternating(),
        LinearAttention(),
        SelectiveScan(),
        Warp(),
        Triton(),
    )
}
