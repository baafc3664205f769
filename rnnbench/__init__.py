"""rnnbench: which recurrent cell, at which sequence length, and why?

What an experiment is written with. The rest is imported from its room: `rnnbench.cells`, `rnnbench.backends`,
`rnnbench.modules`, `rnnbench.data.datamodule`, `rnnbench.train`. Importing this costs no torch.
"""

from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig, Run
from rnnbench.errors import UserError
from rnnbench.sweep.study import Panel, Study, Tune
from rnnbench.throughput.timing import Timing

__all__ = [
    "BudgetConfig",
    "CellConfig",
    "DataConfig",
    "ModelConfig",
    "OptimConfig",
    "Panel",
    "ProbeConfig",
    "Run",
    "Study",
    "Timing",
    "Tune",
    "UserError",
]
