"""Is the scan worth its code? h_t = a_t h_{t−1} + b_t, forward and backward, against autograd's loop.

The contestants take turns on the same tensors, one thread, float32; medians, their ratio with a paired-bootstrap 95 %
interval, and the worst relative error of a gradient against the float64 loop. ``native`` is the C kernel, ``portable``
what runs without a compiler. The last lines time whole cells, their matrix products included.

    python benchmarks/scan.py --rounds 9 --json scan.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnbench.backends import run
from rnnbench.backends.recurrence import native, recurrence
from rnnbench.cells import Cell, make_cell
from rnnbench.intervals import speed_up
from rnnbench.system import machine

SIZES = [(16, 256, 256), (16, 1024, 256), (16, 4096, 256), (16, 16384, 256), (1, 16384, 64)]
CELLS = ("mingru", "rglru", "s4d", "mamba", "mlstm", "gla", "deltanet")
Work = Callable[..., Tensor]


def loop(a: Tensor, b: Tensor, s: Tensor) -> Tensor:
    states = []
    for a_t, b_t in zip(a.unbind(1), b.unbind(1), strict=True):
        s = a_t * s + b_t
        states.append(s)
    return torch.stack(states, dim=1)


def on_backend(cell: Cell, backend: str, x: Tensor, *weights: Tensor) -> Tensor:
    """The weights are named only to be differentiated by."""
    return run(cell, x, backend=backend)[0]


def gradients(work: Work, inputs: Sequence[Tensor], cotangent: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(work(*inputs), inputs, cotangent)


def compare(
    label: str,
    contestants: dict[str, Work],
    inputs: Sequence[Tensor],
    cotangent: Tensor,
    rounds: int,
    truth: tuple[Tensor, ...] | None = None,
) -> dict[str, dict[str, float]]:
    """Print a line: the loop's time, and each other contestant's ratio to it; ``truth``: the float64 gradients.

    Returns the same by contestant: speed_up with its interval's ends low and high, and the worst error.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    errors: dict[str, float] = {}
    for turn in range(rounds + 1):
        for name, work in contestants.items():
            begin = time.perf_counter()
            grads = gradients(work, inputs, cotangent)
            took = time.perf_counter() - begin
            if turn:
                seconds[name].append(took)
            elif truth is not None:
                pairs = zip(grads, truth, strict=True)
                errors[name] = max(float((f - t).abs().max() / t.abs().max()) for f, t in pairs)
            del grads
    base = np.array(seconds.pop("loop"))
    line = f"{label:<26} loop {1e3 * np.median(base):8.1f} ms"
    ratios: dict[str, dict[str, float]] = {}
    for name, values in seconds.items():
        middle, low, high = speed_up(base, np.array(values))
        ratios[name] = {"speed_up": middle, "low": low, "high": high}
        line += f"   {name} {middle:6.2f}x ({low:.2f} – {high:.2f})"
        if name in errors:
            line += f" error {errors[name]:.0e}"
            ratios[name]["error"] = errors[name]
    print(line, flush=True)
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    args = parser.parse_args()
    rounds = args.rounds
    figures: dict[str, Any] = {"command": f"python benchmarks/scan.py --rounds {rounds}"}
    figures |= {"environment": machine.environment("cpu"), "recurrence": {}, "cells": {}}
    machine.prepare()
    kernels = ["native", "portable"] if native.library() is not None else ["portable"]
    print("the recurrence alone")
    for batch, time_, width in SIZES:
        torch.manual_seed(0)
        shape = (batch, time_, width)
        inputs = [t.requires_grad_() for t in (torch.rand(shape), torch.randn(shape), torch.randn(batch, width))]
        contestants: dict[str, Work] = {"loop": loop}
        for kernel in kernels:
            contestants[kernel] = lambda a, b, s, kernel=kernel: recurrence(a, b, s, kernel)[0]
        cotangent = torch.randn(shape)
        truth = gradients(loop, [t.detach().double().requires_grad_() for t in inputs], cotangent.double())
        ratios = compare(f"B {batch} T {time_} H {width}", contestants, inputs, cotangent, rounds, truth)
        figures["recurrence"][f"{batch}x{time_}x{width}"] = ratios
    print("whole cells, B 16 T 1024 H 128, every gradient")
    for name in CELLS:
        torch.manual_seed(0)
        cell, x = make_cell(name, 128, 128), torch.randn(16, 1024, 128).requires_grad_()
        work: dict[str, Work] = {backend: partial(on_backend, cell, backend) for backend in ("loop", "scan")}
        weights = [x, *cell.parameters()]
        figures["cells"][name] = compare(name, work, weights, torch.randn(16, 1024, 128), max(3, rounds // 3))
    if args.json is not None:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
