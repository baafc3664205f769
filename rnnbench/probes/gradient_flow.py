"""How much of the last step's loss reaches each earlier state, and each earlier input.

G(k) = ‖∂ℓ_T/∂s_{T−k}‖₂, the norm taken sample by sample, then the mean of its logarithm over those samples of the
batch that have a gradient at that lag; exact, see `rnnbench.probes.adjoint`. A sample without any (a ReLU cell's units
all off) has no logarithm: the share of such samples is reported apart. Of a state only the memory counts
(`Cell.memory`): the gradient by a clock or a mask that travels in it says nothing of how long anything is kept. Whole
models are measured in float64.

Sources: Hochreiter 1991; Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from rnnbench.backends.dispatch import run
from rnnbench.cells.cell import Cell
from rnnbench.cells.side_inputs import Side, cut
from rnnbench.data.source import generator
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models.build import Model
from rnnbench.models.stack import State
from rnnbench.probes.adjoint import adjoints
from rnnbench.probes.curve import BEYOND, Curve, effective_horizon, falls_to, fit, lost_decades, share_beyond
from rnnbench.probes.probed_model import ProbedModel, subject


@dataclass(frozen=True)
class FlowCurve:
    """log G(k), natural, for lags k = 0 … T − 1.

    Args:
        mean: Over the samples that have a gradient at that lag; −∞ where none has.
        sd: The standard deviation over the same; 0 where none has.
        dead: The share of the samples that have none.
        parts: The mean of each part of the state, where it has several with names (`Cell.parts`).
    """

    mean: Curve
    sd: Curve
    dead: Curve
    parts: Mapping[str, Curve] = field(default_factory=dict)

    def scalars(self) -> dict[str, float]:
        """The curve in a few numbers, lags and shares; an infinite lag lies beyond ``lags``, the last one measured.

        half_lag, hundredth_lag: where G has fallen to half and to a hundredth of its maximum, and of each part of the
        state (``half_lag_c``); horizon: the last lag with at least a hundredth of it. beyond_10, _32, _100: the share
        of Σ G beyond that lag. max_gain: max_k G(k)/G(0), infinite beyond float64. decades: log₁₀ of G's change over
        the verdict's lags; log10_gain_at_last_lag: over all. dead_share: of the samples, those without a gradient at
        the last lag. half_life, with half_life_r2 and the range half_life_first … half_life_last of its fit.

        Empty where the curve is not finite, as after a divergence; dead_share alone where no sample has a gradient at
        lag 0, by which all else is measured.
        """
        if np.isnan(self.mean).any() or self.mean.max() == np.inf:
            return {}
        if self.mean[0] == -np.inf:
            return {"dead_share": float(self.dead[-1])}
        line = fit(self.mean)
        gain = (self.mean - self.mean[0]) / math.log(10)
        with np.errstate(over="ignore"):
            largest = np.float64(10) ** gain.max()
        out = {
            "lags": len(self.mean) - 1,
            "half_lag": falls_to(self.mean, 0.5),
            "hundredth_lag": falls_to(self.mean, 0.01),
            "horizon": effective_horizon(self.mean),
            **{f"beyond_{lag}": share for lag in BEYOND if (share := share_beyond(self.mean, lag)) is not None},
            "max_gain": float(largest),
            "decades": lost_decades(self.mean)[0],
            "log10_gain_at_last_lag": float(gain[-1]),
            "dead_share": float(self.dead[-1]),
            "half_life": line.half_life,
            "half_life_r2": line.r2,
            "half_life_first": line.first,
            "half_life_last": line.last,
        }
        for name, curve in self.parts.items():
            if curve.max() > -np.inf:
                out |= {f"half_lag_{name}": falls_to(curve, 0.5), f"hundredth_lag_{name}": falls_to(curve, 0.01)}
        return out

    def curves(self, name: str) -> dict[str, Curve]:
        """What is kept of it, by name: ``name`` and, in float32, ``name_sd``, ``name_PART``, ``name_dead``."""
        beside = {"sd": self.sd, **self.parts} | ({"dead": self.dead} if self.dead.any() else {})
        return {name: self.mean} | {f"{name}_{key}": value.astype(np.float32) for key, value in beside.items()}


def log_gradient_flow(
    cell: Cell,
    x: Tensor,
    loss: Callable[[Tensor], Tensor],
    state: Tensor | None = None,
    backend: str = "auto",
    length: int | None = None,
    side: Side | None = None,
) -> Tensor:
    """log ‖∂ℓ_T/∂s_{T−k}‖₂ of one cell for every sample and lag, whatever its size: see `rnnbench.probes.adjoint`.

    Args:
        cell: Any cell; it is run in its own dtype, so pass a float64 one where the last digits matter.
        x: (B, T, I).
        loss: Maps the last output (B, H) to one loss a sample, (B,).
        state: (B, *S) to start from.
        backend: One that takes a tap.
        length: Time steps whose graph is in memory at once.
        side: What the cell needs beside x, (B, T) each.

    Returns:
        (B, T) float64, natural logarithms, lag k = 0 … T − 1 along the second axis.
    """

    def forward(x: Tensor, state: State, taps: Sequence[Tensor | None] | None, begin: int) -> tuple[Tensor, State]:
        beside = cut(side, slice(begin, begin + x.shape[1]))
        y, after = run(cell, x, state[0], backend, taps[0] if taps is not None else None, side=beside)
        return y, [after]

    def last(y: Tensor, begin: int) -> Tensor | None:
        return loss(y[:, -1]) if begin + y.shape[1] == x.shape[1] else None

    segments = adjoints(forward, [cell], x, last, None if state is None else [state], length)
    return _by_lag(segment.log_norms() for segment in segments)


def measure_gradient_flow(model: Model, batch: Batch, task: Task, average: bool = False) -> FlowCurve:
    """The gradient-flow curve of a whole model on a probe batch, its state being all layers' states together.

    The loss is the task's own at the last step only, one a sample; what is measured of which model, see `subject`. With
    ``average`` it is the loss averaged over all steps that are scored: the classical mistake. Every state then has a
    loss near by, and how little of the last one reaches it cannot be seen.
    """
    with torch.inference_mode(False), torch.enable_grad():
        probed = subject(model, batch, task)
        names = probed.stack.cells[0].parts
        norms = [
            [segment.log_norms(), *(segment.log_norms(part) for part in range(len(names)))]
            for segment in probed.adjoints(average)
        ]
    whole, *parts = (_by_lag(logs) for logs in zip(*norms, strict=True))
    return _curve(whole, dict(zip(names, parts, strict=True)))


def measure_saliency(model: Model, batch: Batch, task: Task) -> FlowCurve:
    """log ‖∂ℓ_T/∂x_{T−k}‖₂: how much the last step's loss depends on each earlier input (as embedded)."""
    with torch.inference_mode(False), torch.enable_grad():
        segments = subject(model, batch, task).adjoints(inputs=True)
        return _curve(_by_lag(segment.log_input_norms() for segment in segments), {})


