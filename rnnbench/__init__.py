"""rnnbench: which recurrent cell, at which sequence length, and why?

What an experiment is written with. The rest is imported from its package: `rnnbench.cells`, `rnnbench.backends`,
`rnnbench.data.datamodule`, `rnnbench.training`. Importing this imports no torch, and nothing at all before one of its
names is used: the command line must handle Ctrl-C as early as it can.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnnbench.cli.main import run_script
    from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig, Run
    from rnnbench.config.timing import Timing
    from rnnbench.errors import UserError
    from rnnbench.sweep.study import Panel, Study, Tune

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
    "run_script",
]

#: The names that are not from `rnnbench.config`.
_ELSEWHERE = {
    "Panel": "sweep.study",
    "Study": "sweep.study",
    "Timing": "config.timing",
    "Tune": "sweep.study",
    "UserError": "errors",
    "run_script": "cli.main",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"rnnbench.{_ELSEWHERE.get(name, 'config')}"), name)
