"""How long does a report over 1000 runs take, and how much memory?

The results are 1000 real runs: those of experiments/results/full/seqlen_gradients (13 cells, five lengths, five seeds),
copied under further seeds until there are enough. Each format is written by a process of its own, as from the command
line, and last all that is written by default, and all there is.

    python benchmarks/reporting.py --runs 1000
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rnnbench.config import Run
from rnnbench.runs.packs import unpack

ORIGINALS = Path(__file__).resolve().parents[1] / "experiments" / "results" / "full" / "seqlen_gradients"
FORMATS = ("md", "csv", "tex", "svg", "png", "pdf", "html", "usual", "all")


def copied(study: Path, count: int) -> None:
    """A study of so many runs: those of the committed study, round after round under the next seeds."""
    unpack(ORIGINALS, study.parent / "originals")
    originals = sorted(path.parent for path in (study.parent / "originals").glob("*/result.json"))
    for index in range(count):
        source, turn = originals[index % len(originals)], index // len(originals)
        result = json.loads((source / "result.json").read_text(encoding="utf-8"))
        result["run"]["seed"] += 100 * turn
        result["id"] = Run.from_dict(result["run"]).id
        target = study / result["id"]
        shutil.copytree(source, target)
        (target / "result.json").write_text(json.dumps(result), encoding="utf-8")


def measured(study: Path, name: str, out: Path) -> tuple[float, float, float]:
    """Seconds, the peak of the memory in MiB, and what was written in MiB."""
    command = [sys.executable, "-m", "rnnbench", "report", str(study), "--out", str(out)]
    command += [] if name == "usual" else ["--format", name]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    written = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return time.perf_counter() - begin, usage.ru_maxrss / 1024, written / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study"
        copied(study, args.runs)
        print(f"a report over {args.runs} runs\n{'format':<8}{'s':>7}{'MiB':>8}{'written, MiB':>15}")
        for name in FORMATS:
            seconds, memory, written = measured(study, name, Path(folder) / name)
            print(f"{name:<8}{seconds:>7.1f}{memory:>8.0f}{written:>15.1f}", flush=True)


if __name__ == "__main__":
    main()
