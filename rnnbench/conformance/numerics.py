"""Properties of the numbers: float32 is as near as rounding allows; large inputs and zeros give no NaN."""

from __future__ import annotations

import torch

from rnnbench.conformance.cell_under_test import B, CellUnderTest, largest, results
from rnnbench.conformance.property import Broken
from rnnbench.conformance.sequences import worst

#: How many times the effect of rounding every state once the loop's own error may be; see `precision`.
ROUNDINGS = 50.0


def precision(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[float, str]:
    """The loop in float32 is as near to the float64 loop, in values and gradients, as its roundings explain.

    What they may do to this cell is measured: in float64, x, the state, every weight and, by a tap, every new state
    are moved at random by one unit in float32's last place.
    """
    sample, exact = subject.sample(torch.float64), subject.results(torch.float64)
    generator, unit = torch.Generator().manual_seed(0), torch.finfo(dtype).eps
    cell = subject.fresh(torch.float64)

    def noise(value: torch.Tensor) -> torch.Tensor:
        return unit * torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value.device)

    with torch.no_grad():
        for weight in cell.parameters():
            if weight.is_floating_point():
                weight.mul_(1 + noise(weight))
    scale = sample.state.abs().amax() + sample.spread.abs().amax()
    x, state = sample.x * (1 + noise(sample.x)), sample.state * (1 + noise(sample.state))
    moved = results(cell, x, state, sample.cotangents, "loop", tap=scale * noise(sample.spread))
    # A gradient may be zero but for rounding: that of a bias before a normalisation, say.
    floor = 0.1 * max(largest(truth) for name, truth in exact.items() if name.startswith("grad "))
    allowed = {}
    for name, truth in exact.items():
        size = max(largest(truth), floor if name.startswith("grad ") else 0.0)
        allowed[name] = ROUNDINGS * max(largest(moved[name] - truth), unit * size, 1e-30)
    return worst(subject.results(dtype), exact, allowed)


def range_of_inputs(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """Inputs a hundred times as large, zeros and ones give finite outputs and gradients."""
    cell, sample = subject.cell(dtype), subject.sample(dtype)
    ordinary = sample.x[..., : subject.input_size]
    cases = {"inputs times 100": 100 * ordinary, "inputs of zeros": 0 * ordinary, "inputs of ones": 0 * ordinary + 1}
    for what, x in cases.items():
        whole = torch.cat((x, sample.x[..., subject.input_size :]), dim=-1)
        for name, value in results(cell, whole, cell.initial_state(B).detach(), sample.cotangents, "loop").items():
            if not value.isfinite().all():
                raise Broken(f"with {what}, {name} is not finite")
    return None, ""
