"""The longest T that each cell could learn over, beside how far its gradients reach before training.

A study that says it is such a search (`Study.search`) has all its runs of tasks that can be solved
(`probes.solvable.METRIC`) shown here, and not in a table with a line for each length.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench.intervals import known_median
from rnnbench.probes.solvable import METRIC, PASS, SHARE, Bracket, bracket, passed
from rnnbench.report.caption import caption
from rnnbench.report.results import LOST, Result
from rnnbench.report.significance import Bounds, Correlation, kendall
from rnnbench.report.statistics import cell_rank, group
from rnnbench.report.tables.notes import broken_notes, circumstances, mixed_notes
from rnnbench.report.tables.table import MISSING, Column, Row, Table, lag

#: Tried one after the other at every length: the best counts.
RATE = "optim.lr"


@dataclass(frozen=True)
class Solvable:
    """What a search found of one cell on one task.

    Args:
        cell: Its label, with whatever else tells it from others of the same cell.
        data: The task.
        found: The bracket and all tries.
        reach: The first lag at which its gradient, before training, is down to a hundredth of its maximum, on the
            task's own inputs: median over seeds; infinite where that is beyond the lags measured.
        lags: Those measured: at least as many as the longest T tried.
        results: All its runs.
    """

    cell: str
    data: str
    found: Bracket
    reach: float | None
    lags: float | None
    results: tuple[Result, ...]

    @property
    def broken(self) -> bool:
        """Whether errors (a crash, no memory, no time), and not runs that did not learn, are what ended the search."""
        at_end = [result for result in self.results if result.seq_len == self.found.failed]
        good = sum(passed(self.data, result.status, result.metrics) or result.broken for result in at_end)
        return bool(at_end) and good >= SHARE * len(at_end)

    @property
    def longest(self) -> str:
        """The bracket for people: "48–60" solved and failed, "≥ 160" nothing failed, "< 10" nothing solved.

        One that errors have closed is marked: "48–60 †".
        """
        if self.found.failed is None:
            return f"≥ {self.found.solved}"
        mark = " †" if self.broken else ""
        ends = f"< {self.found.failed}" if self.found.solved is None else f"{self.found.solved}–{self.found.failed}"
        return ends + mark


def searched(train: Sequence[Result]) -> tuple[list[Solvable], list[Result]]:
    """What a study's searches found, by task and the longest T first; and all other runs."""
    tasks: dict[str, list[Result]] = {}
    for result in train:
        if result.data in METRIC and result.run["data"].get("name") == result.data:
            tasks.setdefault(result.data, []).append(result)
    found = [one for data, results in tasks.items() for one in _cells(data, results)]
    order = sorted(found, key=lambda one: (list(METRIC).index(one.data), -one.found.middle, cell_rank(one.cell)))
    return order, [result for result in train if result.data not in tasks]


def _cells(data: str, results: Sequence[Result]) -> list[Solvable]:
    members: dict[str, list[Result]] = {}
    for g in group(results):
        extras = tuple((name, value) for name, value in g.extras if name != RATE)
        members.setdefault(dataclasses.replace(g, extras=extras).series, []).extend(g.results)
    out = []
    for cell, own in members.items():
        tried: dict[int, dict[float, list[bool]]] = {}
        for result in own:
            by_rate = tried.setdefault(result.seq_len, {}).setdefault(_rate(result), [])
            by_rate.append(passed(data, result.status, result.metrics))
        best = {
            length: max(rates.values(), key=lambda seeds: sum(seeds) / len(seeds)) for length, rates in tried.items()
        }
        start = [result for result in own if result.seq_len == min(tried)]
        reach, lags = (_median(start, f"init/{name}") for name in ("hundredth_lag", "lags"))
        out.append(Solvable(cell, data, bracket(best), reach, lags, tuple(own)))
    return out


def _rate(result: Result) -> float:
    return float((result.run.get("optim") or {}).get("lr") or math.nan)


def _median(results: Sequence[Result], name: str) -> float | None:
    """Over all runs that have it, diverged ones too: it was measured before they did. It may be infinite."""
    values = [value for result in results if (value := result.number(name)) is not None]
    return known_median(values) if values else None


def predicts(found: Sequence[Solvable]) -> dict[str, Correlation]:
    """By task, the rank correlation over cells of the gradient's reach at initialisation and the longest solvable T.

    A cell whose search was ended by errors is left out: how far it would have come is not known.
    """
    out = {}
    for data in dict.fromkeys(one.data for one in found):
        own = [one for one in found if one.data == data and not one.broken and one.reach is not None]
        out[data] = kendall([_reach_bounds(one) for one in own], [_length_bounds(one.found) for one in own])
    return out


def _reach_bounds(one: Solvable) -> Bounds:
    assert one.reach is not None
    return (one.lags or 0.0, math.inf) if math.isinf(one.reach) else (one.reach, one.reach)


def _length_bounds(found: Bracket) -> Bounds:
    return float(found.solved or 0), math.inf if found.failed is None else float(found.failed)


