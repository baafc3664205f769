"""Chaotic series, integrated here.

In plain Python, by sums, products and quotients alone: these are the same on every machine (IEEE 754), where library
functions may differ in the last bit, which chaos blows up to the whole series.
"""

from __future__ import annotations

import numpy as np

from rnnbench.data.series.record import Record, chosen, digest

#: Samples of a series, and samples thrown away before them, until the start is forgotten.
LENGTH, WASHOUT = 10_000, 1000


def read_mackey_glass() -> Record:
    """x' = 0.2 x(t − 17) / (1 + x(t − 17)¹⁰) − 0.1 x at every unit of time (Mackey & Glass 1977), 10,000 samples."""
    x = mackey_glass(WASHOUT + LENGTH)[WASHOUT:, None]
    return Record(x, ("x",), digest(x.tobytes(), ("x",)))


def read_lorenz(column: str | None = None) -> Record:
    """x' = 10 (y − x), y' = x (28 − z) − y, z' = x y − 8/3 z (Lorenz 1963) every 0.05 of time, 10,000 samples.

    Args:
        column: Of x, y and z those read and forecast; all where None.
    """
    places = chosen(column or "all", tuple("xyz"), "'lorenz'")
    columns = tuple("xyz"[at] for at in places)
    values = np.ascontiguousarray(lorenz(WASHOUT + LENGTH)[WASHOUT:, places])
    return Record(values, columns, digest(values.tobytes(), columns))


def mackey_glass(samples: int, delay: int = 17, substeps: int = 10) -> np.ndarray:
    """(samples,) values at t = 1, 2, … from x = 1.2 for t ≤ 0, by fourth-order Runge-Kutta steps of 1 / substeps.

    What was delay ago is known at whole steps, and half-way between them by Hermite's cubic, of fourth order too. The
    kinks that the constant past leaves, at multiples of the delay, are at whole steps.
    """
    step, lag = 1 / substeps, delay * substeps
    x, middles = [1.2] * (lag + 1), [1.2] * lag  # from t − delay on, oldest first; and between them

    def change(now: float, then: float) -> float:
        second = then * then
        fourth = second * second
        return 0.2 * then / (1 + fourth * fourth * second) - 0.1 * now

    slope = change(1.2, 1.2)
    for at in range(samples * substeps):
        between, after, now = middles[at], x[at + 1], x[-1]
        k2 = change(now + step / 2 * slope, between)
        k3 = change(now + step / 2 * k2, between)
        k4 = change(now + step * k3, after)
        x.append(now + step / 6 * (slope + 2 * k2 + 2 * k3 + k4))
        before, slope = slope, change(x[-1], after)
        middles.append((now + x[-1]) / 2 + step / 8 * (before - slope))
    return np.array(x[lag + substeps :: substeps])


def lorenz(samples: int, interval: float = 0.05, substeps: int = 5) -> np.ndarray:
    """(samples, 3) values at every interval from (1, 1, 1), by fourth-order Runge-Kutta steps."""
    step = interval / substeps

    def change(x: float, y: float, z: float) -> tuple[float, float, float]:
        return 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z

    x = y = z = 1.0
    out = []
    for _ in range(samples):
        for _ in range(substeps):
            a1, b1, c1 = change(x, y, z)
            a2, b2, c2 = change(x + step / 2 * a1, y + step / 2 * b1, z + step / 2 * c1)
            a3, b3, c3 = change(x + step / 2 * a2, y + step / 2 * b2, z + step / 2 * c2)
            a4, b4, c4 = change(x + step * a3, y + step * b3, z + step * c3)
            x += step / 6 * (a1 + 2 * a2 + 2 * a3 + a4)
            y += step / 6 * (b1 + 2 * b2 + 2 * b3 + b4)
            z += step / 6 * (c1 + 2 * c2 + 2 * c3 + c4)
        out.append((x, y, z))
    return np.array(out)
