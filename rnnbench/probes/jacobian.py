"""Exact Jacobians of a step, and the singular values of their products: what a transition over k steps can do at most.

J_t = ∂s_t/∂s_{t−1} at u_t, an (N, N) matrix for a state of N numbers. Products with it are taken by automatic
differentiation of `step` with the vectors laid along the batch, so that it need not be vmapped and every cell will do;
J itself is only formed where it is asked for. A cell runs in its own dtype: pass a float64 one. Where a state has more
than memory in it (`Cell.memory`), spectra are those of the memory's own block: M numbers, what else there is fixed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad

from rnnbench.backends.dispatch import run
from rnnbench.cells.cell import Cell, memory_indices
from rnnbench.cells.side_inputs import Side
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models.build import Model
from rnnbench.probes.curve import Curve
from rnnbench.probes.probed_model import subject

#: Numbers in a memory beyond which the product of its Jacobians is not formed.
LARGEST = 512
#: A singular value this much smaller than the largest is rounding, and is not reported.
FLOOR = 1e-12


def jvp(cell: Cell, u: Tensor, s: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """One step and J V, exactly: u (B, G), s (B, *S), V (B, N, m) → s' (B, *S) and J V (B, N, m), in the state's dtype.

    By dual numbers, some 2 m times a step's work. Where an operation of the cell has no forward derivative (an autograd
    function without ``jvp``, oneDNN's float32 LSTM), J is formed row by row in reverse instead, some 3 N times a step's
    work. A cell that caches something over a sequence is best called inside its `unrolled()`.
    """
    try:
        return _dual(cell, u, s, vectors)
    except RuntimeError:  # NotImplementedError is one; what is wrong with the step itself is raised again below
        eye = torch.eye(vectors.shape[1], dtype=s.dtype, device=s.device).expand(len(s), -1, -1)
        new, jacobian = vjp(cell, u, s, eye)
        return new, jacobian @ vectors.to(s.dtype)


def _dual(cell: Cell, u: Tensor, s: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    batch, size, count = vectors.shape
    # cuDNN's recurrences have no forward derivative, torch's own do; repeat takes inference tensors out of that mode.
    with torch.inference_mode(False), torch.no_grad(), torch.backends.cudnn.flags(enabled=False):
        tangents = vectors.to(s.dtype).permute(2, 0, 1).reshape(count * batch, *s.shape[1:])
        with forward_ad.dual_level():
            at = forward_ad.make_dual(s.repeat(count, *[1] * (s.dim() - 1)), tangents)
            new, product = forward_ad.unpack_dual(cell.step(u.repeat(count, 1), at))
        if product is None:  # the step does not look at the state
            product = torch.zeros_like(new)
        return new[:batch].clone(), product.reshape(count, batch, size).permute(1, 2, 0)


def vjp(cell: Cell, u: Tensor, s: Tensor, covectors: Tensor) -> tuple[Tensor, Tensor]:
    """One step and P J, exactly: u (B, G), s (B, *S), P (B, r, N) → s' (B, *S) and P J (B, r, N), by reverse mode."""
    batch, count, size = covectors.shape
    with torch.inference_mode(False), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        at = s.detach().repeat(count, *[1] * (s.dim() - 1)).requires_grad_()
        new = cell.step(u.detach().repeat(count, 1), at)
        if not new.requires_grad:  # the step does not look at the state
            return new[:batch].clone(), torch.zeros_like(covectors, dtype=new.dtype)
        weights = covectors.to(new.dtype).transpose(0, 1).reshape(new.shape)
        (product,) = torch.autograd.grad(new, at, weights, materialize_grads=True)
    return new.detach()[:batch].clone(), product.reshape(count, batch, size).transpose(0, 1)


def spread(cell: Cell, vectors: Tensor) -> Tensor:
    """(…, M) of the memory → (…, N) of the whole state, zeros elsewhere."""
    if type(cell).memory is Cell.memory:
        return vectors
    indices = memory_indices(cell).to(vectors.device)
    whole = vectors.new_zeros(*vectors.shape[:-1], math.prod(cell.state_shape))
    return whole.index_copy(-1, indices, vectors)


