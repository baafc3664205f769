"""A study whose answers are known, from the command to the tables: what is the same must come out so.

Characters drawn independently can be predicted no better with a gradient that goes back further, two cells of the same
code are equivalent, and a cell against itself at another width is not ranked.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rnnbench.report.results import read
from rnnbench.report.tables.table import Table
from rnnbench.report.tables.training import tables
from rnnbench.runs import read_rates, read_speeds, read_study

STUDY = """
from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, Panel, ProbeConfig
from rnnbench import Run, Study, Tune
from rnnbench.cells import register_cell
from rnnbench.cells.nonlinear.gru import GRU

@register_cell("twin")
class Twin(GRU):
    '''A GRU under another name.'''

def run(cell, seed, truncate=None, **model):
    return Run(cell=CellConfig(cell), model=ModelConfig(embedding_size=4, **model), seed=seed,
               data=DataConfig(path={path!r}, seq_len=32, batch_size=16), optim=OptimConfig(truncate=truncate),
               budget=BudgetConfig(steps=60, evals=1), probes=ProbeConfig(gradient_flow=False))

def panels():
    same = [run(cell, seed, truncate, parameters=2000) for cell in ("gru", "twin") for truncate in (4, None)
            for seed in range(5)]
    yield Panel("truncation", "Only K varies.", same, "optim.truncate")
    widths = [run("gru", seed, hidden_size=width) for width in (8, 16) for seed in range(2)]
    yield Panel("width", "Widths.", widths)

STUDY = Study("known", "Does it come out?", {{"quick": panels}}, tune=Tune((4e-3, 8e-3)))
"""


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The study's folder, and what the sweep printed."""
    folder = tmp_path_factory.mktemp("known")
    text = "".join(random.Random(0).choices("abcdef", weights=(8, 4, 2, 2, 1, 1), k=60_000))
    (folder / "drawn.txt").write_text(text)
    (folder / "known.py").write_text(STUDY.format(path=str(folder / "drawn.txt")))
    command = [sys.executable, "-m", "rnnbench", "sweep", str(folder / "known.py"), "--out", str(folder / "runs")]
    done = subprocess.run([*command, "--wandb", "disabled"], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "runs" / "known", done.stdout


@pytest.fixture(scope="module")
def made(known: tuple[Path, str]) -> dict[str, Table]:
    return {table.name: table for table in tables(read([known[0]]))}


def test_every_setting_has_a_rate_of_its_own_that_is_inside_the_grid(known: tuple[Path, str]) -> None:
    rates = read_rates(known[0])
    assert len(rates) == 6
    assert not any(choice["at_edge"] for choice in rates.values())
    assert len({tuple(one["lr"] for one in choice["rates"]) for choice in rates.values()}) == 1, "the same grid for all"
    assert "further ones are tried, for every setting" in " ".join(known[1].split())


def test_a_longer_gradient_changes_nothing_where_there_is_nothing_to_remember(made: dict[str, Table]) -> None:
    rows = [row.raw for row in made["text-effects-truncation"].rows]
    assert [(row["place"], {row["better"], row["other"]}) for row in rows] == [
        ("gru", {"K = 4", "K = 32"}), ("twin", {"K = 4", "K = 32"})
    ]  # fmt: skip
    assert {row["verdict"] for row in rows} <= {"equivalent", "better, within the margin"}
    assert all(row["paired"] for row in rows), "truncations share batches and initial weights"


def test_two_cells_of_the_same_code_are_equivalent(made: dict[str, Table]) -> None:
    rows = [row.raw for row in made["text-comparisons-truncation"].rows]
    assert {row["place"] for row in rows} == {"K = 4", "K = 32", "all"}
    for row in rows:
        assert {row["better"], row["other"]} == {"gru", "twin"}
        assert row["verdict"] == "equivalent"
        assert not row["paired"], "between cells the samples are independent"
        assert row["p"] > 0.5


def test_a_cell_against_itself_at_another_width_is_not_ranked(made: dict[str, Table]) -> None:
    assert "text-comparisons-width" not in made
    table = made["text-width"]
    assert not any(row.bold for row in table.rows)
    assert any("weights: no ranking" in note for _, note in table.notes)


def test_the_study_says_what_it_is_and_speeds_are_measured_apart(
    known: tuple[Path, str], made: dict[str, Table]
) -> None:
    study = read_study(known[0])
    assert study.question == "Does it come out?"
    assert not study.search
    assert [(panel.name, panel.axis, len(panel.runs)) for panel in study.panels] == [
        ("truncation", "optim.truncate", 20), ("width", "data.seq_len", 4)
    ]  # fmt: skip
    speeds = read_speeds(known[0])
    assert len(speeds) == 6
    row: dict[str, Any] = dict(made["text-truncation"].rows[0].raw)
    assert row["throughput/tokens_per_second"] in {speed["tokens_per_second"] for speed in speeds.values()}
    assert all(speed["environment"]["workers"] == 1 for speed in speeds.values())
