"""What a cell declares beside its recurrence is held to it: random numbers, memory, exemptions."""

from __future__ import annotations

import json
import re

import pytest
import torch
from support.cells import NoisyLSTM
from torch import Tensor

from rnnbench.cells import LSTM, registry
from rnnbench.cells.cell import Cell
from rnnbench.cli.main import main
from rnnbench.conformance import PROPERTIES, CellUnderTest, check
from rnnbench.errors import UserError


class Constant(NoisyLSTM):
    def draw(self, batch: int, time: int) -> Tensor:
        return torch.full((batch, time, 2 * self.hidden_size), 0.5)


class Shifted(NoisyLSTM):
    """In evaluation it gives 0, where training draws ½ on average."""

    def draw(self, batch: int, time: int) -> Tensor:
        return super().draw(batch, time) * self.training


class AlwaysRandom(NoisyLSTM):
    def draw(self, batch: int, time: int) -> Tensor:
        return torch.rand(batch, time, 2 * self.hidden_size)


class Flat(NoisyLSTM):
    def draw(self, batch: int, time: int) -> Tensor:
        return super().draw(batch, time)[..., 0]


class Halved(LSTM):
    def memory(self, s: Tensor) -> Tensor:
        return s.flatten(-2) / 2


class Doubled(LSTM):
    def memory(self, s: Tensor) -> Tensor:
        return torch.cat((s[..., 0, :], s[..., 0, :]), dim=-1)


class Empty(LSTM):
    def memory(self, s: Tensor) -> Tensor:
        return s.flatten(-2)[..., :0]


class FromTheFront(LSTM):
    """As if a state had one axis before its own, as in `step`; a gradient over time has two."""

    def memory(self, s: Tensor) -> Tensor:
        return s[:, 0]


@pytest.mark.parametrize(
    ("cls", "name", "words"),
    [
        (Constant, "draws", "called twice in training, gives the same numbers"),
        (Shifted, "draws", "in evaluation mode gives 0 on average where training draws 0.5"),
        (AlwaysRandom, "draws", "called twice in evaluation mode, gives two results"),
        (Flat, "draws", r"draw\(3, 13\) gives \(3, 13\), expected \(B, T, N\)"),
        (Halved, "selection", "memory computes something"),
        (Doubled, "selection", "memory gives a number of the state twice"),
        (Empty, "selection", "expected"),
        (FromTheFront, "selection", "gives"),
        (NoisyLSTM, "draws", ""),
    ],
)
def test_a_wrong_declaration_is_named(cls: type[Cell], name: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._CELLS, "tested", cls)
    (result,) = PROPERTIES[name].findings(CellUnderTest("tested"))
    assert result.ok is not bool(words)
    assert re.search(words, result.where)


def test_an_exemption_is_no_verdict(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A straight-through gradient fails where it is not declared; declared, its reason is shown in its place."""

    class Surrogate(LSTM):
        torch_mode = None

        def step(self, u: Tensor, s: Tensor) -> Tensor:
            new = super().step(u, s)
            return new + (0.1 * torch.sign(new) - 0.1 * new).detach()

    monkeypatch.setitem(registry._CELLS, "tested", Surrogate)
    assert {finding.property for finding in check("tested") if finding.ok is False} == {"gradient", "tap"}
    monkeypatch.setattr(Surrogate, "exempt", dict.fromkeys(("gradient", "tap"), "surrogate gradient"))
    assert {finding.property for finding in check("tested") if finding.ok is None} >= {"gradient", "tap"}
    assert main(["check-cell", "tested"]) == 0
    assert "exempt from gradient: surrogate gradient" in capsys.readouterr().out
    assert main(["check-cell", "tested", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["exempt"] == dict(Surrogate.exempt)
    monkeypatch.setattr(Surrogate, "exempt", {"gradiant": "a typing error"})
    with pytest.raises(UserError, match='unknown property that tested is exempt from "gradiant". Did you mean'):
        check("tested")
