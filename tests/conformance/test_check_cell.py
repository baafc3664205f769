"""`rnnbench check-cell`: every check, a line for each that fails, or one that says why there is nothing to check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rnnbench.cells import registry
from rnnbench.cli.main import main
from rnnbench.conformance import PROPERTIES

#: As a user would write them: one that is right, one that looks ahead, and one that cannot be built.
CELLS = '''
import torch
from torch import nn
from rnnbench.cells import Cell, register_cell

@register_cell("file_right")
class Right(Cell):
    """s' = a·s + W x."""

    paper = "nobody 2026"

    def __init__(self, input_size: int, hidden_size: int, a: float = 0.5) -> None:
        super().__init__(input_size, hidden_size)
        self.a = a
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        self.reset_parameters()

    def drive(self, x):
        return x @ self.weight_ih.t()

    def step(self, u, s):
        return self.a * s + u

@register_cell("file_ahead")
class Ahead(Right):
    def drive(self, x):
        return super().drive(x.flip(1))

@register_cell("file_square")
class Square(Right):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        if input_size != hidden_size:
            raise ValueError("I = H is wanted")

@register_cell("file_raises")
class Raises(Right):
    def __init__(self, input_size: int, hidden_size: int) -> None:
        raise ArithmeticError("no such thing\\nas this")
'''


@pytest.fixture(autouse=True)
def cells_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RNNBENCH_CELLS names the file above; what loading it changes is put back."""
    path = tmp_path / "mine.py"
    path.write_text(CELLS)
    registry.cell_names()
    monkeypatch.setenv("RNNBENCH_CELLS", str(path))
    monkeypatch.setattr(registry, "_CELLS", dict(registry._CELLS))
    registry._load_cells.cache_clear()


def test_every_check_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-cell", "file_right"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith("file_right passes every check\n")
    assert "nobody 2026" in said.out
    assert all(f"\n{name} " in said.out for name in PROPERTIES if name != "parameters")
    assert "weights IH; numbers in the state H" in said.out
    assert "not on torch: torch.nn has no kernel for this cell" in said.out
    assert "torch 2" in said.out


def said_json(capsys: pytest.CaptureFixture[str], argv: list[str], status: int = 0) -> Any:
    assert main(argv) == status
    return json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    right = said_json(capsys, ["check-cell", "file_right", "--json"])
    assert right["ok"] is True
    assert right["parameters"] == "IH"
    assert right["versions"]["torch"]
    assert {row["law"] for row in right["findings"]} == {"backend", *PROPERTIES}
    ahead = said_json(capsys, ["check-cell", "file_ahead", "--json"], 1)
    assert ahead["ok"] is False
    assert {row["law"] for row in ahead["findings"] if row["ok"] is False} == {"chunk", "causality"}


def test_a_failed_check_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-cell", "file_ahead"]) == 1
    said = capsys.readouterr()
    assert said.err == ""
    chunk, causality = said.out.splitlines()
    assert chunk.startswith("file_ahead: the chunk check fails (loop in float32, loop in float64): y, first at t = 0")
    assert chunk.endswith(" times what is allowed.")
    assert causality == ("file_ahead: the causality check fails (loop in float64): y at t = 0 depends on x at t = 12.")


def test_options_and_backends(capsys: pytest.CaptureFixture[str]) -> None:
    found = said_json(capsys, ["check-cell", "file_right", "--cell.a", "0.25", "--backend", "loop", "--json"])
    assert found["cell"] == "file_right(a=0.25)"
    assert {row["backend"] for row in found["findings"]} == {"loop"}
    found = said_json(capsys, ["check-cell", "rnn", "--cell.nonlinearity", "relu", "--json"])
    assert found["cell"] == "rnn(nonlinearity=relu)"


def test_a_cell_that_wants_equal_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-cell", "file_square"]) == 2
    assert "input_size=5" in capsys.readouterr().err
    assert said_json(capsys, ["check-cell", "file_square", "--input_size", "8", "--json"])["ok"] is True


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("file_raises", "the cell file_raises cannot be built (input_size=5, hidden_size=8): ArithmeticError: no such"),
        ("file_rihgt", 'unknown cell "file_rihgt". Did you mean "file_right"?'),
        ("file_right --cell.b 1", 'unknown option of the cell file_right "b"'),
        ("file_right --cell.a much", "cell.a must be float, got 'much'"),
        ("file_right --cell.a", "argument --cell.a: expected one argument"),
        ("file_right --cell.a [1]", "cell.a must be float, got [1]"),
        ("file_right --cell lstm", "takes the cell's name by itself"),
        ("file_right --backend lop", 'unknown backend "lop". Did you mean "loop"?'),
        ("file_right --backend torch", "the backend torch cannot run Right here: torch.nn has no kernel for this cell"),
        ("file_right --input_size 0", "--input_size must be positive, got 0"),
        ("file_right --device tpu", "invalid choice: 'tpu'"),
        ("", "required: NAME"),
    ],
)
def test_nothing_to_check(words: str, wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-cell", *words.split()]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("rnnbench: error: ")
    assert said.err.count("\n") == 1
    assert wanted in said.err


PLUGIN = """
import torch
from torch import nn
from rnnbench.cells import Cell, register_cell

@register_cell("file_callable")
class Callable(Cell):
    def __init__(self, input_size: int, hidden_size: int, act=torch.tanh) -> None:
        super().__init__(input_size, hidden_size)
        self.act, self.weight = act, nn.Linear(input_size, hidden_size)
    def drive(self, x):
        return self.weight(x)
    def step(self, u, s):
        return self.act(u + s)
    def initial_state(self, batch):
        raise LookupError("no state")
"""


def test_a_plugin_s_mistake_leaves_the_other_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A default that JSON has no word for, a state that cannot be made; and a file without any cell is named."""
    (tmp_path / "plugin.py").write_text(PLUGIN)
    monkeypatch.setenv("RNNBENCH_CELLS", str(tmp_path / "plugin.py"))
    registry._load_cells.cache_clear()
    rows = {row["cell"]: row for row in said_json(capsys, ["cells", "--json"])}
    assert rows["file_callable"]["options"] == {"act": "tanh"}
    assert set(rows["file_callable"]["backends"].values()) == {"it raised LookupError: no state"}
    assert rows["gru"]["backends"]["loop"] is None
    (tmp_path / "plugin.py").write_text("x = 1\n")
    registry._load_cells.cache_clear()
    assert main(["cells"]) == 2
    assert 'plugin.py registers no cell; write @register_cell("NAME")' in capsys.readouterr().err
