"""How far gradients reach, in a study that asks about it: before and after training, with intervals and the warning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from rnnbench.intervals import student_interval
from rnnbench.report.caption import caption
from rnnbench.report.estimates import INTERVAL_SEEDS, Estimate
from rnnbench.report.results import Result
from rnnbench.report.statistics import Group, cell_rank, group
from rnnbench.report.tables.groups import first_columns, first_entries
from rnnbench.report.tables.table import MISSING, Column, Row, Table, number, with_interval, with_range

WHEN: dict[Literal["init", "final"], str] = {"init": "at first", "final": "trained"}
#: An exponent below this is one for a direction that is lost for good; where only some of the trajectories that a run
#: averages over, so many at the most, have lost it, the mean is a share of that.
LOST, SAMPLES = -700.0, 32
#: What a study has measured that has this table.
MARK = "init/lyapunov_1"


def asks_about_gradients(results: Sequence[Result]) -> bool:
    """Did a study measure Lyapunov exponents, beside the curves that every run has?"""
    return any(result.number(MARK) is not None for result in results)


def reach_table(results: Sequence[Result]) -> Table:
    """A line for each group over seeds: half-lives, slopes of log G with their verdicts, λ₁; T by T.

    The last columns hold the classical mistake against the definition: how much of the gradient is left at the largest
    lag, of the loss at the last step and of the loss averaged over all.
    """
    groups = sorted(group(results), key=lambda g: (g.data, g.seq_len, cell_rank(g.cell), g.series))
    columns = (
        *first_columns(groups),
        *(Column(f"{when}/half_life", f"half-life {words} (states)", 1) for when, words in WHEN.items()),
        *(Column(f"{when}/verdict", f"gradients {words}", 3, left=True) for when, words in WHEN.items()),
        *(Column(f"{when}/lyapunov_1", f"λ₁ {words}", 4) for when, words in WHEN.items()),
        *(Column(f"{when}/slope", f"slope {words}", 5) for when, words in WHEN.items()),
        Column("last", "left at the last lag", 6),
        Column("averaged", "… of an averaged loss", 6),
        Column("seeds", "seeds done", 2),
    )
    notes = (
        (
            "init/half_life",
            "Half-life: the median over seeds; from five on with the 95 % interval of the geometric mean.",
        ),
        ("init/verdict", "Gradients: the interval over seeds of the slope of log G against ± ln 2 / T."),
        ("init/lyapunov_1", "λ₁: largest Lyapunov exponent, nats a step; slope: of log G, nats a lag; 95 % intervals."),
        ("averaged", "Left: G(k)/G(0) at the largest lag, untrained; averaged over time a loss hides what vanishes."),
    )
    table = Table("gradients", columns, tuple(map(_row, groups)), notes=notes, caption=caption(results))
    return table.without_empty_columns()


def _row(g: Group) -> Row:
    raw, text = first_entries(g)
    for when in WHEN:
        key = f"{when}/half_life"
        raw[key] = g.median(key)
        raw[f"{key}_low"], raw[f"{key}_high"] = _half_life_interval(g.values(key))
        text[key] = half_life_text(g, when, 3)
        judgement = g.judgement(when)
        raw |= {
            f"{when}/{name}": judgement and getattr(judgement, name) for name in ("slope", "low", "high", "verdict")
        }
        text[f"{when}/verdict"] = MISSING if judgement is None else judgement.verdict
        slope = MISSING if judgement is None else with_interval(judgement.slope, judgement.half_width)
        text[f"{when}/slope"] = slope.replace("-", "−")
        found = g.estimate(f"{when}/lyapunov_1")
        raw[f"{when}/lyapunov_1"] = found and found.iqm
        text[f"{when}/lyapunov_1"] = MISSING if found is None else _exponent(found)
    for name, key in (("last", "init/log10_gain_at_last_lag"), ("averaged", "init/averaged_log10_gain_at_last_lag")):
        raw[name] = g.median(key)
        text[name] = MISSING if raw[name] is None else power_of_ten(raw[name])
    return Row(raw, text)


def half_life_text(g: Group, when: Literal["init", "final"], digits: int) -> str:
    """The median half-life over seeds, from five on with its interval."""
    key = f"{when}/half_life"
    low, high = _half_life_interval(g.values(key))
    between = "" if low is None else f" ({number(low, digits)} – {number(high, digits)})"
    return number(g.median(key), digits) + between


def _exponent(found: Estimate) -> str:
    if max(found.values) < LOST:
        return "−∞"
    if min(found.values) < LOST / SAMPLES:
        return "−∞ for some"
    text = number(found.iqm, 3) if found.interval is None else with_range(found.iqm, *found.interval)
    return text.replace("-", "−")


def _half_life_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The 95 % Student-t interval of the geometric mean; none below five seeds, nor where one never halves."""
    if len(values) < INTERVAL_SEEDS or not all(0 < value < math.inf for value in values):
        return None, None
    low, high = student_interval([math.log(value) for value in values])
    return math.exp(low), math.exp(high)


def power_of_ten(exponent: float) -> str:
    """10^exponent as a plain number near one, else as a power: 0.42, 1e−85."""
    if -3 < exponent < 3:
        return number(10**exponent, 2)
    return f"1e{round(exponent)}".replace("-", "−")
