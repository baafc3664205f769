"""What a transition over k steps does at most: the leading singular values of ∂s_T/∂s_{T−k}, of a whole model.

The gradient-flow curve is what one loss sees of them; the largest is what any could (Pascanu, Mikolov & Bengio 2013).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from rnnbench.backends.dispatch import run
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models.build import Model
from rnnbench.probes.curve import Curve
from rnnbench.probes.jacobian import vjp
from rnnbench.probes.subject import subject

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
