"""A sweep started in the folder that a clone lies in: its workers must not take that folder for the package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

STUDY = """
from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run, Study

STUDY = Study("one", "Does it run?", {"quick": lambda: [Run(
    cell=CellConfig("rnn"),
    model=ModelConfig(hidden_size=4),
    data=DataConfig(path="small.txt", seq_len=8, batch_size=2),
    budget=BudgetConfig(steps=1, evals=1, val_tokens=100),
    probes=ProbeConfig(gradient_flow=False),
)]})
"""


def test_a_folder_named_rnnbench_is_not_the_package(tmp_path: Path, text_file: Path) -> None:
    (tmp_path / "rnnbench").mkdir()
    (tmp_path / "one.py").write_text(STUDY, encoding="utf-8")
    command = [str(Path(sys.executable).with_name("rnnbench")), "sweep", "one.py", "--wandb", "disabled"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
    assert list((tmp_path / "runs" / "one").glob("*/result.json")), done.stdout + done.stderr
