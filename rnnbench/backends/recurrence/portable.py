"""The same recurrence in torch's own operations: two-level for a CPU without a compiler, associative for a GPU."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

#: Numbers that one operation should work on, so that its overhead is paid for; fewer sequences are cut into chunks.
GRAIN = 4096


def forward(a: Tensor, b: Tensor, s: Tensor, reverse: bool = False) -> Tensor:
    """h_t = a_t h_{t−1} + b_t from s, or in reverse h_t = a_t h_{t+1} + b_t; (B, T, D) each, s (B, D)."""
    a = a.expand_as(b)
    if b.device.type != "cpu":
        if reverse:
            return associative(a.flip(1), b.flip(1), s).flip(1)
        return associative(a, b, s)
    return two_level(a, b, s, reverse)


def backward(a: Tensor, h: Tensor, s: Tensor, G: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cotangents G of h and ``last`` of the last state → gradients of a, b and s, each of its tensor's shape."""
    conjugate = a.conj().resolve_conj().expand_as(h)
    ahead = torch.empty_like(h)  # g_t = G_t + a_{t+1} g_{t+1}; the last takes the last state's cotangent as it is
    ahead[:, :-1], ahead[:, -1] = conjugate[:, 1:], 1
    g = forward(ahead, G, last, reverse=True)
    da = ahead  # its memory serves again
    torch.mul(g[:, 1:], h[:, :-1].conj(), out=da[:, 1:])
    torch.mul(g[:, 0], s.conj(), out=da[:, 0])
    return da.sum_to_size(a.shape), g, conjugate[:, 0] * g[:, 0]


def two_level(a: Tensor, b: Tensor, s: Tensor, reverse: bool = False) -> Tensor:
    """Chunks side by side: each one's effect on the state, then the chain of chunks, then each from its true start."""
    batch, time, width = b.shape
    chunks = max(1, min(math.isqrt(time), GRAIN // (batch * width)))
    length = time // chunks
    body = chunks * length
    out = torch.empty_like(b)
    pieces = [slice(0, body), slice(body, time)] if body < time else [slice(0, time)]
    for piece in reversed(pieces) if reverse else pieces:
        A, B, O = a[:, piece], b[:, piece], out[:, piece]
        if chunks > 1 and piece.start == 0:
            A, B, O = (t.unflatten(1, (chunks, length)) for t in (A, B, O))
            s = _chunks(A, B, O, s, reverse)
        else:
            s = _steps(_unbind(A, 1, reverse), _unbind(B, 1, reverse), _unbind(O, 1, reverse), s)
    return out


def _chunks(A: Tensor, B: Tensor, O: Tensor, s: Tensor, reverse: bool) -> Tensor:
    """(B, C, L, D) each; fills O and returns the state after the last chunk."""
    a, b, o = (_unbind(t, 2, reverse) for t in (A, B, O))
    end, product = b[0].clone(), a[0].clone()
    for a_i, b_i in zip(a[1:], b[1:], strict=True):
        end, product = torch.addcmul(b_i, a_i, end, out=end), product.mul_(a_i)
    starts = torch.empty_like(end)
    for start, p, e in zip(*(_unbind(t, 1, reverse) for t in (starts, product, end)), strict=True):
        start.copy_(s)
        s = torch.addcmul(e, p, s)
    _steps(a, b, o, starts)
    return s


def _steps(a: Iterable[Tensor], b: Iterable[Tensor], o: Iterable[Tensor], s: Tensor) -> Tensor:
    for a_t, b_t, o_t in zip(a, b, o, strict=True):
        s = torch.addcmul(b_t, a_t, s, out=o_t)
    return s


def _unbind(t: Tensor, dim: int, reverse: bool) -> tuple[Tensor, ...]:
    return t.unbind(dim)[:: -1 if reverse else 1]


def associative(a: Tensor, b: Tensor, s: Tensor) -> Tensor:
    """Pairs of time steps are one affine map; half as many, in log T rounds of whole-tensor operations (Blelloch 1990).

    Only products of a are ever formed, never quotients: nothing overflows that the recurrence itself would not.
    """
    b = torch.cat((torch.addcmul(b[:, :1], a[:, :1], s.unsqueeze(1)), b[:, 1:]), dim=1)
    return _pairwise(a, b)


def _pairwise(a: Tensor, b: Tensor) -> Tensor:
    time = b.shape[1]
    if time == 1:
        return b
    paired = time // 2 * 2
    first, second = slice(0, paired, 2), slice(1, paired, 2)
    odd = _pairwise(a[:, second] * a[:, first], torch.addcmul(b[:, second], a[:, second], b[:, first]))
    out = torch.empty_like(b)
    out[:, 0] = b[:, 0]
    out[:, 1::2] = odd
    later = out[:, 2::2].shape[1]
    out[:, 2::2] = torch.addcmul(b[:, 2::2], a[:, 2::2], odd[:, :later])
    return out
