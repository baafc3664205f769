"""How time and memory grow with what a study sweeps: exponents of power laws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench.report.caption import caption
from rnnbench.report.results import Result
from rnnbench.report.tables.table import MISSING, Column, Row, Table
from rnnbench.report.timings import SETTINGS, SweptSetting, Timed, in_words

#: So many points make a law; where its last stretch is steeper or flatter by so much, it is none, and marked.
POINTS, APART = 3, 0.2


@dataclass(frozen=True)
class Exponent:
    """y ∝ x^exponent.

    Args:
        exponent: Least squares of log y against log x, over all points.
        error: Its standard error.
        last: Between the last two points alone.
    """

    exponent: float
    error: float
    last: float

    @property
    def bent(self) -> bool:
        """Whether no single power describes it."""
        return abs(self.last - self.exponent) > APART


def exponent(points: Sequence[tuple[float, float]]) -> Exponent | None:
    """Of points (x, y) with increasing x, all positive; None of fewer than `POINTS`."""
    if len(points) < POINTS:
        return None
    from scipy.stats import linregress  # takes a second to import

    logs = [(math.log(x), math.log(y)) for x, y in points]
    fit = linregress(*zip(*logs, strict=True))
    error = 0.0 if math.isnan(fit.stderr) else float(fit.stderr)  # of a constant it is the root of a rounding error
    (before, low), (after, high) = logs[-2:]
    return Exponent(float(fit.slope), error, (high - low) / (after - before))


def scaling_table(found: Sequence[Timed], jobs: Sequence[Result], swept: SweptSetting) -> Table:
    """A line a cell and contestant with three sizes or more: exponents of time and of peak memory."""
    rows = [row for line in swept.lines(found).values() if (row := _row(line, swept)) is not None]
    head = SETTINGS[swept.name]
    columns = (
        Column("cell", "cell", 0, left=True),
        Column("backend", "backend", 0, left=True),
        *(Column(name, SETTINGS[name], 0, left=True) for name in swept.extras),
        Column("range", head, 2, left=True),
        Column("time", f"time, power of {head}", 0),
        Column("time_last", "time, at the end", 1),
        Column("memory", f"peak memory, power of {head}", 1),
        Column("memory_last", "peak memory, at the end", 2),
    )
    decoding = found[0].decoding
    what = "the latency of a token" if decoding else "the training step"
    at_constant = (
        " Here B·T is constant: time at constant tokens, so exponent 0 is perfectly linear in T."
        if swept.constant_tokens
        else ""
    )
    notes = [
        ("time", f"Power: {what} grows with {head} to this power; least squares of logarithms, ± its standard error."
         f"{at_constant}"),
        ("time_last", f"At the end: between the last two sizes. †: more than {APART} apart, so that no one power "
         "describes the whole, as where small sizes are bound by overhead."),
    ]  # fmt: skip
    name = "decoding_scaling" if decoding else "scaling"
    return Table(name, columns, tuple(rows), (), tuple(notes), caption(jobs)).without_empty_columns()


def _row(line: Sequence[Timed], swept: SweptSetting) -> Row | None:
    time = exponent([(swept.of(one), one.ms) for one in line if one.ms])
    memory = exponent([(swept.of(one), peak) for one in line if (peak := one.numbers.get("peak_mib"))])
    if time is None:
        return None
    raw: dict[str, Any] = {"cell": line[0].cell, "backend": line[0].backend}
    raw |= {name: line[0].settings[name] for name in swept.extras}
    text = {key: in_words(key, value) for key, value in raw.items()}
    first, last = swept.of(line[0]), swept.of(line[-1])
    text["range"] = f"{first}–{last}"
    raw |= {"setting": swept.name, "first": first, "last": last, "points": len(line)}
    for name, found in (("time", time), ("memory", memory)):
        raw |= {
            f"{name}_exponent": found and found.exponent,
            f"{name}_error": found and found.error,
            f"{name}_last": found and found.last,
        }
        text[name] = MISSING if found is None else f"{_two(found.exponent)} ± {found.error:.2f}"
        text[f"{name}_last"] = MISSING if found is None else _two(found.last) + (" †" if found.bent else "")
    return Row(raw, text)


def _two(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")  # + 0: there is no minus nothing
