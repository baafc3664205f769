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

import torch
from torch import Tensor

from rnnbench.backends.dispatch import run
from rnnbench.cells.cell import Cell
from rnnbench.data.task import Batch, Task
from rnnbench.models.build import Model
from rnnbench.modules.metrics import loss
from rnnbench.probes.curve import Curve, effective_horizon, empirical_half_life, fit_half_life


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


def measure_gradient_flow(model: Model, batch: Batch, task: Task) -> FlowCurve:
    """The gradient-flow curve of a whole model on a probe batch, its state being all layers' states together.

    The loss is the task's own at the last step only, one a sample. The model itself is left as it is: a float64 copy
    in evaluation mode is measured. Of a bidirectional model only the cells that read forwards are: a state of the
    others has the future, not the past, behind it. Pooled by mean or attention, the loss sees every state directly
    as well, and the curve includes that. Of a decoder's model the encoder is measured, by the loss of the first symbol
    written: what attention changes is just what reaches far back.
    """
    with torch.inference_mode(False), torch.enable_grad():
        twin = copy.deepcopy(model).double().eval()
        stack = twin.probed
        x = batch.x if task.reads == "tokens" else batch.x.double()
        size = (x.shape[0], x.shape[1])
        taps = [
            torch.zeros(*size, *cell.state_shape, dtype=torch.float64, device=x.device, requires_grad=True)
            for cell in stack.cells[:: stack.directions]
        ]
        places: list[Tensor | None] = [None] * len(stack.cells)
        places[:: stack.directions] = taps
        out, _ = twin.predict(Batch(x, batch.y), taps=places)
        norms = _norms(torch.autograd.grad(_last_loss(out, batch.y, task), taps))
    # An exact zero (relu units all off) has no logarithm; the smallest float64 keeps the curve finite and says "none".
    logs = norms.clamp_min(torch.finfo(torch.float64).tiny).log()
    return FlowCurve(logs.mean(0).cpu().numpy(), logs.std(0, correction=0).cpu().numpy())


def _last_loss(out: Tensor, y: Tensor, task: Task) -> Tensor:
    """The task's own loss at the last step (a decoder's: at its first), summed over the samples."""
    if task.writes:
        out, y = out[:, 0], y[:, 0]
    elif task.shape == "many_to_many":
        out, y = out[:, -1], y[:, -1]
    if y.is_floating_point():
        y = y.double()
    return loss(out, Batch(out, y), task) * len(out)


def _norms(gradients: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    """One gradient (B, T, *S) a layer → norm over all layers' states, (B, T), by lag instead of by time."""
    joined = torch.cat([gradient.flatten(2) for gradient in gradients], dim=-1)
    return torch.linalg.vector_norm(joined, dim=-1, dtype=torch.float64).flip(1)
