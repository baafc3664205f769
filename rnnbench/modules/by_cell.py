"""A LightningModule per cell type, with that type's own hyperparameters by name and type.

For use from Python: ``LSTMModule(task, forget_bias=1.0, optim=OptimConfig(lr=1e-3))``. A cell without a class here,
a plugin's for instance, is trained by `SequenceModule` with the same options in its `CellConfig`.
"""

from __future__ import annotations

from typing import Any, Literal

from rnnbench.cells.registry import checked_options
from rnnbench.config import CellConfig, Run
from rnnbench.data.task import Task
from rnnbench.modules.sequence import SequenceModule


class RNNModule(SequenceModule):
    """The plain RNN.

    Args:
        task: What the data asks for.
        nonlinearity: tanh or relu.
        init: default (torch's), or identity: W_hh = I, which with relu is the IRNN (Le et al. 2015).
        **shared: As for `SequenceModule`.
    """

    def __init__(
        self,
        task: Task,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        init: Literal["default", "identity"] = "default",
        **shared: Any,
    ) -> None:
        super().__init__(task, CellConfig("rnn", {"nonlinearity": nonlinearity, "init": init}), **shared)


class LSTMModule(SequenceModule):
    """The LSTM.

    Args:
        task: What the data asks for.
        forget_bias: Forget-gate bias at the start (Jozefowicz et al. 2015); torch's random one where None.
        **shared: As for `SequenceModule`.
    """

    def __init__(self, task: Task, forget_bias: float | None = None, **shared: Any) -> None:
        super().__init__(task, CellConfig("lstm", {"forget_bias": forget_bias}), **shared)


class GRUModule(SequenceModule):
    """The GRU.

    Args:
        task: What the data asks for.
        update_bias: Update-gate bias at the start, positive to remember; torch's random one where None.
        **shared: As for `SequenceModule`.
    """

    def __init__(self, task: Task, update_bias: float | None = None, **shared: Any) -> None:
        super().__init__(task, CellConfig("gru", {"update_bias": update_bias}), **shared)


_MODULES: dict[str, type[SequenceModule]] = {"rnn": RNNModule, "lstm": LSTMModule, "gru": GRUModule}


def module_for(run: Run, task: Task) -> SequenceModule:
    """The module that a Run asks for."""
    shared: dict[str, Any] = {"model": run.model, "optim": run.optim, "total_steps": run.steps}
    cls = _MODULES.get(run.cell.name)
    if cls is None:
        return SequenceModule(task, run.cell, **shared)
    return cls(task, **checked_options(run.cell), **shared)