def gathered(cell: Cell, vectors: Tensor) -> Tensor:
    """(…, N) of the whole state → (…, M) of its memory."""
    return cell.memory(vectors.unflatten(-1, cell.state_shape))


def step_jacobian(cell: Cell, u: Tensor, s: Tensor) -> Tensor:
    """J = ∂step(u, s)/∂s: u (B, G), s (B, *S) → (B, N, N), the state flattened; row i is the gradient of s'_i."""
    size = s[0].numel()
    return jvp(cell, u, s, torch.eye(size, dtype=s.dtype, device=s.device).expand(len(s), -1, -1))[1]


def transition_singular_values(
    cell: Cell,
    x: Tensor,
    lags: Sequence[int],
    count: int | None = None,
    state: Tensor | None = None,
    side: Side | None = None,
) -> Tensor:
    """Logarithms of the singular values of ∂s_T/∂s_{T−k}, the product J_T J_{T−1} … J_{T−k+1}, of the memory.

    The largest is the most that a gradient can grow by on its way over k steps, the smallest the least. The product is
    rescaled at every step, so that it does not over- or underflow; what is 1e−12 of the largest and less cannot be told
    from rounding and is −∞ here.

    Args:
        cell: Any cell; it is run in its own dtype, so pass a float64 one.
        x: (B, T, I).
        lags: The k, rising, each from 1 to T.
        count: How many singular values, the largest first; all M where not given.
        state: (B, *S) to start from.
        side: What the cell needs beside x, (B, T) each.

    Returns:
        (lags, B, count), natural logarithms, descending.

    Raises:
        UserError: a lag or a count out of its range.
    """
    if not lags or min(lags) < 1 or max(lags) > x.shape[1]:
        raise UserError(f"lags must be some of 1 … {x.shape[1]}, the steps of x, got {list(lags)}.")
    with torch.inference_mode(False), torch.no_grad():
        x = x.clone()  # out of inference mode
        first = cell.initial_state(len(x)) if state is None else state.clone()
        size = len(memory_indices(cell))
        if count is not None and not 1 <= count <= size:
            raise UserError(f"count must be from 1 to {size}, the numbers in the memory, got {count}.")
        _, states = run(cell, x, first, "loop", return_states=True, side=side)
        before = torch.cat((first[:, None], states[:, :-1]), dim=1)
        product = torch.eye(size, dtype=x.dtype, device=x.device).expand(len(x), -1, -1)
        log_scale = x.new_zeros(len(x), 1)
        logs = []
        with cell.unrolled(), cell.beside(side, None):
            u = cell.driven(x)
            for k in range(1, max(lags) + 1):
                product = gathered(cell, vjp(cell, u[:, -k], before[:, -k], spread(cell, product))[1])
                norm = product.flatten(1).norm(dim=1).clamp_min(torch.finfo(x.dtype).tiny)
                product, log_scale = product / norm.view(-1, 1, 1), log_scale + norm.log().unsqueeze(1)
                if k in lags:
                    values = torch.linalg.svdvals(product)[:, :count]
                    known = values.where(values > FLOOR * values[:, :1], torch.zeros_like(values))
                    logs.append(known.log() + log_scale)
    return torch.stack(logs)


def measure_singular_values(model: Model, batch: Batch, task: Task, lags: Sequence[int], count: int) -> Curve:
    """`transition_singular_values` of the first layer, driven by what the model reads: (lags, count) sample means.

    Raises:
        UserError: a memory of more than 512 numbers, or lags out of their range.
    """
    with torch.inference_mode(False), torch.no_grad():
        probed = subject(model, batch, task)
        cell, x = probed.layers()[0]
        size = len(memory_indices(cell))
        if size > LARGEST:
            raise UserError(f"singular values are measured of memories of up to {LARGEST} numbers, this has {size}.")
        logs: Curve = (
            transition_singular_values(cell, x, lags, min(count, size), side=probed.side).mean(1).cpu().numpy()
        )
    return logs