def _by_lag(segments: Iterable[Tensor]) -> Tensor:
    """(B, C) a segment, the last segment first → (B, T), lag 0 first."""
    return torch.cat([segment.flip(1) for segment in segments], dim=1)


def shuffled(batch: Batch) -> Batch:
    """Noise from a probe batch: the same time steps in a random order, over all samples; the targets stay.

    So each step is as likely as in the data and says nothing of the others. The same for every model and seed. What
    belongs to a step (whether it was measured) goes with it; the clock goes on.
    """
    steps = batch.x.flatten(0, 1)
    order = torch.randperm(len(steps), generator=generator("shuffled probe batch", len(steps)))
    order = order.to(steps.device)

    def noise(value: Tensor) -> Tensor:
        return value.flatten(0, 1)[order].view(value.shape)

    side = {name: value if name == "time" else noise(value) for name, value in (batch.side or {}).items()}
    return batch._replace(x=noise(batch.x), side=side or None)


def _curve(logs: Tensor, parts: Mapping[str, Tensor]) -> FlowCurve:
    """Of (B, T) logarithms, −∞ where a sample has no gradient."""
    alive = logs != -math.inf
    count = alive.sum(0)
    mean = _mean_of_alive(logs)
    sd = ((torch.where(alive, logs - mean, 0.0) ** 2).sum(0) / count.clamp_min(1)).sqrt()
    dead = (1 - count / len(logs)).double()
    means = {name: _mean_of_alive(part).cpu().numpy() for name, part in parts.items()}
    return FlowCurve(mean.cpu().numpy(), sd.cpu().numpy(), dead.cpu().numpy(), means)


