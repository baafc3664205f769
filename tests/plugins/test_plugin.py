"""A package of somebody else's, installed by pip: its cell is listed, checked and swept like ours."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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


@pytest.fixture(scope="module")
def rnnbench(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line in a process that has the plugin on its path: in no environment that outlives the test."""
    place = tmp_path_factory.mktemp("plugin")
    source, target = place / "source", place / "site"
    source.mkdir()
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "leaky_cells.py").write_text(MODULE)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    pip += ["--no-build-isolation", "--no-deps", "--target", str(target), str(source)]
    done = subprocess.run(pip, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    own = {"PYTHONPATH": str(target), "RNNBENCH_DATA": str(place / "cache"), "RNNBENCH_CELLS": ""}

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "rnnbench", *words], capture_output=True, text=True, timeout=120, cwd=place,
            env={**os.environ, **own},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done

    return command


def test_a_plugin_is_a_cell_like_any_other(
    rnnbench: Callable[..., subprocess.CompletedProcess[str]], text_file: Path, tmp_path: Path
) -> None:
    rows = {row["cell"]: row for row in json.loads(rnnbench("cells", "--json").stdout)}
    assert rows["leaky"]["room"] == "plugin"
    assert rows["leaky"]["options"] == {"a": 0.5}
    assert rows["leaky"]["paper"] == "somebody 2026"
    assert rows["leaky"]["backends"]["loop"] is None
    certificate = json.loads(rnnbench("check-cell", "leaky", "--json").stdout)
    assert certificate["ok"] is True
    assert certificate["class"] == "leaky_cells.Leaky"
    assert certificate["parameters"] == "H² + IH + H"
    study = tmp_path / "plugged.py"
    study.write_text(STUDY.format(path=str(text_file)))
    outcome = json.loads(rnnbench("sweep", str(study), "--out", str(tmp_path / "runs"), "--jobs", "1", "--json").stdout)
    assert outcome["trouble"] == []
    table = next(Path(name) for name in outcome["files"] if name.endswith("table.csv"))
    with table.open(encoding="utf-8") as lines:
        assert {row["cell"] for row in csv.DictReader(lines)} >= {"lstm", "leaky"}
