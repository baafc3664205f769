"""A LightningModule per cell type, with that type's own hyperparameters by name and type.

For use from Python: ``LSTMModule(task, forget_bias=1.0, optim=OptimConfig(lr=1e-3))``. Each class follows from its
cell's constructor, a third party's too: ``module_class("mingru")`` is MinGRUModule.
"""

from __future__ import annotations

from functools import cache
from inspect import Parameter, Signature
from typing import Any, get_type_hints

from rnnbench.cells.cell import Cell
from rnnbench.cells.nonlinear.gru import GRU
from rnnbench.cells.nonlinear.lstm import LSTM
from rnnbench.cells.nonlinear.rnn import RNN
from rnnbench.cells.registry import cell_class, cell_options
from rnnbench.config import CellConfig
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
    hints = get_type_hints(cell.__init__)
    options = {
        key: Parameter(key, Parameter.KEYWORD_ONLY, default=item.default, annotation=hints.get(key, item.annotation))
        for key, item in cell_options(cell).items()
        if item.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    }

    def __init__(self: SequenceModule, task: Task, **arguments: Any) -> None:
        chosen = {key: arguments.pop(key) for key in options if key in arguments}
        SequenceModule.__init__(self, task, CellConfig(name, chosen), **arguments)

    shown = [Parameter(key, Parameter.POSITIONAL_OR_KEYWORD) for key in ("self", "task")]
    shared = Parameter("shared", Parameter.VAR_KEYWORD)
    __init__.__signature__ = Signature([*shown, *options.values(), shared])  # type: ignore[attr-defined]
    __init__.__annotations__ = {"task": Task} | {key: item.annotation for key, item in options.items()}
    about = f"{cell.__doc__ or cell.__name__}\n\nTrained: `SequenceModule` says what the shared arguments are."
    return type(f"{cell.__name__}Module", (SequenceModule,), {"__init__": __init__, "__doc__": about})


RNNModule, LSTMModule, GRUModule = _derive("rnn", RNN), _derive("lstm", LSTM), _derive("gru", GRU)
