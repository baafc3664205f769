"""How far one cell's gradients reach, on several seeds: a row of `rnnbench gradients`; nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnbench.intervals import known_median, student_interval
from rnnbench.probes.curve import Curve, Judgement, judge


@dataclass
class Measured:
    """One cell in one condition; every list has an item a seed.

    Args:
        cell: The cell's label, and what else distinguishes it from the others.
        condition: Of its weights: an initialisation's name, ``initial`` or ``trained``.
        seq_len: Length T of what was read.
        seeds: Which.
        curves: log G(k), natural, at lags 0 … T − 1, the mean over the batch.
        scalars: `FlowCurve.scalars` of each.
        exponents: The largest Lyapunov exponent λ₁ of each, nats a step; −∞ where every direction is lost.
    """

    cell: str
    condition: str
    seq_len: int
    seeds: list[int] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    scalars: list[dict[str, float]] = field(default_factory=list)
    exponents: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name in a legend."""
        return self.cell if self.condition == "default" else f"{self.cell}, {self.condition}"

    @property
    def judgement(self) -> Judgement | None:
        return judge(self.curves)

    def median(self, scalar: str) -> float:
        """Over the seeds; a lag is infinite of a seed where it lies beyond those measured."""
        return known_median([one[scalar] for one in self.scalars])

    def exponent(self) -> tuple[float, float | None]:
        """λ₁, the mean over seeds, and half of its 95 % interval's width; None of one seed, or of an infinite one."""
        mean = sum(self.exponents) / len(self.exponents)
        if len(self.exponents) < 2 or not math.isfinite(mean):
            return mean, None
        low, high = student_interval(self.exponents)
        return mean, (high - low) / 2

    def plain(self) -> dict[str, Any]:
        """Every number, for JSON; curves as log₁₀ G(k)/G(0)."""
        judgement, (exponent, half_width) = self.judgement, self.exponent()
        lost = None
        if judgement is not None:
            lost = {"mean": judgement.decades, "low": judgement.low, "high": judgement.high, "lags": judgement.lags}
        return {
            "cell": self.cell,
            "condition": self.condition,
            "seq_len": self.seq_len,
            **{name: self.median(name) for name in self.scalars[0] if all(name in one for one in self.scalars)},
            "lyapunov": exponent,
            "lyapunov_half_width": half_width,
            "decades_lost": lost,
            "verdict": None if judgement is None else judgement.verdict,
            "seeds": [
                {"seed": seed, **scalars, "lyapunov": one, "curve": decades(curve).tolist()}
                for seed, scalars, one, curve in zip(self.seeds, self.scalars, self.exponents, self.curves, strict=True)
            ],
        }


def decades(log_g: Curve) -> Curve:
    """log₁₀ G(k)/G(0)."""
    return (log_g - log_g[0]) / math.log(10)


def mean_decades(curves: Sequence[Curve]) -> Curve:
    """The mean over seeds of log₁₀ G(k)/G(0), as far as all of them reach; see `mean_of_those_left`."""
    shared = min(map(len, curves))
    return mean_of_those_left(np.stack([decades(curve[:shared]) for curve in curves]))


def mean_of_those_left(logs: Curve) -> Curve:
    """Means over the first axis of logarithms that are not −∞; −∞ where all are."""
    left = logs != -np.inf
    count = left.sum(axis=0)
    return np.where(count > 0, np.where(left, logs, 0.0).sum(axis=0) / np.maximum(count, 1), -np.inf)
