"""What a sweep adds to its runs: 20 runs of two seconds on two workers, and a finished sweep of 1000 runs looked at.

    python benchmarks/sweeping.py

Overhead is the command's wall time less what its runs took, shared out among the workers: the start of the server that
has the imports done, the data, processes, results, and the report at the end. Medians of ROUNDS.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run
from rnnbench.runs import RunDirectory, Start
from rnnbench.sweep.study import find_study

ROUNDS, WORKERS, RUNS, SECONDS, FINISHED = 3, 2, 20, 2.0, 1000
STUDY = """
from rnnbench import Run, Study
from {module} import runs
STUDY = Study("{name}", "What does a sweep add?", {{"quick": lambda: runs({count}, {steps})}})
"""
TEXT = "the cell keeps a state and reads one symbol at a time. " * 400


def runs(count: int, steps: int) -> list[Run]:
    """Plain RNNs on a small text, told apart by their seeds."""
    path = str(Path(os.environ["SWEEPING_TEXT"]))
    base = Run(
        cell=CellConfig("rnn"),
        model=ModelConfig(hidden_size=32),
        data=DataConfig(path=path, seq_len=32, batch_size=16),
        budget=BudgetConfig(steps=steps, evals=2),
        probes=ProbeConfig(seq_len=32, batch_size=4),
    )
    return [dataclasses.replace(base, seed=seed) for seed in range(count)]


def swept(folder: Path, name: str, count: int, steps: int, root: Path) -> tuple[float, list[float]]:
    """Seconds of the whole command, and of each run."""
    study = folder / f"{name}.py"
    study.write_text(STUDY.format(module=Path(__file__).stem, name=name, count=count, steps=steps))
    command = [sys.executable, "-m", "rnnbench", "sweep", str(study), "--out", str(root), "--jobs", str(WORKERS)]
    begin = time.perf_counter()
    done = subprocess.run([*command, "--wandb", "disabled"], capture_output=True, text=True)
    wall = time.perf_counter() - begin
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    results = [RunDirectory(root, name, job.id).result() for job in find_study(str(study)).jobs("quick")]
    return wall, [float(result["seconds"]) for result in results if result is not None]


def pretend(root: Path, name: str, count: int, steps: int, like: dict[str, object]) -> None:
    """Results of a sweep that nobody ran, as large as a real one's."""
    for run in runs(count, steps):
        directory = RunDirectory(root, name, run.id)
        directory.folder.mkdir(parents=True)
        directory.finish(run, "done", Start(), like["metrics"], like["environment"])  # type: ignore[arg-type]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["SWEEPING_TEXT"] = str(folder / "small.txt")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        sys.path.insert(0, str(Path(__file__).parent))
        (folder / "small.txt").write_text(TEXT)
        _, (one, two) = swept(folder, "first", 2, 400, folder / "runs")
        steps = max(1, int(400 * SECONDS / max(one, two)))
        figures = []
        for turn in range(ROUNDS):
            wall, seconds = swept(folder, f"turn{turn}", RUNS, steps, folder / "runs")
            figures.append((wall, statistics.median(seconds), wall - sum(seconds) / WORKERS))
        wall, each, overhead = (statistics.median(column) for column in zip(*figures, strict=True))
        print(f"{RUNS} runs of {each:.1f} s on {WORKERS} workers: {wall:.1f} s, {overhead:.1f} s of them overhead")
        like = json.loads(next((folder / "runs" / "turn0").glob("*/result.json")).read_text())
        pretend(folder / "many", "many", FINISHED, steps, like)
        first, _ = swept(folder, "many", FINISHED, steps, folder / "many")
        again = statistics.median(swept(folder, "many", FINISHED, steps, folder / "many")[0] for _ in range(ROUNDS))
        print(f"a finished sweep of {FINISHED} runs: {again:.2f} s to see that nothing is to be done", end="")
        print(f" ({first:.1f} s where its report is not made yet)")


if __name__ == "__main__":
    main()
