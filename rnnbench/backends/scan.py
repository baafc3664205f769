"""Linear recurrences in parallel over time: a scan of affine maps, or a matrix state chunk by chunk.

The chunkwise form. With a_t = log_decay_t, and S_0 the state before a chunk,

    S_i = exp(a_1 + … + a_i) S_0 + Σ_{j ≤ i} exp(a_{j+1} + … + a_i) k_j w_jᵀ

(Yang et al. 2024, "Gated linear attention Transformers with hardware-efficient training"). Under a delta rule the w of
a chunk depend on each other and on S_0, through a unit triangular system: W = U − R S_0 (Yang et al. 2024,
"Parallelizing linear Transformers with the delta rule over sequence length"). A decay between two time steps is always
a product of the decays, or the exponential of a sum of their logs, over just these steps; never a quotient of two
cumulative products, nor a difference of two cumulative sums. So nothing overflows, and a strong decay costs the weak
ones after it no digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from rnnbench.backends.backend import Backend, Output, Request
from rnnbench.backends.recurrence import recurrence
from rnnbench.cells.affine_cell import AffineCell
from rnnbench.cells.cell import Cell
from rnnbench.cells.matrix_cell import Factors, MatrixCell
from rnnbench.errors import UserError

#: a, which may be one for all of batch and time, b (B, T, …) and a state (B, …) → every state and the last.
Solve = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


class Scan(Backend):
    """All gates at once, then s_t = a_t · s_{t−1} + b_t by a kernel of its own, with its own gradient."""

    name = "scan"

    def refusal(self, cell: Cell, request: Request) -> str | None:
        if isinstance(cell, AffineCell):
            return None
        if not isinstance(cell, MatrixCell):
            return "its next state is not linear in the last one"
        if request.tap or request.states:
            return "inside a chunk a matrix state is never formed, so that no tap reaches it and none is returned"
        return None

    def run(self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool) -> Output:
        with cell.unrolled():
            u = cell.driven(x)
            if isinstance(cell, MatrixCell):
                o, last = chunkwise(cell.factors(u), cell.query(u), state)
                return cell.emit(o, u), last
            assert isinstance(cell, AffineCell)
            states, last = scan(cell, u, state, tap)
            return cell.read(states, u), states if return_states else last


def scan(
    cell: AffineCell, u: Tensor, s: Tensor, tap: Tensor | None = None, solve: Solve = recurrence
) -> tuple[Tensor, Tensor]:
    """Every state (B, T, *S) and the last. A tap is one more addend of b: s_t = a_t s_{t−1} + (b_t + tap_t)."""
    waiting = None
    if cell.delay:
        waiting = u[..., -cell.delay :].to(s.dtype)
        s, first = s[..., : -cell.delay], s[..., -cell.delay :]
        if tap is not None:
            tap, late = tap[..., : -cell.delay], tap[..., -cell.delay :]
            waiting = waiting + late
        arrived = torch.cat((first.unsqueeze(1), waiting[:, :-1]), dim=1)
        u = torch.cat((u[..., : -cell.delay], arrived), dim=-1)
    a, b = cell.affine(u)
    if cell.complex_state:
        s = torch.view_as_complex(s)
        tap = torch.view_as_complex(tap) if tap is not None else None
    # a may be the same for all of batch and time; b's shape is the whole one.
    b = b.expand(*u.shape[:2], *s.shape[1:])
    states, last = solve(a, b if tap is None else b + tap, s)
    if cell.complex_state:
        return torch.view_as_real(states), torch.view_as_real(last)
    if waiting is not None:
        return torch.cat((states, waiting), dim=-1), torch.cat((last, waiting[:, -1]), dim=-1)
    return states, last


def chunkwise(factors: Factors, query: Tensor, state: Tensor, chunk: int = 16) -> tuple[Tensor, Tensor]:
    """Run a matrix-state recurrence over all time: what `MatrixCell.step` and `recall` give, in the state's dtype.

    Args:
        factors: Of every time step, (B, T, heads, ·), T ≥ 1; any decay with any write.
        query: (B, T, heads, K).
        state: (B, heads, K, V) to start from.
        chunk: Its length, a power of two. On a CPU 16 to 64 are equally fast; but the longer a chunk, the more of
            float32's digits a delta rule loses, beyond 16 more than the reference property allows.

    Returns:
        The answers S_tᵀ q_t, (B, T, heads, V), and the last state, (B, heads, K, V).

    Raises:
        UserError: chunk is not a power of two.
    """
    if chunk < 1 or chunk & (chunk - 1):
        raise UserError(f"chunk must be a power of two, got {chunk}; the default is 16.")
    time = query.shape[1]
    length = min(chunk, 1 << (time - 1).bit_length())

    def cut(x: Tensor) -> Tensor:
        """(B, T, heads, D) → (chunks, B, heads, length, D), padded with zeros, which leave the state as it is."""
        x = F.pad(x.to(state.dtype), (0, 0, 0, 0, 0, -time % length))
        return x.unflatten(1, (-1, length)).permute(1, 0, 3, 2, 4).contiguous()

    q, k, written = cut(query), cut(factors.key), cut(factors.value)
    a = None if factors.log_decay is None else cut(factors.log_decay)
    within, asked, late = _pairs(q, k, a)
    # Unbound once, never indexed chunk by chunk: the gradient of x[n] would be zeros as large as all of x.
    keep: Sequence[Tensor | float] = [1.0] * len(q) if a is None else a.sum(-2).exp().unsqueeze(-1).unbind(0)
    replies: Sequence[Tensor | None] = [None] * len(q)
    if factors.beta is not None:
        beta = cut(factors.beta)
        among, early, _ = _pairs(k, k, a)
        right = beta * torch.cat((written, early), dim=-1)
        solved = torch.linalg.solve_triangular(beta * among, right, upper=False, unitriangular=True)
        written, replied = solved.split((written.shape[-1], k.shape[-1]), dim=-1)
        replies = replied.unbind(0)

    before, writes = [], []
    for kept, key, write, reply in zip(keep, late.mT.unbind(0), written.unbind(0), replies, strict=True):
        if reply is not None:
            write = write - reply @ state
        before.append(state)
        writes.append(write)
        state = kept * state + key @ write
    o = within @ torch.stack(writes) + asked @ torch.stack(before)
    return o.permute(1, 0, 3, 2, 4).flatten(1, 2)[:, :time], state


def _pairs(q: Tensor, k: Tensor, a: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The decayed products of a chunk's queries with its keys, with its beginning and with its end.

    Args:
        q: (…, L, K), L a power of two.
        k: (…, L, K).
        a: Log decays, (…, L, K) or (…, L, 1), or None.

    Returns:
        P_ij = q_iᵀ diag(exp(a_{j+1} + … + a_i)) k_j for j ≤ i, else 0, (…, L, L); exp(a_1 + … + a_i) q_i; and
        exp(a_{j+1} + … + a_L) k_j.
    """
    if a is None:
        return (q @ k.mT).tril(), q, k
    if a.shape[-1] > 1:
        return _pairs_by_channel(q, k, a.exp())
    length = a.shape[-2]
    above = torch.ones(length, length, dtype=torch.bool, device=a.device).triu(1)
    # (i, j): a_{j+1} + … + a_i for j ≤ i.
    between = a.expand(*a.shape[:-1], length).tril(-1).cumsum(-2).masked_fill(above, -torch.inf)
    decay = between.exp()
    return (q @ k.mT) * decay, q * a.cumsum(-2).exp(), k * decay[..., -1, :, None]


def _pairs_by_channel(q: Tensor, k: Tensor, decay: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`_pairs` where each key channel has its decay: by joining neighbouring blocks, from single time steps up.

    In a block each query is decayed from its beginning and each key to its end. So the corner of two joined blocks,
    from a key in the left one to a query in the right one, is one product of matrices: no (L, L, K) is ever formed.
    """
    asked, late, whole = (x.unsqueeze(-2) for x in (q * decay, k, decay))
    inner = (q * k).sum(-1)[..., None, None]
    while inner.shape[-3] > 1:
        joined = [x.unflatten(-3, (-1, 2)).unbind(-3) for x in (asked, late, whole, inner)]
        (asked_l, asked_r), (late_l, late_r), (whole_l, whole_r), (inner_l, inner_r) = joined
        lower = torch.cat((asked_r @ late_l.mT, inner_r), dim=-1)
        inner = torch.cat((F.pad(inner_l, (0, inner_l.shape[-1])), lower), dim=-2)
        asked = torch.cat((asked_l, whole_l * asked_r), dim=-2)
        late = torch.cat((whole_r * late_l, late_r), dim=-2)
        whole = whole_l * whole_r
    return inner.squeeze(-3), asked.squeeze(-3), late.squeeze(-3)
