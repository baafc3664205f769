"""A third party's package, installed by pip: its cell is listed, checked and swept like ours."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import rnnbench

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "leaky-cells"
version = "0.1"

[project.entry-points."rnnbench.cells"]
leaky = "leaky_cells:Leaky"

[tool.setuptools]
py-modules = ["leaky_cells"]
"""

MODULE = '''
import torch
from torch import nn
from torch.nn import functional as F
from rnnbench.cells import Cell


class Leaky(Cell):
    """s' = a·s + (1 − a)·tanh(W x + U s + b)."""

    paper = "somebody 2026"

    def __init__(self, input_size: int, hidden_size: int, a: float = 0.5) -> None:
        super().__init__(input_size, hidden_size)
        self.a = a
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def drive(self, x):
        return F.linear(x, self.weight_ih, self.bias)

    def step(self, u, s):
        return self.a * s + (1 - self.a) * torch.tanh(torch.addmm(u, s, self.weight_hh.t()))
'''

ROOT = Path(rnnbench.__file__).parents[1]

STUDY = """
from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run, Study

STUDY = Study("plugged", "Is theirs any good?", {{
    "quick": lambda: [
        Run(cell=CellConfig(cell), model=ModelConfig(hidden_size=4),
            data=DataConfig(path={path!r}, seq_len=8, batch_size=4),
            budget=BudgetConfig(steps=3, evals=1), probes=ProbeConfig(gradient_flow=False))
        for cell in ("lstm", "leaky")
    ]
}})
"""


@pytest.mark.slow
def test_a_plugin_is_a_cell_like_any_other(text_file: Path, tmp_path: Path) -> None:
    """In a process that has the plugin on its path: it is in no environment that outlives the test."""
    source, target = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "leaky_cells.py").write_text(MODULE)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    pip += ["--no-build-isolation", "--no-deps", "--target", str(target), str(source)]
    subprocess.run(pip, check=True, timeout=120)
    study = tmp_path / "plugged.py"
    study.write_text(STUDY.format(path=str(text_file)))
    commands = [
        ["cells", "--json"],
        ["check-cell", "leaky", "--json"],
        ["sweep", str(study), "--out", str(tmp_path / "runs"), "--jobs", "1", "--json"],
    ]
    code = f"from rnnbench.cli.main import main\nif __name__ == '__main__': assert not any(map(main, {commands}))"
    program = tmp_path / "program.py"
    program.write_text(code)
    variables = {"PYTHONPATH": f"{target}:{ROOT}", "RNNBENCH_DATA": str(tmp_path / "cache"), "RNNBENCH_CELLS": ""}
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=240, cwd=tmp_path,
        env={**os.environ, **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    cells, check, outcome = map(json.loads, done.stdout.splitlines())

    row = next(row for row in cells if row["cell"] == "leaky")
    assert row["room"] == "plugin"
    assert row["options"] == {"a": 0.5}
    assert row["paper"] == "somebody 2026"
    assert row["backends"]["loop"] is None
    assert check["ok"] is True
    assert check["class"] == "leaky_cells.Leaky"
    assert check["parameters"] == "H² + IH + H"
    assert outcome["trouble"] == []
    table = next(Path(name) for name in outcome["files"] if name.endswith("table.csv"))
    with table.open(encoding="utf-8") as lines:
        assert {line["cell"] for line in csv.DictReader(lines)} >= {"lstm", "leaky"}
