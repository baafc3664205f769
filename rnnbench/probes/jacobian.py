"""Exact Jacobians of a step, and the singular values of their products: what a transition over k steps can do at most.

J_t = ∂s_t/∂s_{t−1} at u_t, an (N, N) matrix for a state of N numbers. Products with it are taken by automatic
differentiation of `step` with the vectors laid along the batch, so that it need not be vmapped and every cell will do;
J itself is only made where it is asked for. A cell runs in its own dtype: hand over a float64 one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad

from rnnbench.backends.dispatch import run
from rnnbench.cells.cell import Cell
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models.build import Model
from rnnbench.probes.curve import Curve
from rnnbench.probes.probed_model import subject

#: Sweeps of Jacobi's method at most; it needs three to eight.
SWEEPS = 40


def jvp(cell: Cell, u: Tensor, s: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """One step and J V, exactly: u (B, G), s (B, *S), V (B, N, m) → s' (B, *S) and J V (B, N, m), in the state's dtype.

    By dual numbers, some 2 m times a step's work. Where an operation of the cell has no forward derivative (an autograd
    function of a stranger's without ``jvp``, oneDNN's float32 LSTM), J is made row by row in reverse instead, some 3 N
    times a step's work. A cell that keeps something over a sequence is best called inside its `unrolled()`.
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


def step_jacobian(cell: Cell, u: Tensor, s: Tensor) -> Tensor:
    """J = ∂step(u, s)/∂s: u (B, G), s (B, *S) → (B, N, N), the state flattened; row i is the gradient of s'_i."""
    size = s[0].numel()
    return jvp(cell, u, s, torch.eye(size, dtype=s.dtype, device=s.device).expand(len(s), -1, -1))[1]


def transition_singular_values(
    cell: Cell, x: Tensor, lags: Sequence[int], count: int | None = None, state: Tensor | None = None
) -> Tensor:
    """Logarithms of the singular values of ∂s_T/∂s_{T−k}, the product J_T J_{T−1} … J_{T−k+1}.

    The largest is the most that a gradient can grow by on its way over k steps, the smallest the least. A product of
    many Jacobians is graded: its singular values lie apart by more than a float64 can tell from zero. So it is kept as
    Q R_k … R_1, a QR decomposition a step (Stewart 1995, "On graded QR decompositions of products of matrices"), the
    triangle's rows with logarithmic scales apart, and one-sided Jacobi finds the singular values of that (Demmel &
    Veselić 1992). Nothing over- or underflows, and the small ones are as good as the large, whatever their ratio: a
    singular value is known to some N ε Σ_t cond(J_t) of itself, ε the rounding of the cell's dtype. Only within one
    step it counts: where J_t itself is singular, or worse conditioned than 1/ε, the smallest are rounding.

    Memory is O(B (T + lags · N) N), time N steps a step: meant for N of some hundreds and T of some thousands.

    Args:
        cell: Any cell; it is run in its own dtype, so hand over a float64 one.
        x: (B, T, I).
        lags: The k, each from 0 (the identity) to T.
        count: How many singular values, the largest first; all N where not given.
        state: (B, *S) to start from.

    Returns:
        (B, lags, count) float64, natural logarithms, descending; −inf for a singular value of exactly zero.

    Raises:
        UserError: a lag or a count out of its range.
    """
    if not lags or min(lags) < 0 or max(lags) > x.shape[1]:
        raise UserError(f"lags must be some of 0 … {x.shape[1]}, the steps of x, got {list(lags)}.")
    with torch.inference_mode(False), torch.no_grad():
        x = x.clone()  # out of inference mode
        first = cell.initial_state(len(x)) if state is None else state.clone()
        _, states = run(cell, x, first, "loop", return_states=True)
        before = torch.cat((first[:, None], states[:, :-1].to(first.dtype)), dim=1)
        size = first[0].numel()
        if count is not None and not 1 <= count <= size:
            raise UserError(f"count must be from 1 to {size}, the numbers in the state, got {count}.")
        eye = torch.eye(size, dtype=torch.float64, device=x.device).expand(len(x), -1, -1)
        basis, rows, scales = eye, eye, eye.new_zeros(len(x), size)
        found = {0: (scales, rows)}
        with cell.unrolled():
            u = cell.drive(x)
            for k in range(1, max(lags) + 1):
                # (Q R)ᵀ J = Rᵀ (Jᵀ Q)ᵀ: the transposed product grows on its left, which is where QR wants it.
                _, product = vjp(cell, u[:, -k], before[:, -k], basis.mT)
                basis, r = torch.linalg.qr(product.double().mT)
                scales, rows = _times(r, scales, rows)
                if k in lags:
                    found[k] = scales, rows
        logs = [_log_singular_values(*found[k]) for k in lags]
        return torch.stack(logs, dim=1)[..., :count]


