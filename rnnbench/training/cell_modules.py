"""A LightningModule per cell type, with that type's own hyperparameters by name and type.

For use from Python: ``LSTMModule(task, forget_bias=1.0, optim=OptimConfig(lr=1e-3))``. Each class follows from its
cell's constructor, a third party's too: ``module_class("mingru")`` is MinGRUModule.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any, get_type_hints

from rnnbench.cells.cell import Cell
from rnnbench.cells.nonlinear.gru import GRU
from rnnbench.cells.nonlinear.lstm import LSTM
from rnnbench.cells.nonlinear.rnn import RNN
from rnnbench.cells.registry import cell_class, cell_options, checked_options
from rnnbench.config import CellConfig, Run
from rnnbench.data.task import Task
from rnnbench.training.sequence_module import SequenceModule


def module_class(name: str) -> type[SequenceModule]:
    """The `SequenceModule` of a registered cell: ``cls(task, *, OPTION=…, **shared)``, the rest as there.

    Raises:
        UserError: no such cell.
    """
    return _derive(name, cell_class(name))


@cache
def _derive(name: str, cell: type[Cell]) -> type[SequenceModule]:
    options, hints = cell_options(cell), get_type_hints(cell.__init__)
    kind = inspect.Parameter
    own = [
        kind(key, kind.KEYWORD_ONLY, default=item.default, annotation=hints.get(key, item.annotation))
        for key, item in options.items()
        if item.kind not in (kind.VAR_POSITIONAL, kind.VAR_KEYWORD)
    ]
    signature = inspect.Signature(
        [
            kind("self", kind.POSITIONAL_OR_KEYWORD),
            kind("task", kind.POSITIONAL_OR_KEYWORD, annotation=Task),
            *own,
            kind("shared", kind.VAR_KEYWORD, annotation=Any),
        ]
    )

    def __init__(self: SequenceModule, *values: Any, **named: Any) -> None:
        given = signature.bind(self, *values, **named).arguments
        chosen = {item.name: given[item.name] for item in own if item.name in given}
        SequenceModule.__init__(self, given["task"], CellConfig(name, chosen), **given.get("shared", {}))

    __init__.__signature__ = signature  # type: ignore[attr-defined]
    __init__.__annotations__ = {item.name: item.annotation for item in own} | {"task": Task, "return": None}
    about = f"{cell.__doc__ or cell.__name__}\n\nTrained: `SequenceModule` says what the shared arguments are."
    return type(f"{cell.__name__}Module", (SequenceModule,), {"__init__": __init__, "__doc__": about})


RNNModule, LSTMModule, GRUModule = _derive("rnn", RNN), _derive("lstm", LSTM), _derive("gru", GRU)


def module_for(run: Run, task: Task) -> SequenceModule:
    """The module that a Run asks for."""
    shared: dict[str, Any] = {"model": run.model, "optim": run.optim, "total_steps": run.steps}
    shared |= {"span": run.data.seq_len, "keep_best": run.budget.keep == "best"}
    return module_class(run.cell.name)(task, **checked_options(run.cell), **shared)
