"""How much of the last step's loss reaches each earlier state, and each earlier input.

G(k) = ‖∂ℓ_T/∂s_{T−k}‖₂, the norm taken sample by sample, then the mean of its logarithm over the batch; exact, see
`rnnbench.probes.adjoint`. Whole models are measured in float64.

Sources: Hochreiter 1991; Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rnnbench.backends.dispatch import run
from rnnbench.cells.cell import Cell
from rnnbench.data.task import Batch, Task
from rnnbench.models.build import Model
from rnnbench.models.stack import State
from rnnbench.probes.adjoint import adjoints
from rnnbench.probes.curve import Curve, effective_horizon, empirical_half_life, fit_half_life
from rnnbench.probes.subject import subject


@dataclass(frozen=True)
class FlowCurve:
    """log G(k), natural, for lags k = 0 … T − 1: its mean and its standard deviation over the batch."""

    mean: Curve
    sd: Curve

    def scalars(self) -> dict[str, float]:
        """The curve in a few numbers: half-lives and horizon in steps, ``max_gain`` = max_k G(k)/G(0).

        Empty where the curve is no number, as after a divergence.
        """
        if not np.isfinite(self.mean).all():
            return {}
        half_life, r2 = fit_half_life(self.mean)
        gain = (self.mean - self.mean[0]) / math.log(10)
        return {
            "half_life": half_life,
            "half_life_r2": r2,
            "half_life_empirical": empirical_half_life(self.mean),
            "horizon": effective_horizon(self.mean),
            "max_gain": float(10 ** min(gain.max(), 300.0)),
            "log10_gain_at_last_lag": float(gain[-1]),
        }


def log_gradient_flow(
    cell: Cell,
    x: Tensor,
    loss: Callable[[Tensor], Tensor],
    state: Tensor | None = None,
    backend: str = "auto",
    stretch: int | None = None,
) -> Tensor:
    """log ‖∂ℓ_T/∂s_{T−k}‖₂ of one cell for every sample and lag, whatever its size: see `rnnbench.probes.adjoint`.

    Args:
        cell: Any cell; it is run in its own dtype, so hand over a float64 one where the last digits matter.
        x: (B, T, I).
        loss: Maps the last output (B, H) to one loss a sample, (B,).
        state: (B, *S) to start from.
        backend: Which backend runs it; it must take a tap.
        stretch: Instants whose graph is in memory at once.

    Returns:
        (B, T) float64, natural logarithms, lag k = 0 … T − 1 along the second axis.
    """

    def forward(x: Tensor, state: State, taps: Sequence[Tensor | None] | None) -> tuple[Tensor, State]:
        y, after = run(cell, x, state[0], backend, taps[0] if taps is not None else None)
        return y, [after]

    def last(y: Tensor, begin: int) -> Tensor | None:
        return loss(y[:, -1]) if begin + y.shape[1] == x.shape[1] else None

    start = None if state is None else [state]
    pieces = adjoints(forward, [cell], x, last, start, stretch)
    return _by_lag(piece.log_norms() for piece in pieces)


def gradient_flow(cell: Cell, x: Tensor, loss: Callable[[Tensor], Tensor], state: Tensor | None = None) -> Tensor:
    """‖∂ℓ_T/∂s_{T−k}‖₂: the exponential of `log_gradient_flow`, which float64 holds for as long as it can."""
    return log_gradient_flow(cell, x, loss, state).exp()


def measure_gradient_flow(model: Model, batch: Batch, task: Task, average: bool = False) -> FlowCurve:
    """The gradient-flow curve of a whole model on a probe batch, its state being all layers' states together.

    The loss is the task's own at the last step only, one a sample; what is measured of which model, see `subject`.

    Args:
        model: Left as it is.
        batch: The probe batch.
        task: Its task.
        average: Take the loss averaged over all steps instead: the classical mistake. Every state then has a loss of
            its own near by, and how little of the last one reaches it cannot be seen.
    """
    with torch.inference_mode(False), torch.enable_grad():
        pieces = subject(model, batch, task).adjoints(average)
        return _curve(_by_lag(piece.log_norms() for piece in pieces))


def measure_saliency(model: Model, batch: Batch, task: Task) -> FlowCurve:
    """log ‖∂ℓ_T/∂x_{T−k}‖₂: how much the last step's loss depends on each earlier input (as embedded)."""
    with torch.inference_mode(False), torch.enable_grad():
        pieces = subject(model, batch, task).adjoints(inputs=True)
        return _curve(_by_lag(piece.log_input_norms() for piece in pieces))


def _by_lag(pieces: Iterable[Tensor]) -> Tensor:
    """(B, C) a stretch, the last stretch first → (B, T), lag 0 first."""
    return torch.cat([piece.flip(1) for piece in pieces], dim=1)


def _curve(logs: Tensor) -> FlowCurve:
    return FlowCurve(logs.mean(0).cpu().numpy(), logs.std(0, correction=0).cpu().numpy())
