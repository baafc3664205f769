"""How often does a 95 % interval of a few seeds hold the truth? Counted on normal scores, whose truth is known.

python benchmarks/coverage.py
"""

from __future__ import annotations

import numpy as np

from rnnbench.report.estimates import stratified_bootstrap

STUDIES = 2000


def main() -> None:
    print(f"{'seeds':<7}{'intervals that hold the truth':>30}, of {STUDIES}")
    for seeds in (5, 10, 20):
        scores = np.random.default_rng(seeds).standard_normal((STUDIES, seeds))
        found = [stratified_bootstrap([row]) for row in scores]
        print(f"{seeds:<7}{np.mean([low <= 0 <= high for low, high in found]):>30.1%}", flush=True)


if __name__ == "__main__":
    main()
