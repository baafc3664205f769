"""Do our clocks agree with torch.utils.benchmark?

`nn.LSTM` at B 32, H 128, timed by both in turn: inference, and a whole training step with fused Adam, which the other
side writes out by itself. Printed: median milliseconds of each and their ratio, which should be 1.

    python benchmarks/independent.py --seq_len 64 256
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import nn
from torch.utils.benchmark import Timer

from rnnbench.config import CellConfig
from rnnbench.config.timing import Timing
from rnnbench.intervals import speed_up
from rnnbench.system import machine
from rnnbench.throughput.clock import WallClock
from rnnbench.throughput.contestant import PARTS, Contestant, implementations

STEP = "y, _ = lstm(x); g = grad(y, [x, *weights], cotangent)\nfor w, d in zip(weights, g[1:]): w.grad = d\nadam.step()"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seq_len", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--rounds", type=int, default=60, help="turns of each (60)")
    args = parser.parse_args()
    machine.prepare()
    print(f"{'T':>5} {'':<10}{'ours ms':>10}{'theirs ms':>11}{'ratio':>8}  95 % interval")
    for seq_len in args.seq_len:
        job = Timing(cells=(CellConfig("lstm"),), seq_len=seq_len)
        one = Contestant.build(job, job.cells[0], implementations()["nn"], torch.device("cpu"))
        lstm = nn.LSTM(job.hidden_size, job.hidden_size, batch_first=True)
        weights = list(lstm.parameters())
        names = {
            "lstm": lstm, "x": one.x.detach().clone().requires_grad_(), "cotangent": one.cotangent, "weights": weights,
            "adam": torch.optim.Adam(weights, lr=0.0, fused=True), "grad": torch.autograd.grad,
            "inference": torch.inference_mode,
        }  # fmt: skip
        theirs = {
            "forward": Timer("with inference(): lstm(x)", globals=names, num_threads=1),
            "step": Timer(STEP, globals=names, num_threads=1),
        }
        taken: dict[str, list[tuple[float, float]]] = {part: [] for part in theirs}
        for round_ in range(args.rounds + 3):
            turn = [seconds.wall for seconds in one.turn("training", WallClock())]
            ours = dict(zip(PARTS["training"], turn, strict=True))
            for part, timer in theirs.items():
                other = timer.timeit(1).median
                if round_ >= 3:
                    taken[part].append((ours[part], other))
        for part, pairs in taken.items():
            mine, other = np.array(pairs).T
            ratio, low, high = speed_up(mine, other)
            print(f"{seq_len:>5} {part:<10}{1e3 * np.median(mine):>10.3f}{1e3 * np.median(other):>11.3f}", end="")
            print(f"{ratio:>8.3f}  {low:.3f} to {high:.3f}", flush=True)


if __name__ == "__main__":
    main()