def solvable_table(found: Sequence[Solvable]) -> Table:
    """A line for each cell and task: the longest T with its bracket, its tries, and its gradient's first reach."""
    correlations = predicts(found)
    columns = (
        Column("cell", "cell", 0, left=True),
        *([Column("data", "data", 0, left=True)] if len(correlations) > 1 else []),
        Column("solved", "longest T solved", 0),
        Column("longest", "solved–failed", 1),
        Column("passed", "seeds passed at it", 2),
        Column("init/hundredth_lag", "gradient at 1/100, at init (lags)", 1),
        Column("tried", "passed at each T", 4, left=True),
    )
    runs = [result for one in found for result in one.results]
    rows = tuple(_row(one, correlations[one.data]) for one in found)
    notes = [("solved", _criterion(runs)), ("init/hundredth_lag", _measured(found))]
    notes += [("solved", sentence) for sentence in _doubts(found)]
    if broken := [result for result in runs if result.broken]:
        notes.append(("solved", _errors(broken, sum(one.broken for one in found))))
        notes += [("solved", sentence) for sentence in broken_notes(runs)]
    notes += [("solved", sentence) for sentence in (*circumstances(runs), *mixed_notes(runs))]
    for data, correlation in correlations.items():
        sentence = f"{data}: rank correlation (Kendall's) of the gradient's reach at init and the longest T: "
        sentence += correlation.text()
        left_out = f"; {correlation.undefined:.1%} of resamples had none" if correlation.undefined >= 0.0005 else ""
        notes.append(("solved", f"{sentence} (bootstrap over cells{left_out})."))
    return Table("solvable", columns, rows, notes=tuple(notes), caption=caption(runs)).without_empty_columns()


def _criterion(runs: Sequence[Result]) -> str:
    rates = sorted({rate for run in runs if not math.isnan(rate := _rate(run))})
    at = f" at the best of the learning rates {', '.join(f'{rate:g}' for rate in rates)}" if len(rates) > 1 else ""
    return (
        f"Solved: at least {SHARE:.0%} of the seeds pass{at}, there and at every shorter T tried; adding passes below "
        f"a test mse of {PASS}, copying below a test error of {PASS}. ≥: the longest T tried was solved; <: the "
        "shortest was not."
    )


def _doubts(found: Sequence[Solvable]) -> list[str]:
    """Why these are no ranking of cells: too few seeds, and rates that were not tried far enough."""
    out = []
    if max((seeds for one in found for _, _, seeds in one.found.tried), default=0) < 2:
        out.append("One seed: no ranking.")
    passing = [_passing_rates(one) for one in found if one.found.solved is not None]
    tried = {rate for one in found for result in one.results if not math.isnan(rate := _rate(result))}
    at_edge = [rates for rates in passing if len(tried) > 1 and rates in ({min(tried)}, {max(tried)})]
    if at_edge:
        out.append(
            f"{len(at_edge)} of {len(passing)} were solved, at their longest T, at the smallest or largest learning "
            "rate alone: one outside those tried may take them further."
        )
    return out


def _passing_rates(one: Solvable) -> set[float]:
    """The learning rates at which some seed passes at the longest T solved."""
    at = [result for result in one.results if result.seq_len == one.found.solved]
    return {_rate(result) for result in at if passed(one.data, result.status, result.metrics)}


def _errors(broken: Sequence[Result], searches: int) -> str:
    named = {str(result.error or "unknown").split(":")[0] for result in broken if result.status == "failed"}
    kinds = [
        *sorted(named),
        *(LOST[status] for status in ("oom", "timeout") if any(r.status == status for r in broken)),
    ]
    return (
        f"Runs that ended in an error, and count as not passed: {len(broken)} ({', '.join(kinds)}). †: errors ended "
        f"the search, {searches} in all; these are left out of the correlation. "
        "`rnnbench sweep --retry failed,oom,timeout` does them anew."
    )


def _measured(found: Sequence[Solvable]) -> str:
    lags = sorted({int(one.lags) for one in found if one.lags is not None})
    over = f" over {lags[0]} to {lags[-1]} lags" if len(lags) > 1 else f" over {lags[0]} lags" if lags else ""
    return (
        f"Gradient at 1/100: the first lag at which it is down to a hundredth of its maximum before training, on the "
        f"task's inputs{over}; median over seeds; ≥: not within them."
    )


def _row(one: Solvable, correlation: Correlation) -> Row:
    found = one.found
    at = next(((good, seeds) for length, good, seeds in found.tried if length == found.solved), None)
    raw: dict[str, Any] = {"cell": one.cell, "data": one.data, "solved": found.solved, "failed": found.failed}
    raw |= {
        "broken": one.broken,
        "passed": at and at[0],
        "seeds": at and at[1],
        "init/hundredth_lag": one.reach,
    }
    raw |= {"tried": " ".join(f"{length}:{good}/{seeds}" for length, good, seeds in found.tried)}
    raw |= {"kendall": correlation.tau, "kendall_low": correlation.low, "kendall_high": correlation.high}
    text = {"cell": one.cell, "data": one.data, "solved": str(found.solved or MISSING), "longest": one.longest}
    text |= {"passed": f"{at[0]}/{at[1]}" if at else MISSING, "tried": raw["tried"]}
    text |= {"init/hundredth_lag": lag(one.reach, one.lags)}
    return Row(raw, text)
