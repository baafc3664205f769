"""The longest T over which a task can be learnt, from which of its runs have passed; nothing here imports torch.

A length is solved where at least 80 % of its seeds pass, and the longest solvable T is the largest that is solved with
every smaller one that was tried. Adding passes below a mean squared error of 0.01 (always answering 1: 0.1667), copying
above a recall of 99 %, an error below 0.01. A run that diverged or failed has not passed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: By data set, the metric of the test part that has to lie below `PASS`.
METRIC = {"adding": "test/mse", "copy": "test/error", "selective_copy": "test/error"}
#: Below this a run has passed.
PASS = 0.01
#: Of the seeds of a length, the share that has to pass.
SHARE = 0.8


def passed(data: str, status: str, metrics: Mapping[str, Any]) -> bool:
    """Whether a run of one of `METRIC`'s data sets has learnt its task.

    status: done, diverged or failed. metrics: where the data set's is missing, or "nan" as in JSON, it has not passed.
    """
    value = metrics.get(METRIC[data])
    return status == "done" and isinstance(value, int | float) and value < PASS


@dataclass(frozen=True)
class Bracket:
    """Between which lengths learning ends.

    Args:
        tried: (T, seeds that passed, seeds) for each length, rising.
        solved: The largest T that is solved with every smaller one tried; None where the smallest is not.
        failed: The smallest T that is not solved; None where all are.
    """

    tried: tuple[tuple[int, int, int], ...]
    solved: int | None
    failed: int | None

    @property
    def middle(self) -> float:
        """The bracket in one number: its ends' geometric mean.

        Without a failure it is the last length solved; where nothing is solved, half the first one tried, from which
        doubling would have come to it.
        """
        if self.failed is None:
            return float(self.solved or math.nan)
        return math.sqrt((self.solved or self.failed / 4) * self.failed)


def bracket(tried: Mapping[int, Sequence[bool]]) -> Bracket:
    """The bracket from whether each seed has passed, for each T; a T without seeds does not count."""
    counts = tuple((length, sum(seeds), len(seeds)) for length, seeds in sorted(tried.items()) if seeds)
    failed = next((length for length, good, seeds in counts if good < SHARE * seeds), None)
    solved = max((length for length, _, _ in counts if failed is None or length < failed), default=None)
    return Bracket(counts, solved, failed)
