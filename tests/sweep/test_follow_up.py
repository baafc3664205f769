"""A sweep whose later runs depend on what the earlier ones found: it goes on until nothing is left, and resumes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

#: Widths doubled from 2 on as long as the results ask for it, at most to ``last``; of 8 the data are missing.
STUDY = """
from rnnbench import BudgetConfig, DataConfig, ModelConfig, ProbeConfig, Run, Study

def run(width):
    data = DataConfig("adding", seq_len=4, batch_size=4) if width < 8 else DataConfig(path="missing.csv")
    return Run(model=ModelConfig(hidden_size=width), data=data, budget=BudgetConfig(steps=2, evals=1),
               probes=ProbeConfig(gradient_flow=False))

def further(preset, results):
    width = 2
    while width < LAST and run(width).id in results:
        assert results[run(width).id]["metrics"]["model/hidden_size"] == width
        width *= 2
        yield run(width)

LAST = {last}
STUDY = Study("widths", "How wide?", {{"quick": lambda: [run(2)]}}, further)
"""


def swept(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rnnbench", "sweep", str(path), "--out", str(path.parent / "runs")]
    return subprocess.run([*command, "--wandb", "disabled", *words], capture_output=True, text=True, timeout=120)


def test_rounds_follow_from_the_ledger(tmp_path: Path) -> None:
    path = tmp_path / "widths.py"
    path.write_text(STUDY.format(last=4))
    listed = swept(path, "--dry_run").stdout.splitlines()
    assert [line.split(maxsplit=1)[1] for line in listed] == ["to do"], "the first round, before there are results"
    done = swept(path, "--json")
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert len(outcome["finished"]) == 2, "one round has led to another"
    assert outcome["skipped"] == []
    listed = swept(path, "--dry_run").stdout.splitlines()
    assert [line.split(maxsplit=1) for line in listed] == [[id, "finished"] for id in outcome["finished"]]

    # As if it had been killed in its second round.
    (tmp_path / "runs" / "widths" / outcome["finished"][1] / "result.json").unlink()
    again = json.loads(swept(path, "--json").stdout)
    assert again["skipped"] == outcome["finished"][:1]
    assert again["finished"] == outcome["finished"][1:]

    # A run that cannot be done ends the search, instead of being asked for for ever.
    path.write_text(STUDY.format(last=8))
    refused = swept(path, "--json")
    assert refused.returncode == 1
    outcome = json.loads(refused.stdout)
    assert len(outcome["skipped"]) == 2
    assert len(outcome["trouble"]) == 1
    assert "'missing.csv' does not exist" in outcome["trouble"][0][1]
