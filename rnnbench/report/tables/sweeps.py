"""Timings along a swept setting: how many times as fast as the naive code, and how time and memory grow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench.intervals import speed_up
from rnnbench.report.results import Result
from rnnbench.report.statistics import cell_rank
from rnnbench.report.tables.notes import caption
from rnnbench.report.tables.table import MISSING, Column, Row, Table, with_ends
from rnnbench.report.timings import NAIVE, SETTINGS, SweptSetting, Timed, contestant_rank, in_words

#: What a note calls the contestants of `NAIVE`.
WORDS = {"plain": "plain, the loop that everyone writes", "loop": "our own loop, with the input's product taken once"}
#: So many points make a power law; where its last segment is steeper or flatter by so much, it is marked as none.
POINTS, APART = 3, 0.2
Line = Mapping[int, Timed]


def _first_columns(swept: SweptSetting) -> list[Column]:
    return [
        Column("cell", "cell", 0, left=True),
        Column("backend", "backend", 0, left=True),
        *(Column(name, SETTINGS[name], 0, left=True) for name in swept.extras),
    ]


def speedup_table(timed: Sequence[Timed], jobs: Sequence[Result], swept: SweptSetting) -> Table:
    """A line a cell and contestant, a column a swept value: the naive contestant's median over its own, 95 % interval.

    The naive contestant is the plain loop where it was timed, else our own loop; it has no line.
    """
    lines: dict[tuple[str, str], dict[int, Timed]] = {}
    for one in timed:  # the refused too, so that a column says why it is empty
        if one.backend is not None:
            lines.setdefault((one.cell, swept.contestant(one)), {}).setdefault(swept.of(one), one)
    for key, line in swept.lines(timed).items():
        lines[key] |= {swept.of(one): one for one in line}
    rows = []
    for key in sorted(lines, key=lambda key: (cell_rank(key[0]), contestant_rank(key[1]))):
        base = _naive(lines, key)
        if base is not None and base != key:
            rows.append(_speedup_row(lines[key], lines[base], swept))
    naive = sorted({str(row.raw["against"]) for row in rows})
    ends = (swept.values[0], swept.values[-1])
    columns = (
        *_first_columns(swept),
        *([Column("against", "against", 0, left=True)] if len(naive) > 1 else []),
        *(Column(str(v), f"{SETTINGS[swept.name]} = {v}", 1 if v in ends else 2) for v in swept.values),
    )
    decoding = timed[0].decoding
    what = "latency of a token" if decoding else "training step"
    note = (
        f"Speed-up: the median {what} of the naive code over that of the contestant, with its 95 % interval (rounds "
        f"drawn in pairs). The naive code: {'; '.join(WORDS[name] for name in naive)}."
    )
    name = "decoding_speedup" if decoding else "speedup"
    return Table(name, columns, tuple(rows), (), (("cell", note),), caption(jobs)).without_empty_columns()


def _naive(lines: Mapping[tuple[str, str], Line], key: tuple[str, str]) -> tuple[str, str] | None:
    """The naive line of the same cell and the same sweep that was timed somewhere."""
    cell, contestant = key
    _, comma, extras = contestant.partition(",")
    keys = [(cell, f"{name}{comma}{extras}") for name in NAIVE]
    return next((k for k in keys if any(one.ms is not None for one in lines.get(k, {}).values())), None)


def _speedup_row(line: Line, base: Line, swept: SweptSetting) -> Row:
    one, naive = next(iter(line.values())), next(iter(base.values()))
    raw: dict[str, Any] = {"cell": one.cell, "backend": one.backend, "against": naive.backend}
    raw |= {name: one.settings[name] for name in swept.extras}
    text = {key: in_words(key, value) for key, value in raw.items()}
    for value in swept.values:
        middle, low, high = ratio(base.get(value), line.get(value)) or (None, None, None)
        key = f"{swept.name}={value}"
        raw |= {key: middle, f"{key}_low": low, f"{key}_high": high}
        refused = line[value].refused if value in line else None
        short = MISSING if refused is None else refused.split(":")[0]
        text[str(value)] = short if middle is None else with_ends(middle, low, high)
    return Row(raw, text)


def ratio(base: Timed | None, contestant: Timed | None) -> tuple[float, float | None, float | None] | None:
    """Ratio of medians and its interval; without one where the two took no turns together, None without both times."""
    if base is None or contestant is None or base.ms is None or contestant.ms is None:
        return None
    first, second = base.samples(), contestant.samples()
    together = base.result.folder == contestant.result.folder
    if not together or first is None or second is None or len(first) != len(second):
        return base.ms / contestant.ms, None, None
    return speed_up(first, second)


@dataclass(frozen=True)
class Exponent:
    """y ∝ x^exponent."""

    exponent: float  # least squares of log y against log x, over all points
    error: float  # its standard error
    last: float  # between the last two points alone

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


def scaling_table(timed: Sequence[Timed], jobs: Sequence[Result], swept: SweptSetting) -> Table:
    """A line a cell and contestant with three sizes or more: exponents of time and of peak memory."""
    rows = [row for line in swept.lines(timed).values() if (row := _scaling_row(line, swept)) is not None]
    head = SETTINGS[swept.name]
    columns = (
        *_first_columns(swept),
        Column("range", head, 2, left=True),
        Column("time", f"time, power of {head}", 0),
        Column("time_last", "time, at the end", 1),
        Column("memory", f"peak memory, power of {head}", 1),
        Column("memory_last", "peak memory, at the end", 2),
    )
    decoding = timed[0].decoding
    what = "the latency of a token" if decoding else "the training step"
    constant = " Here B·T is constant: time at constant tokens, so exponent 0 is perfectly linear in T."
    notes = (
        ("time", f"Power: {what} grows with {head} to this power; least squares of logarithms, ± its standard error."
         f"{constant if swept.constant_tokens else ''}"),
        ("time_last", f"At the end: between the last two sizes. †: more than {APART} apart, so that no one power "
         "describes the whole, as where small sizes are bound by overhead."),
    )  # fmt: skip
    name = "decoding_scaling" if decoding else "scaling"
    return Table(name, columns, tuple(rows), (), notes, caption(jobs)).without_empty_columns()


def _scaling_row(line: Sequence[Timed], swept: SweptSetting) -> Row | None:
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
    for name, power in (("time", time), ("memory", memory)):
        raw |= {f"{name}_exponent": power and power.exponent, f"{name}_error": power and power.error}
        raw |= {f"{name}_last": power and power.last}
        text[name] = MISSING if power is None else f"{_two(power.exponent)} ± {power.error:.2f}"
        text[f"{name}_last"] = MISSING if power is None else _two(power.last) + (" †" if power.bent else "")
    return Row(raw, text)


def _two(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")  # + 0: there is no minus nothing
