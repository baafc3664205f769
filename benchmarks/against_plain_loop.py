"""Is `rnnbench train` as good and as fast as the loop that everyone writes?

Both train the default model on the King James text (hidden 128, 1.5 M characters, batch 32, length 64, Adam 2e-3,
clip 1) as processes of one thread, in turn. Printed: the bpc of each on the test part, the time of the training loop
(medians and their ratio) and of the whole process, which for rnnbench has the imports, probes, evaluations and
the W&B record in it.

    python benchmarks/against_plain_loop.py --repeats 3 --json against_plain_loop.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from rnnbench.system import machine

HERE = Path(__file__).resolve().parent


def timed(command: list[str]) -> dict[str, Any]:
    """What a command printed as JSON, with the seconds that the whole process took."""
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed | {"process_seconds": time.perf_counter() - begin}


def plain(cell: str, seed: int, tokens: int) -> dict[str, float]:
    return timed([sys.executable, str(HERE / "plain_loop.py"), cell, "--seed", str(seed), "--tokens", str(tokens)])


def ours(cell: str, seed: int, tokens: int, folder: str) -> dict[str, float]:
    command = [sys.executable, "-m", "rnnbench", "train", "--cell", cell, "--seed", str(seed), "--json"]
    run = timed([*command, "--budget.tokens", str(tokens), "--out", folder])
    metrics = run["metrics"]
    return {
        "bpc": metrics["test/bpc"],
        "train_seconds": metrics["throughput/train_seconds"],
        "step_ms": metrics["throughput/step_ms"],
        "process_seconds": run["process_seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=["rnn", "lstm", "gru"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=1_500_000)
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    args = parser.parse_args()
    figures: dict[str, Any] = {"command": f"python benchmarks/against_plain_loop.py --repeats {args.repeats}"}
    figures |= {"environment": machine.environment("cpu"), "cells": {}}
    print(f"{'cell':<6}{'bpc plain':>11}{'rnnbench':>10}{'Δ':>8}{'loop s':>9}{'rnnbench':>10}{'ratio':>7}", end="")
    print(f"{'process s':>11}{'rnnbench':>10}")
    for cell in args.cells:
        pairs = []
        for seed in range(args.repeats):
            with tempfile.TemporaryDirectory() as folder:
                pairs.append((plain(cell, seed, args.tokens), ours(cell, seed, args.tokens, folder)))
        a, b = ({key: median(pair[i][key] for pair in pairs) for key in pairs[0][0] if key != "cell"} for i in (0, 1))
        ratio = median(pair[1]["train_seconds"] / pair[0]["train_seconds"] for pair in pairs)
        print(f"{cell:<6}{a['bpc']:>11.3f}{b['bpc']:>10.3f}{b['bpc'] - a['bpc']:>+8.3f}", end="")
        print(f"{a['train_seconds']:>9.1f}{b['train_seconds']:>10.1f}{ratio:>7.2f}", end="")
        print(f"{a['process_seconds']:>11.1f}{b['process_seconds']:>10.1f}", flush=True)
        figures["cells"][cell] = {"plain": a, "rnnbench": b, "ratio": ratio}
    if args.json is not None:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