def _times(matrix: Tensor, scales: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """M · diag(e^scales) · rows as scales and rows of length 1: (B, N, N), (B, N), (B, N, N). A zero row stays zero."""
    logs = matrix.abs().log() + scales.unsqueeze(-2)
    top = logs.amax(-1).clamp_min(torch.finfo(logs.dtype).min)  # −inf − (−inf) is NaN
    return _normalised(top, (matrix.sign() * (logs - top.unsqueeze(-1)).exp()) @ rows)


def _normalised(scales: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    length = torch.linalg.vector_norm(rows, dim=-1)
    return scales + length.log(), rows / length.clamp_min(torch.finfo(length.dtype).tiny).unsqueeze(-1)


def _log_singular_values(scales: Tensor, rows: Tensor) -> Tensor:
    """Logarithms of the singular values of diag(e^scales) · rows: (B, N), (B, N, N) → (B, N), descending.

    One-sided Jacobi: pairs of rows are turned until all are orthogonal, and their lengths are the answer. A rotation by
    θ with tan θ = ρ τ, ρ ≤ 1 the ratio of the two lengths, takes unit rows a, b to a + ρ² τ b and b − τ a; no ratio
    leaves the range, and with ρ = 0 it is Gram and Schmidt's step.
    """
    # Drmač & Veselić's preconditioning: D U = D L Qᵀ, and the columns of D L are the nearer to orthogonal the more D
    # is graded, once it descends.
    scales, order = scales.sort(dim=-1, descending=True)
    _, r = torch.linalg.qr(rows.gather(-2, order.unsqueeze(-1).expand_as(rows)).mT)
    scales, rows = _normalised(scales, r * _ratio(scales.unsqueeze(-2), scales.unsqueeze(-1)).triu())

    size = scales.shape[-1]
    rounds = _rounds(size, scales.device)
    tolerance = 4 * size * torch.finfo(rows.dtype).eps
    for _ in range(SWEEPS):
        worst = 0.0
        for left, right in rounds:
            swap = scales[..., left] < scales[..., right]
            i, j = torch.where(swap, right, left), torch.where(swap, left, right)
            at_i, at_j = (index.unsqueeze(-1).expand(*index.shape, size) for index in (i, j))
            a, b = rows.gather(-2, at_i), rows.gather(-2, at_j)
            big, small = scales.gather(-1, i), scales.gather(-1, j)
            cosine = (a * b).sum(-1)
            square = _ratio(small, big) ** 2
            tau = 2 * cosine / (1 - square + ((1 - square) ** 2 + 4 * square * cosine**2).sqrt()).clamp_min(1e-300)
            shrink = torch.rsqrt(1 + square * tau**2).unsqueeze(-1)
            square, tau = square.unsqueeze(-1), tau.unsqueeze(-1)
            big, a_new = _normalised(big, shrink * (a + square * tau * b))
            small, b_new = _normalised(small, shrink * (b - tau * a))
            rows = rows.scatter(-2, at_i, a_new).scatter(-2, at_j, b_new)
            scales = scales.scatter(-1, i, big).scatter(-1, j, small)
            worst = max(worst, float(cosine.abs().max()))
        if worst < tolerance:
            break
    return scales.sort(dim=-1, descending=True).values


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """e^above / e^below; 0 / 0, of two rows of zeros, is 0."""
    return (above - below).exp().nan_to_num(0.0)


def _rounds(size: int, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Every pair of 0 … size − 1 once, in rounds of disjoint pairs, as a tournament is drawn up."""
    ring = list(range(size + size % 2))
    half, rounds = len(ring) // 2, []
    for _ in range(len(ring) - 1 if size > 1 else 0):
        pairs = [pair for pair in zip(ring[:half], reversed(ring[half:]), strict=True) if max(pair) < size]
        rounds.append(
            (torch.tensor([a for a, _ in pairs], device=device), torch.tensor([b for _, b in pairs], device=device))
        )
        ring = [ring[0], ring[-1], *ring[1:-1]]
    return rounds


#: Numbers in a state beyond which the product of its Jacobians is not formed.
LARGEST = 512
#: A singular value this much smaller than the largest is rounding; it is not told.
FLOOR = 1e-12


def measure_singular_values(model: Model, batch: Batch, task: Task, lags: Sequence[int], count: int) -> Curve:
    """Natural logarithms, (lags, count), the mean over samples; of the first layer, driven by what the model reads.

    The product is formed as it is, in float64 and rescaled at every step: what is 1e−12 of the largest and less is not
    told from rounding and is −inf here. `transition_singular_values` knows those too, at some thirty times the cost.

    Args:
        model: Left as it is.
        batch: The probe batch.
        task: Its task.
        lags: Rising, each from 1 to T.
        count: How many, the largest first.

    Raises:
        UserError: a state of more than 512 numbers.
    """
    with torch.inference_mode(False), torch.no_grad():
        cell, x = subject(model, batch, task).layers()[0]
        first = cell.initial_state(len(x))
        size = first[0].numel()
        if size > LARGEST:
            raise UserError(f"singular values are measured of states of up to {LARGEST} numbers, this one has {size}.")
        _, states = run(cell, x, first, "loop", return_states=True)
        before = torch.cat((first[:, None], states[:, :-1]), dim=1)
        product = torch.eye(size, dtype=x.dtype, device=x.device).expand(len(x), -1, -1)
        log_scale = x.new_zeros(len(x), 1)
        found = []
        with cell.unrolled():
            u = cell.drive(x)
            for k in range(1, max(lags) + 1):
                _, product = vjp(cell, u[:, -k], before[:, -k], product)
                norm = product.flatten(1).norm(dim=1).clamp_min(torch.finfo(x.dtype).tiny)
                product, log_scale = product / norm.view(-1, 1, 1), log_scale + norm.log().unsqueeze(1)
                if k in lags:
                    values = torch.linalg.svdvals(product)[:, :count]
                    told = values.where(values > FLOOR * values[:, :1], torch.zeros_like(values))
                    found.append((told.log() + log_scale).mean(0))
    logs: Curve = torch.stack(found).cpu().numpy()
    return logs
