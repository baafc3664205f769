"""What is measured inside a model: pure functions."""

from rnnbench.probes.flops import flops_per_token
from rnnbench.probes.gradient_flow import (
    FlowCurve,
    effective_horizon,
    empirical_half_life,
    fit_half_life,
    gradient_flow,
    measure_gradient_flow,
)

__all__ = [
    "FlowCurve",
    "effective_horizon",
    "empirical_half_life",
    "fit_half_life",
    "flops_per_token",
    "gradient_flow",
    "measure_gradient_flow",
]
