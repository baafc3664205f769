"""The Lyapunov spectrum of a cell: how fast small differences between states grow or fade, direction by direction.

Q₀ random orthonormal, Q_t R_t = J_t Q_{t−1}; λ_i = mean_t log|R_t,ii| after burn-in, in nats a step. λ₁ < 0: the state
forgets, and a gradient fades, by e^λ₁ a step; λ₁ > 0: chaos, gradients explode.

Sources: Benettin et al. 1980; Vogt et al. 2022, "On Lyapunov exponents for RNNs"; Engelken, Wolf & Abbott 2023.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnbench.cells.cell import Cell, memory_indices
from rnnbench.cells.side_inputs import Side
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models.build import Model
from rnnbench.probes.jacobian import gathered, jvp, spread
from rnnbench.probes.measured import mean_of_those_left
from rnnbench.probes.probed_model import subject


@dataclass(frozen=True)
class Lyapunov:
    """Lyapunov exponents, (B, m) nats a step: each trajectory's in descending order, −∞ where a direction is lost."""

    by_sample: NDArray[np.float64]

    @property
    def exponents(self) -> NDArray[np.float64]:
        """(m,): the mean of the i-th over the trajectories that have i directions left; −∞ where none has."""
        return mean_of_those_left(self.by_sample)


def lyapunov_spectrum(
    cell: Cell,
    x: Tensor,
    exponents: int = 10,
    state: Tensor | None = None,
    burn_in: int | None = None,
    seed: int = 0,
    side: Side | None = None,
) -> Lyapunov:
    """The largest Lyapunov exponents of one cell along the trajectories that an input drives it on.

    Of T steps they are known to some 1/T: an error of the first directions is a constant in the sum of logarithms, and
    where two exponents are near each other, or a pair of eigenvalues is complex, their directions turn.

    A direction that a Jacobian maps to zero is lost for good, λ = −∞: every direction of a window of W inputs after W
    steps, those of units that a relu has switched off, what waits a step in a `delay`. How many a step loses follows
    from the singular values of R_t: those below N ε of the largest are zero, ε the rounding of the state's dtype. A
    trajectory that leaves the finite numbers gives NaN.

    Args:
        cell: Any cell; it is run in its own dtype (QR and logarithms are float64 always), so pass a float64 one.
        x: (B, T, I).
        exponents: m, how many; no more are returned than there are numbers in the memory (`Cell.memory`), whose
            differences these are.
        state: (B, *S) to start from.
        burn_in: Steps left out of the mean, while Q turns to the directions that grow most and the state finds its
            attractor. Both happen exponentially fast, so a tenth of T, the default, is enough where T is, and it
            makes the mean only 5 % less sure.
        seed: Of the first directions, the same for every trajectory.
        side: What the cell needs beside x, (B, T) each.

    Raises:
        UserError: no exponent asked for, or no step left after burn-in.
    """
    batch, time = x.shape[:2]
    burn_in = time // 10 if burn_in is None else burn_in
    if exponents < 1:
        raise UserError(f"exponents counts Lyapunov exponents, got {exponents}; ask for 1 or more.")
    if not 0 <= burn_in < time:
        raise UserError(f"burn_in must leave a step of the {time} that there are, got {burn_in}.")
    with torch.inference_mode(False), torch.no_grad():
        x = x.clone()  # out of inference mode
        s = cell.initial_state(batch) if state is None else state.clone()
        size = len(memory_indices(cell))
        generator = torch.Generator().manual_seed(seed)
        first = torch.randn(size, min(exponents, size), dtype=torch.float64, generator=generator).to(x.device)
        q = torch.linalg.qr(first)[0].expand(batch, -1, -1)
        sizes, alive = [], torch.ones(batch, q.shape[-1], dtype=torch.bool, device=x.device)
        with cell.unrolled(), cell.beside(side, None):
            for t, u in enumerate(cell.driven(x).unbind(1)):
                if t == burn_in:  # what was lost so far, at a singular first state say, is drawn anew
                    q, alive = torch.linalg.qr(torch.where(alive.unsqueeze(-2), q, first))[0], torch.ones_like(alive)
                s, product = jvp(cell, u, s, spread(cell, q.mT).mT)
                q, r = torch.linalg.qr(gathered(cell, product.mT).mT.double())
                alive = _alive(r, alive, size * torch.finfo(s.dtype).eps)
                q = q * alive.unsqueeze(-2)  # QR puts some other direction in the place of one that is lost
                sizes.append(r.diagonal(dim1=-2, dim2=-1).abs() * alive)
        means = torch.stack(sizes[burn_in:]).log().mean(0)
    return Lyapunov(means.sort(descending=True).values.cpu().numpy())


def _alive(r: Tensor, alive: Tensor, epsilon: float) -> Tensor:
    """Which of the directions, (B, m), a step with R (B, m, m) has left."""
    sizes = r.diagonal(dim1=-2, dim2=-1).abs()
    # R_ii of a lost direction is rounding times the condition of those before it: what is this far above is not lost.
    if not bool((alive & (sizes <= math.sqrt(epsilon) * sizes.amax(-1, keepdim=True))).any()):
        return alive
    values = torch.linalg.svdvals(r.nan_to_num(0.0))
    rank = (values > epsilon * values[:, :1]).sum(-1, keepdim=True)
    order = sizes.masked_fill(~alive, -1.0).argsort(-1, descending=True).argsort(-1)
    return alive & (order < rank)


def measure_lyapunov(model: Model, batch: Batch, task: Task, exponents: int = 10) -> Lyapunov:
    """The largest Lyapunov exponents of a whole model on a probe batch; what is measured of which model, see `subject`.

    What a layer reads comes from the layers below it, so the Jacobian of all states together is block triangular, and
    its spectrum is that of its blocks: each layer's own, driven by what the layer reads.

    Raises:
        UserError: no exponent asked for, or a batch that cannot be probed.
    """
    with torch.inference_mode(False), torch.no_grad():
        probed = subject(model, batch, task)
        spectra = [lyapunov_spectrum(cell, x, exponents, side=probed.side) for cell, x in probed.layers()]
    merged = np.concatenate([spectrum.by_sample for spectrum in spectra], axis=1)
    return Lyapunov(-np.sort(-merged, axis=1)[:, :exponents])
