"""Weights that are not trained are counted, matched and recorded apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.training import text_run

from rnnbench.cells import RNN, make_cell, registry
from rnnbench.cells.weights import count_weights
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.conformance import formulas
from rnnbench.data.task import Task
from rnnbench.models.build import build, matched_parameters
from rnnbench.report.results import read
from rnnbench.report.tables.training import tables
from rnnbench.training import train

TEXT = Task("many_to_many", "tokens", "symbols", 20, 20, stateful=True, causal=True)


class Reservoir(RNN):
    """An RNN whose recurrent matrix stays as it was drawn, with a weight that is a buffer and a mask that is none."""

    torch_mode = None
    exempt = {"gates": "they are measured by hand"}  # noqa: RUF012

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_hh.requires_grad_(False)
        self.register_buffer("offset", torch.zeros(hidden_size))
        self.register_buffer("mask", torch.ones(hidden_size), persistent=False)
        self.register_buffer("steps", torch.zeros(hidden_size, dtype=torch.long))


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._CELLS, "reservoir", Reservoir)


def test_frozen_weights_are_counted_apart() -> None:
    assert count_weights(make_cell("reservoir", 3, 4)) == (4 * 3 + 2 * 4, 4 * 4 + 4)
    assert formulas("reservoir") == ("IH + 2H + frozen H² + H", "H")


@pytest.mark.parametrize("match", ["trainable", "all"])
def test_matching_counts_what_is_asked_for(match: str) -> None:
    config = ModelConfig(parameters=20_000, match=match)  # type: ignore[arg-type]
    model = build(TEXT, CellConfig("reservoir"), config)
    assert matched_parameters(model, config.match) == pytest.approx(20_000, rel=0.02)
    assert (matched_parameters(model) == pytest.approx(20_000, rel=0.02)) is (match == "trainable")


def test_a_run_and_its_table_say_so(text_file: Path, tmp_path: Path) -> None:
    """And which check the cell is exempt from; the frozen matrix is as it was drawn."""
    for name in ("reservoir", "rnn"):
        result = train(text_run(text_file, name, steps=2, evals=1, hidden_size=4), tmp_path, wandb="disabled")
        assert result["metrics"].get("model/frozen_parameters") == (20 if name == "reservoir" else None)
    (table,) = tables(read([tmp_path]))
    said = [note for _, note in table.notes]
    assert "Weights that are not trained, beside those that are: reservoir 20." in said
    assert "reservoir is exempt from the gates check: they are measured by hand." in said
