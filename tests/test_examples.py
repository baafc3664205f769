"""Every cell of examples/ passes the conformance checks and is trained, on a series with gaps."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from rnnbench.cells import registry
from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run
from rnnbench.conformance import check
from rnnbench.system.python_files import load_file
from rnnbench.training import train

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("*.py"))


@pytest.fixture
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a file's cell, which is known while the test runs."""
    registry.cell_names()
    monkeypatch.setattr(registry, "_CELLS", dict(registry._CELLS))
    load_file(request.param)
    (cell,) = re.findall(r'@register_cell\("(\w+)"\)', request.param.read_text())
    return cell


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sine wave every 5 minutes of which a tenth was not measured."""
    clock = np.datetime64("2024-01-01T00:00") + np.arange(400) * np.timedelta64(5, "m")
    lines = [f"{time},{np.sin(at / 5):.4f}" for at, time in enumerate(clock) if at % 40 not in (7, 8, 9, 10)]
    path = tmp_path_factory.mktemp("examples") / "gaps.csv"
    path.write_text("\n".join(["time,v", *lines]))
    return path


@pytest.mark.parametrize("name", EXAMPLES, ids=lambda path: path.stem, indirect=True)
def test_an_example_passes_the_checks_and_is_trained(name: str, series: Path, tmp_path: Path) -> None:
    broken = [result for result in check(name) if result.ok is False]
    assert not broken
    run = Run(
        cell=CellConfig(name),
        model=ModelConfig(hidden_size=4, num_layers=2),
        data=DataConfig(path=str(series), seq_len=12, horizon=2, batch_size=4, max_gap=6),
        budget=BudgetConfig(steps=4, evals=1),
        probes=ProbeConfig(seq_len=12, batch_size=2, lyapunov=1),
    )
    result = train(run, tmp_path)
    assert result.status == "done"
    assert 0 < result.metrics["test/mse"] < 10
