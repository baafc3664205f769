"""h_t = a_t · h_{t−1} + b_t over all of time, with its gradient: a fast kernel for each device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rnnbench.backends.recurrence import native, portable

__all__ = ["kernel_name", "recurrence"]

KERNELS = {"native": native, "portable": portable}


def recurrence(a: Tensor, b: Tensor, s: Tensor, kernel: str | None = None) -> tuple[Tensor, Tensor]:
    """h_t = a_t · h_{t−1} + b_t, elementwise, from h_0 = s; differentiable once.

    a and b broadcastable to (B, T, *S), s (B, *S), real or complex → every h, (B, T, *S), and the last, (B, *S). An a
    that is the same for all of batch or time is never spread out. Where no kernel is named the fastest that can runs.
    """
    shape = torch.broadcast_shapes(a.shape, b.shape)
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), s.dtype)
    a = a.to(dtype)[(None,) * (len(shape) - a.dim())]
    a = a.expand(*a.shape[:2], *shape[2:]).reshape(*a.shape[:2], -1)
    flat = b.to(dtype).expand(shape).reshape(shape[0], shape[1], -1)
    h, last = _Recurrence.apply(a, flat, s.to(dtype).reshape(shape[0], -1), kernel or kernel_name(flat))
    return h.view(shape), last.view(shape[0], *shape[2:])


def kernel_name(b: Tensor) -> str:
    """Which kernel runs on such tensors: ``native`` (C) or ``portable`` (torch)."""
    return "portable" if native.refusal(b) else "native"


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, s: Tensor, kernel: str) -> tuple[Tensor, Tensor]:
        a, b, s = a.contiguous(), b.contiguous(), s.contiguous()
        h = KERNELS[kernel].forward(a, b, s)
        ctx.save_for_backward(a, h, s)
        ctx.kernel = kernel
        ctx.set_materialize_grads(False)
        return h, h[:, -1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, G: Tensor | None, last: Tensor | None) -> tuple[Tensor | None, ...]:
        a, h, s = ctx.saved_tensors
        G = torch.zeros_like(h) if G is None else G.contiguous()
        last = torch.zeros_like(s) if last is None else last.contiguous()
        return *KERNELS[ctx.kernel].backward(a, h, s, G, last), None
