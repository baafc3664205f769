"""Linear attention with a decay for each head, as retention has it (Sun et al. 2023): a whole sequence at a call.

    S_t = γ S_{t−1} + k_t v_tᵀ,   o_t = S_tᵀ q_t

and within a chunk, S_0 being the state before it, o_i = γ^i S_0ᵀ q_i + Σ_{j ≤ i} γ^{i−j} (q_i · k_j) v_j.

    rnnbench train --cell examples/linear_attention.py:LinearAttention --data.seq_len 256
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from rnnbench.cells import SequenceCell, register_cell


@register_cell("linear_attention")
class LinearAttention(SequenceCell):
    paper = "Sun et al. 2023"
    exempt: ClassVar = {"options": "the chunk changes the speed alone"}
    log_decay: Tensor

    def __init__(self, input_size: int, hidden_size: int, heads: int = 4, chunk: int = 64) -> None:
        super().__init__(input_size, hidden_size)
        if hidden_size % heads:
            raise ValueError(f"{heads} heads do not divide {hidden_size}")
        self.heads, self.chunk = heads, chunk
        self.qkv = nn.Linear(input_size, 3 * hidden_size, bias=False)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)
        # A head each that forgets within some 8, 16, 32 … steps.
        self.register_buffer("log_decay", torch.log1p(-(2.0 ** -torch.arange(3.0, 3.0 + heads)))[:, None])

    @property
    def memory_shape(self) -> tuple[int, ...]:
        return (self.heads, self.hidden_size // self.heads, self.hidden_size // self.heads)

    def sequence(self, u: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        qkv = self.qkv(u).to(s.dtype).unflatten(-1, (3 * self.heads, -1)).transpose(1, 2)  # (B, 3 · heads, T, K)
        outputs = []
        for q, k, v in (part.chunk(3, dim=1) for part in qkv.split(self.chunk, dim=2)):
            t = torch.arange(1.0, q.shape[2] + 1, device=u.device)
            within = (self.log_decay[..., None] * (t[:, None] - t)).exp().tril()  # γ^{i−j}, (heads, L, L)
            since, until = (self.log_decay * t).exp()[..., None], within[:, -1, :, None]  # γ^i, γ^{L−i}
            outputs.append((q @ k.mT * within) @ v + since * q @ s)
            s = since[:, -1:] * s + (until * k).mT @ v
        return self.out(torch.cat(outputs, dim=2).transpose(1, 2).flatten(2).to(u.dtype)), s
