"""How often does a 95 % interval of a few seeds hold the truth? Counted on normal scores, whose truth is known.

Beside the Student-t interval of the mean, which the tables print, stand the percentile bootstrap of the interquartile
mean, which is usual, and for two samples one standard deviation apart Newcombe's interval of the probability that one
beats the other.

python benchmarks/coverage.py
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import trim_mean

from rnnbench.intervals import student_interval
from rnnbench.report.significance import probability_of_improvement

STUDIES, RESAMPLES = 2000, 1000


def bootstrapped(scores: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """The percentile interval of the interquartile mean."""
    drawn = scores[rng.integers(len(scores), size=(RESAMPLES, len(scores)))]
    low, high = np.quantile(trim_mean(drawn, 0.25, axis=1), (0.025, 0.975))
    return float(low), float(high)


def main() -> None:
    columns = ("t of the mean", "bootstrap of the IQM", "Newcombe's of P(X < Y)")
    print(f"{'seeds':<7}" + "".join(f"{column:>25}" for column in columns) + f"   of {STUDIES} studies")
    truth = 0.5 * (1 + math.erf(1 / 2))  # P(X < Y) for means one standard deviation apart
    for seeds in (5, 10, 20):
        rng = np.random.default_rng(seeds)
        scores, others = rng.standard_normal((2, STUDIES, seeds))
        t = [student_interval(row.tolist()) for row in scores]
        bootstrap = [bootstrapped(row, rng) for row in scores]
        pairs = zip(scores.tolist(), (others + 1).tolist(), strict=True)
        newcombe = [probability_of_improvement(x, y)[1:] for x, y in pairs]
        held = [
            np.mean([low <= value <= high for low, high in intervals])
            for intervals, value in ((t, 0.0), (bootstrap, 0.0), (newcombe, truth))
        ]
        print(f"{seeds:<7}" + "".join(f"{share:>25.1%}" for share in held), flush=True)


if __name__ == "__main__":
    main()
