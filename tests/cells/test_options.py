"""Options that are lists, members of an enum and functions: given by name, checked, in a Run's identity."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells import Cell, make_cell
from rnnbench.cells.registry import _CELLS
from rnnbench.cli.arguments import cell_list
from rnnbench.cli.cells import listing
from rnnbench.config import CellConfig, Run
from rnnbench.conformance import check
from rnnbench.errors import UserError


class Mode(Enum):
    PLAIN = 0.1
    DOUBLE = 0.2


class Optional(Cell):
    """A cell with an option of each kind."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        scales: tuple[float, ...] = (1.0, 0.5),
        mode: Mode = Mode.PLAIN,
        activation: Callable[[Tensor], Tensor] = torch.tanh,
        pair: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.scales, self.mode, self.activation, self.pair = scales, mode, activation, pair
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        self.reset_parameters()

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih)

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return self.activation(u + sum(self.scales) * self.mode.value * s)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_CELLS, "optional", Optional)


def test_every_kind_of_option(capsys: pytest.CaptureFixture[str]) -> None:
    """From a label, as a sweep's tables have it, to the cell; and in `rnnbench cells` the defaults by name."""
    config = CellConfig("optional", {"scales": (0.5, 1.0), "mode": Mode.DOUBLE, "activation": F.gelu, "pair": [1, 2]})
    assert config.options == {"scales": [0.5, 1], "mode": "DOUBLE", "activation": "gelu", "pair": [1, 2]}
    assert cell_list(f"lstm,{config.label}") == [CellConfig("lstm"), config]
    run = Run(cell=config)
    assert Run.from_dict(json.loads(json.dumps(run.to_dict()))) == run
    assert run.id != Run(cell=CellConfig("optional", {**config.options, "scales": [0.5]})).id
    cell = make_cell(config, 3, 4)
    assert isinstance(cell, Optional)
    assert (cell.scales, cell.mode, cell.activation, cell.pair) == ((0.5, 1.0), Mode.DOUBLE, F.gelu, (1, 2))
    assert not [finding for finding in check(config) if finding.ok is False]
    (row,) = (row for row in listing() if row["cell"] == "optional")
    assert row["options"] == {"scales": [1.0, 0.5], "mode": "PLAIN", "activation": "tanh", "pair": None}


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("scales", 3, r"cell.scales must be a list, as in \[1, 2\], got 3"),
        ("scales", ["a"], "cell.scales must be float, got 'a'"),
        ("pair", [1, 2, 3], r"cell.pair must be a list of 2, got \[1, 2, 3\]"),
        ("mode", "TRIPLE", "cell.mode must be one of PLAIN, DOUBLE, got 'TRIPLE'"),
        ("activation", "tahn", 'cell.activation "tahn". Did you mean "tan"'),
        ("activation", "Tensor", "unknown function of torch or torch.nn.functional"),
        ("scales", {"a": 1}, "cell option scales must be a plain value or a list of them"),
    ],
)
def test_what_is_no_option(option: str, value: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_cell(CellConfig("optional", {option: value}), 3, 4)  # type: ignore[dict-item]
