"""A `Run` as a tree of frozen dataclasses: the command line, the YAML file, the row of a sweep, the W&B config.

Hashed, it is the run's identity. Nothing here imports torch: a finished sweep of a thousand runs is recognised without
it.
"""

from rnnbench.config.parts import BudgetConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig
from rnnbench.config.run import Run
from rnnbench.config.values import (
    PROTOCOL,
    CellConfig,
    Option,
    Scalar,
    check_fields,
    check_value,
    difference,
    from_dict,
    identity,
    to_dict,
)

__all__ = [
    "PROTOCOL", "BudgetConfig", "CellConfig", "DataConfig", "ModelConfig", "OptimConfig", "Option", "ProbeConfig",
    "Run", "Scalar", "check_fields", "check_value", "difference", "from_dict", "identity", "to_dict",
]  # fmt: skip
