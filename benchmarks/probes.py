"""What do the probes cost?

The gradient-flow curve over all lags against a plain forward and backward pass (gradients of all weights, a random
cotangent at every output) of the same cell on the same backend in the same precision; then the Lyapunov spectrum in
seconds. The contestants take turns, one thread; medians, the ratio with a paired-bootstrap 95 % interval.

    python benchmarks/probes.py --rounds 9
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from rnnbench.backends import run
from rnnbench.cells import Cell, make_cell
from rnnbench.intervals import speed_up
from rnnbench.probes.gradient_flow import log_gradient_flow
from rnnbench.probes.lyapunov import lyapunov_spectrum
from rnnbench.system import machine

BATCH, TIME, WIDTH = 16, 256, 128
CELLS = (("rnn", "loop"), ("lstm", "loop"), ("gru", "loop"), ("mingru", "scan"), ("mlstm", "loop"))
EXPONENTS, STEPS = 10, 1000


def plain(cell: Cell, backend: str, x: Tensor, cotangent: Tensor) -> None:
    y, _ = run(cell, x, backend=backend)
    torch.autograd.grad(y, list(cell.parameters()), cotangent)


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    machine.prepare()
    print(f"the gradient-flow curve over {TIME} lags, B {BATCH} H {WIDTH}, against forward and backward of the same")
    for name, backend in CELLS:
        for dtype in (torch.float32, torch.float64):
            torch.manual_seed(0)
            cell = make_cell(name, WIDTH, WIDTH).to(dtype)
            x, cotangent = (torch.randn(BATCH, TIME, WIDTH, dtype=dtype) for _ in range(2))
            contestants: list[Callable[[], object]] = [
                lambda: plain(cell, backend, x, cotangent),  # noqa: B023
                lambda: log_gradient_flow(cell, x, lambda y: y.sum(-1), backend=backend),  # noqa: B023
            ]
            taken = np.array([[seconds(work) for work in contestants] for _ in range(rounds + 1)])[1:]
            middle, low, high = speed_up(taken[:, 1], taken[:, 0])  # the curve's time over the plain pass's
            what = f"{name:<8} {backend:<5} {str(dtype).removeprefix('torch.'):<8}"
            base = 1e3 * np.median(taken[:, 0])
            print(f"{what} plain {base:7.1f} ms   curve {middle:5.2f}x ({low:.2f} – {high:.2f})", flush=True)
    print(f"{EXPONENTS} Lyapunov exponents, B 1 H {WIDTH} T {STEPS}, float64")
    for name, _ in CELLS:
        cell = make_cell(name, WIDTH, WIDTH).double()
        x = torch.randn(1, STEPS, WIDTH, dtype=torch.float64)
        taken = np.array([seconds(lambda: lyapunov_spectrum(cell, x, EXPONENTS)) for _ in range(3)])  # noqa: B023
        print(f"{name:<8} {np.median(taken):5.2f} s", flush=True)


if __name__ == "__main__":
    main()
