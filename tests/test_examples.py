"""Each example is a cell like any other: it passes every check, and trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.training import text_run, train_until

import rnnbench
from rnnbench.cells import registry
from rnnbench.cells.cell import Cell
from rnnbench.conformance import check
from rnnbench.runs import WEIGHTS, RunDirectory
from rnnbench.system.python_files import load_file
from rnnbench.training import train
from rnnbench.training.checkpoints import load_tensors

FILES = {path.stem: path for path in sorted((Path(rnnbench.__file__).parents[1] / "examples").glob("*.py"))}


@pytest.fixture
def text_file(tmp_path: Path, small_text: str) -> Path:
    """A text that is evaluated in no time."""
    path = tmp_path / "smaller.txt"
    path.write_text(small_text[:3000])
    return path


@pytest.fixture
def cell(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[Cell]:
    """The example of a file, registered under the file's name while the test lasts."""
    registry.cell_names()
    monkeypatch.setattr(registry, "_CELLS", dict(registry._CELLS))
    load_file(FILES[request.param])
    return registry._CELLS[request.param]


@pytest.mark.parametrize("cell", FILES, indirect=True)
def test_an_example_passes_every_check_and_trains(
    cell: type[Cell], request: pytest.FixtureRequest, text_file: Path, tmp_path: Path
) -> None:
    name = request.node.callspec.params["cell"]
    assert cell.paper
    assert len(FILES[name].read_text().splitlines()) <= 50
    assert not [finding for finding in check(name) if finding.ok is False]
    result = train(text_run(text_file, name, steps=20), tmp_path, wandb="disabled")
    assert result["status"] == "done"


@pytest.mark.parametrize("cell", ["zoneout"], indirect=True)
def test_a_stochastic_cell_resumes_to_the_same_weights(
    cell: type[Cell], text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it would have drawn it draws after the cut."""
    run = text_run(text_file, "zoneout", steps=12)
    train_until(7, run, tmp_path / "cut", monkeypatch)
    weights = []
    for root in ("calm", "cut"):
        train(run, tmp_path / root, wandb="disabled")
        weights.append(load_tensors(RunDirectory(tmp_path / root, "single", run.id).path(WEIGHTS))["model"])
    calm, cut = weights
    assert calm.keys() == cut.keys()
    assert all(torch.equal(value, cut[name]) for name, value in calm.items())
