"""Which instants the gradient of the weights comes from.

∂ℓ_T/∂θ = Σ_k (∂⁺s_{T−k}/∂θ)ᵀ ∂ℓ_T/∂s_{T−k}: a sum over lags, in which the last few hide how little the others give
(Pascanu, Mikolov & Bengio 2013, eq. 4). Here it is taken apart: every instant's term by itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models.build import Model
from rnnbench.probes.curve import Curve
from rnnbench.probes.subject import Subject, subject

Tensors = tuple[Tensor, ...]


def measure_gradient_share(model: Model, batch: Batch, task: Task, samples: int = 8) -> Curve:
    """The share of the recurrent layers' gradient that each lag has, (T,), summing to 1.

    The norm of each lag's term over the sum of these norms, sample by sample; the mean over the samples that have any
    gradient, NaN where none has.

    Args:
        model: Left as it is.
        batch: The probe batch.
        task: Its task.
        samples: How many of its samples are looked at: each costs a gradient of all these weights for every lag.

    Raises:
        UserError: a model whose loss sees other states than the last, or whose cell torch cannot map over samples.
    """
    if not model.streams:
        raise UserError("the gradient comes apart by lag where the loss sees the last output alone; not in this model.")
    with torch.inference_mode(False), torch.enable_grad(), warnings.catch_warnings():
        whole = subject(model, batch.rows(slice(samples)), task)
        whole.stack.backend = "loop"  # the scan's kernel is no operation of torch's, and cannot be mapped over samples
        try:
            warnings.filterwarnings("ignore", message="There is a performance drop")  # a Transformer's attention
            logs = torch.stack(list(_log_norms(whole)), dim=1)
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            raise UserError(f"the gradient of this cell does not come apart by sample ({reason}).") from error
    alive = logs.amax(dim=1) > -torch.inf
    share: Curve = logs[alive].softmax(dim=1).mean(0).cpu().numpy()
    return share


def _log_norms(whole: Subject) -> Iterator[Tensor]:
    """log of the norm of every sample's term, (B,) float64 a lag, from lag 0 on; −∞ where there is none."""
    weights = {name: weight.detach() for name, weight in whole.stack.layers.named_parameters(prefix="layers")}

    def term(weights: dict[str, Tensor], x: Tensor, before: Tensors, after: Tensors, out: Tensor) -> Tensor:
        """One sample's instant, as far as it reaches the loss: linear in the cotangents ``after`` and ``out``."""
        y, states = functional_call(whole.stack, weights, (x[None], [state[None] for state in before]))
        total: Tensor = (y[0] * out).sum()
        return total + sum((state[0] * cotangent).sum() for state, cotangent in zip(states, after, strict=True))

    gradients = vmap(grad(term), in_dims=(None, 0, 0, 0, 0))
    for piece in whole.adjoints(stretch=1):
        x = whole.x[:, piece.begin : piece.begin + 1]
        before = tuple(state.detach() for state in piece.before)
        out = x.new_zeros(*x.shape[:2], whole.stack.width)
        after = piece.carried
        if after is None:  # the last instant: what it does, it does through its output
            after = tuple(torch.zeros_like(state) for state in before)
            y = whole.stack(x, list(before))[0].detach().requires_grad_()
            loss = whole.last_loss(y, piece.begin)
            assert loss is not None
            (out,) = torch.autograd.grad(loss.sum(), y)
        found = gradients(weights, x, before, after, out)
        norm = torch.stack([g.flatten(1).norm(dim=1) for g in found.values()]).norm(dim=0)
        yield norm.log() + piece.log_scale