def _mean_of_alive(logs: Tensor) -> Tensor:
    """(B, T) → (T,): the mean over the samples that have a gradient at a lag; −∞ where none has."""
    alive = logs != -math.inf
    count = alive.sum(0)
    return torch.where(count > 0, torch.where(alive, logs, 0.0).sum(0) / count.clamp_min(1), -math.inf)


def measure_gradient_share(model: Model, batch: Batch, task: Task, samples: int = 8) -> Curve:
    """The share of the recurrent layers' gradient that each lag has, (T,), summing to 1.

    The norm of each lag's term over the sum of these norms, sample by sample; the mean over the samples that have any
    gradient, NaN where none has. Of the first few samples: each costs a gradient of all these weights for every lag.

    Raises:
        UserError: a model whose loss sees other states than the last, recurrent layers without a trained weight, or a
            cell that torch cannot map over samples.
    """
    trained = [name for name, weight in model.probed.layers.named_parameters() if weight.requires_grad]
    if not trained:
        raise UserError("the gradient of the recurrent layers has no shares: none of their weights is trained.")
    if not model.streams:
        raise UserError("the gradient comes apart by lag where the loss sees the last output alone; not in this model.")
    with torch.inference_mode(False), torch.enable_grad(), warnings.catch_warnings():
        probed = subject(model, batch.rows(slice(samples)), task)
        probed.stack.backend = "loop"  # the scan's kernel is no operation of torch's, and cannot be mapped over samples
        try:
            warnings.filterwarnings("ignore", message="There is a performance drop")  # a Transformer's attention
            logs = torch.stack(list(_log_norms_of_terms(probed, trained)), dim=1)
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            raise UserError(f"the gradient of this cell does not come apart by sample ({reason}).") from error
    alive = logs.amax(dim=1) > -torch.inf
    share: Curve = logs[alive].softmax(dim=1).mean(0).cpu().numpy()
    return share


def _log_norms_of_terms(probed: ProbedModel, trained: Sequence[str]) -> Iterator[Tensor]:
    """log of the norm of every sample's term, (B,) float64 a lag, from lag 0 on; −∞ where there is none.

    trained: Names of the layers' weights that count.
    """
    every = dict(probed.stack.layers.named_parameters())
    weights = {f"layers.{name}": every[name].detach() for name in trained}
    Tensors = tuple[Tensor, ...]

    def term(
        weights: dict[str, Tensor], x: Tensor, before: Tensors, after: Tensors, out: Tensor, side: dict[str, Tensor]
    ) -> Tensor:
        """One sample's time step, as far as it reaches the loss: linear in the cotangents ``after`` and ``out``."""
        beside = {"side": {name: value[None] for name, value in side.items()}}
        y, states = functional_call(probed.stack, weights, (x[None], [state[None] for state in before]), beside)
        total: Tensor = (y[0] * out).sum()
        return total + sum((state[0] * cotangent).sum() for state, cotangent in zip(states, after, strict=True))

    gradients = vmap(grad(term), in_dims=(None, 0, 0, 0, 0, 0))
    for segment in probed.adjoints(length=1):
        x = probed.x[:, segment.begin : segment.begin + 1]
        side = dict(cut(probed.side, slice(segment.begin, segment.begin + 1)) or {})
        before = tuple(state.detach() for state in segment.before)
        out = x.new_zeros(*x.shape[:2], probed.stack.width)
        after = segment.carried
        if after is None:  # the last time step acts through its output
            after = tuple(torch.zeros_like(state) for state in before)
            y = probed.stack(x, list(before), side=side)[0].detach().requires_grad_()
            loss = probed.last_loss(y, segment.begin)
            assert loss is not None
            (out,) = torch.autograd.grad(loss.sum(), y)
        terms = gradients(weights, x, before, after, out, side)
        norm = torch.stack([g.flatten(1).norm(dim=1) for g in terms.values()]).norm(dim=0)
        yield norm.log() + segment.log_scale
