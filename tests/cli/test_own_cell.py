"""The first hour with a cell of one's own: write it, check it, train it, sweep it beside others, compare it."""

from __future__ import annotations

from pathlib import Path

import pytest
import support.modules
from support.refusals import printed_json, refused_line

from rnnbench.cli.main import main
from rnnbench.config import BudgetConfig, CellConfig, Run
from rnnbench.config.timing import Timing
from rnnbench.sweep.study import Panel, Study, with_cells
from rnnbench.system.python_files import VARIABLE, load_file
from rnnbench.testing import check_cell

STUDY = """
from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run, Study

STUDY = Study("mine", "Is mine any good?", {{"quick": lambda: [
    Run(cell=CellConfig(cell), model=ModelConfig(hidden_size=4),
        data=DataConfig(path={text!r}, seq_len=8, batch_size=4),
        budget=BudgetConfig(steps=2, evals=1), probes=ProbeConfig(seq_len=8, batch_size=2))
    for cell in ("rnn", "irnn")
]}})
"""


def test_new_cell_writes_a_cell_and_its_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new-cell", "my_cell", "--out", "cells"]) == 0
    said = capsys.readouterr().out
    assert "rnnbench check-cell cells/my_cell.py:MyCell\n" in said
    assert "rnnbench train --cell cells/my_cell.py:MyCell\n" in said
    text = Path("cells/my_cell.py").read_text(encoding="utf-8")
    assert text.count("\n") <= 25
    assert "is overwritten" in refused_line(capsys, "new-cell", "my_cell", "--out", "cells")
    assert Path("cells/my_cell.py").read_text(encoding="utf-8") == text
    assert "make a Python name" in refused_line(capsys, "new-cell", "my/cell")
    row = printed_json(capsys, "cells", "--cell", "cells/my_cell.py:MyCell")[0]
    assert (row["options"], row["weights"]) == ({"a": 0.5}, "H² + IH + H")
    load_file(Path("cells/test_my_cell.py")).test_my_cell_is_a_cell(a=0.9)


def test_check_cell_takes_classes_and_names() -> None:
    check_cell(support.modules.OwnCell)

    class Late(support.modules.OwnCell):
        @property
        def state_shape(self) -> tuple[int, ...]:
            return (self.hidden_size + 1,)

    with pytest.raises(AssertionError, match="Late: the contract check fails"):
        check_cell(Late)


def test_a_sweep_with_cells_of_ones_own(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a relative path, in two workers; those of a file that shares a class's name keep theirs apart in the table."""
    (tmp_path / "study.py").write_text(STUDY.format(text=str(text_file)))
    text = Path(support.modules.__file__).read_text(encoding="utf-8")
    for name in ("mine.py", "older.py"):
        (tmp_path / name).write_text(text)
    cells = "rnn,mine.py:Step,mine.py:Convolution(),older.py:Step(a=0.1)"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "")
    outcome = printed_json(capsys, "sweep", "study.py", "--cells", cells, "--jobs", "2", "--wandb", "disabled")
    assert sorted(id.split("-")[0] for id in outcome["finished"]) == ["Convolution", "Step", "Step", "rnn"]
    table = next(Path(name) for name in outcome["files"] if name.endswith("table.md"))
    shown = table.read_text(encoding="utf-8")
    assert "| Convolution |" in shown
    assert "| mine.py:Step |" in shown
    assert "| older.py:Step(a=0.1) |" in shown


def test_a_study_with_other_cells() -> None:
    """Each setting once for each cell, timings with all of them, panels as they were."""
    runs = [
        Run(CellConfig(cell), budget=BudgetConfig(steps=1), seed=seed) for seed in (0, 1) for cell in ("rnn", "gru")
    ]
    study = Study("s", "?", {"quick": lambda: [Panel("a", "A.", runs), Panel("b", "B.", [Timing()], "seq_len")]})
    cells = (CellConfig("lstm"), CellConfig("x.py:X"))
    first, second = with_cells(study, cells).panels("quick")
    assert [(job.cell, job.seed) for job in first.jobs if isinstance(job, Run)] == [
        (c, s) for s in (0, 1) for c in cells
    ]
    assert (first.name, first.title, second.axis) == ("a", "A.", "seq_len")
    assert [job.cells for job in second.jobs if isinstance(job, Timing)] == [cells]
