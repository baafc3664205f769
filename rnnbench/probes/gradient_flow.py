"""How much of the last step's loss reaches each earlier state.

G(k) = ‖∂ℓ_T/∂s_{T−k}‖₂, the norm taken sample by sample, then the mean of its logarithm over the batch. The total
derivative is the gradient with respect to a tap, s_t = step(u_t, s_{t−1}) + tap_t at tap = 0, so nothing is
approximated and no hook is involved. Everything runs in float64: in float32 a default RNN's curve is exactly zero
from a lag near 90 on.

Sources: Hochreiter 1991; Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from rnnbench.backends.dispatch import run
from rnnbench.cells.cell import Cell
from rnnbench.data.task import Batch, Task
from rnnbench.models.sequence import SequenceModel

Curve = NDArray[np.float64]

#: A curve is fitted down to this share of its start: further down rounding is all there is.
FLOOR = 1e-12


@dataclass(frozen=True)
class FlowCurve:
    """log G(k), natural, for lags k = 0 … T − 1: its mean and its standard deviation over the batch."""

    mean: Curve
    sd: Curve

    def scalars(self) -> dict[str, float]:
        """The curve in a few numbers: half-lives and horizon in steps, ``max_gain`` = max_k G(k)/G(0)."""
        half_life, r2 = fit_half_life(self.mean)
        gain = (self.mean - self.mean[0]) / math.log(10)
        return {
            "half_life": half_life,
            "half_life_r2": r2,
            "half_life_empirical": empirical_half_life(self.mean),
            "horizon": effective_horizon(self.mean),
            "max_gain": float(10 ** gain.max()),
            "log10_gain_at_last_lag": float(gain[-1]),
        }


def gradient_flow(cell: Cell, x: Tensor, loss: Callable[[Tensor], Tensor], state: Tensor | None = None) -> Tensor:
    """‖∂ℓ_T/∂s_{T−k}‖₂ of one cell for every sample and lag.

    Args:
        cell: Any cell; it is run in its own dtype, so hand over a float64 one.
        x: (B, T, I).
        loss: Maps the last output (B, H) to one loss a sample, (B,).
        state: (B, *S) to start from.

    Returns:
        (B, T), lag k = 0 … T − 1 along the second axis.
    """
    tap = torch.zeros(x.shape[0], x.shape[1], *cell.state_shape, dtype=x.dtype, device=x.device, requires_grad=True)
    y, _ = run(cell, x, state, "loop", tap)
    (gradient,) = torch.autograd.grad(loss(y[:, -1]).sum(), tap)
    return _norms([gradient])


def measure_gradient_flow(model: SequenceModel, batch: Batch, task: Task) -> FlowCurve:
    """The gradient-flow curve of a whole model on a probe batch, its state being all layers' states together.

    The loss is the task's own at the last step only, one a sample. The model itself is left as it is: a float64 copy
    in evaluation mode is measured.
    """
    with torch.inference_mode(False), torch.enable_grad():
        twin = copy.deepcopy(model).double().eval()
        x = batch.x if task.kind == "tokens" else batch.x.double()
        size = (x.shape[0], x.shape[1])
        taps = [
            torch.zeros(*size, *cell.state_shape, dtype=torch.float64, device=x.device, requires_grad=True)
            for cell in twin.cells
        ]
        out, _ = twin(x, taps=taps)
        if task.kind == "tokens":
            loss = F.cross_entropy(out[:, -1] if out.dim() == 3 else out, batch.y[:, -1], reduction="none")
        else:
            loss = F.mse_loss(out, batch.y.double(), reduction="none").mean(-1)
        norms = _norms(torch.autograd.grad(loss.sum(), taps))
    # An exact zero (relu units all off) has no logarithm; the smallest float64 keeps the curve finite and says "none".
    logs = norms.clamp_min(torch.finfo(torch.float64).tiny).log()
    return FlowCurve(logs.mean(0).cpu().numpy(), logs.std(0, correction=0).cpu().numpy())


def fit_half_life(log_g: Curve, start: int = 1) -> tuple[float, float]:
    """Half-life τ ln 2 of log G(k) = a − k/τ, and the fit's R².

    Least squares over k = ``start`` … the last lag before G/G(0) first falls below 1e−12. Lag 0 is left out by
    default: at the last step an LSTM's loss reaches h alone. Infinite where the curve does not fall.
    """
    below = np.flatnonzero(log_g - log_g[0] < math.log(FLOOR))
    end = int(below[0]) if below.size else len(log_g)
    lags = np.arange(start, max(end, start + 2))
    lags = lags[lags < len(log_g)]
    if len(lags) < 2:
        return math.nan, math.nan
    values = log_g[lags]
    slope, offset = np.polyfit(lags, values, 1)
    spread = float(((values - values.mean()) ** 2).sum())
    residual = float(((values - (slope * lags + offset)) ** 2).sum())
    r2 = 1.0 - residual / spread if spread > 0 else 1.0
    return (float(-math.log(2) / slope) if slope < -1e-12 else math.inf), r2


def empirical_half_life(log_g: Curve, start: int = 1) -> float:
    """Steps after lag ``start`` until G has first halved, without assuming a shape; infinite where it never does."""
    if start >= len(log_g):
        return math.nan
    halved = np.flatnonzero(log_g[start:] <= log_g[start] - math.log(2))
    return float(halved[0]) if halved.size else math.inf


def effective_horizon(log_g: Curve, epsilon: float = 0.01) -> int:
    """H_ε = max{k : G(k) / max_j G(j) ≥ ε}, in steps."""
    return int(np.flatnonzero(log_g - log_g.max() >= math.log(epsilon))[-1])


def _norms(gradients: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    """One gradient (B, T, *S) a layer → norm over all layers' states, (B, T), by lag instead of by time."""
    joined = torch.cat([gradient.flatten(2) for gradient in gradients], dim=-1)
    return torch.linalg.vector_norm(joined, dim=-1, dtype=torch.float64).flip(1)
