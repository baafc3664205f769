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

from rnnbench.probes.solvable import METRIC, PASS, SHARE, Bracket, bracket, passed
from rnnbench.report.results import LOST, Result
from rnnbench.report.significance import Bounds, Correlation, kendall
from rnnbench.report.statistics import cell_rank, group, median_of, numbers
from rnnbench.report.tables.notes import broken_notes, caption, circumstances, mixed_notes
from rnnbench.report.tables.table import MISSING, Column, Row, Table, lag

#: Tried one after the other at every length: the best counts.
RATE = "optim.lr"


@dataclass(frozen=True)
class Solvable:
    """What a search found of one cell on one task."""

    cell: str  # its label, with whatever else tells it from others of the same cell
    data: str  # the task
    bracket: Bracket  # the bracket and all lengths tried
    # the first lag at which its gradient, before training, is down to a hundredth of its maximum, on the task's own
    # inputs: median over seeds; infinite where that is beyond the lags measured
    reach: float | None
    lags: float | None  # those measured: at least as many as the longest T tried
    results: tuple[Result, ...]  # all its runs

    def passes(self, result: Result) -> bool:
        """Whether one of its runs has learnt the task."""
        return passed(self.data, result.status, result.metrics)

    @property
    def broken(self) -> bool:
        """Whether errors (a crash, no memory, no time), and not runs that did not learn, are what ended the search."""
        at_end = [result for result in self.results if result.seq_len == self.bracket.failed]
        good = sum(self.passes(result) or result.broken for result in at_end)
        return bool(at_end) and good >= SHARE * len(at_end)

    @property
    def longest(self) -> str:
        """The bracket for people: "48–60" solved and failed, "≥ 160" nothing failed, "< 10" nothing solved.

        One that errors have closed is marked: "48–60 †".
        """
        if self.bracket.failed is None:
            return f"≥ {self.bracket.solved}"
        mark = " †" if self.broken else ""
        ends = (
            f"< {self.bracket.failed}"
            if self.bracket.solved is None
            else f"{self.bracket.solved}–{self.bracket.failed}"
        )
        return ends + mark


def searched(train: Sequence[Result]) -> tuple[list[Solvable], list[Result]]:
    """What a study's searches found, by task and the longest T first; and all other runs."""
    tasks: dict[str, list[Result]] = {}
    for result in train:
        if result.data in METRIC and result.run["data"].get("name") == result.data:
            tasks.setdefault(result.data, []).append(result)
    searches = [one for data, results in tasks.items() for one in _cells(data, results)]
    searches.sort(key=lambda one: (list(METRIC).index(one.data), -one.bracket.middle, cell_rank(one.cell)))
    return searches, [result for result in train if result.data not in tasks]


def _cells(data: str, results: Sequence[Result]) -> list[Solvable]:
    members: dict[str, list[Result]] = {}
    for g in group(results):
        extras = tuple((name, value) for name, value in g.extras if name != RATE)
        members.setdefault(dataclasses.replace(g, extras=extras).series, []).extend(g.results)
    out = []
    for cell, runs in members.items():
        tried: dict[int, dict[float | None, list[bool]]] = {}
        for result in runs:
            by_rate = tried.setdefault(result.seq_len, {}).setdefault(result.rate, [])
            by_rate.append(passed(data, result.status, result.metrics))
        best = {length: max(rates.values(), key=lambda s: sum(s) / len(s)) for length, rates in tried.items()}
        # Of all runs at the smallest length, diverged ones too: it was measured before they did.
        start = [result for result in runs if result.seq_len == min(tried)]
        reach, lags = (median_of(numbers(start, f"init/{name}")) for name in ("hundredth_lag", "lags"))
        out.append(Solvable(cell, data, bracket(best), reach, lags, tuple(runs)))
    return out


def predicts(searches: Sequence[Solvable]) -> dict[str, Correlation]:
    """By task, the rank correlation over cells of the gradient's reach at initialisation and the longest solvable T.

    A cell whose search was ended by errors is left out: how far it would have come is not known.
    """
    out = {}
    for data in dict.fromkeys(one.data for one in searches):
        reaches: list[Bounds] = []
        lengths: list[Bounds] = []
        for one in searches:
            if one.data == data and not one.broken and one.reach is not None:
                reaches.append((one.lags or 0.0, math.inf) if math.isinf(one.reach) else (one.reach, one.reach))
                tried = one.bracket
                failed = math.inf if tried.failed is None else float(tried.failed)
                lengths.append((float(tried.solved or 0), failed))
        out[data] = kendall(reaches, lengths)
    return out


def solvable_table(searches: Sequence[Solvable]) -> Table:
    """A line for each cell and task: the longest T with its bracket, all T tried, and its gradient's first reach."""
    correlations = predicts(searches)
    columns = (
        Column("cell", "cell", 0, left=True),
        *([Column("data", "data", 0, left=True)] if len(correlations) > 1 else []),
        Column("solved", "longest T solved", 0),
        Column("longest", "solved–failed", 1),
        Column("passed", "seeds passed at it", 2),
        Column("init/hundredth_lag", "gradient at 1/100, at init (lags)", 1),
        Column("tried", "passed at each T", 4, left=True),
    )
    runs = [result for one in searches for result in one.results]
    rates = sorted({result.rate for result in runs if result.rate})
    sentences = [_criterion(rates), *_doubts(searches, rates)]
    if any(result.broken for result in runs):
        sentences += [_errors(runs, sum(one.broken for one in searches)), *broken_notes(runs)]
    sentences += [*circumstances(runs), *mixed_notes(runs)]
    for data, correlation in correlations.items():
        left_out = f"; {correlation.undefined:.1%} of resamples had none" if correlation.undefined >= 0.0005 else ""
        sentences.append(
            f"{data}: rank correlation (Kendall's) of the gradient's reach at init and the longest T: "
            f"{correlation.text()} (bootstrap over cells{left_out})."
        )
    notes = [("solved", sentence) for sentence in sentences]
    notes.insert(1, ("init/hundredth_lag", _measured(searches)))
    rows = tuple(_row(one, correlations[one.data]) for one in searches)
    return Table("solvable", columns, rows, notes=tuple(notes), caption=caption(runs)).without_empty_columns()


def _criterion(rates: Sequence[float]) -> str:
    at = f" at the best of the learning rates {', '.join(f'{rate:g}' for rate in rates)}" if len(rates) > 1 else ""
    return (
        f"Solved: at least {SHARE:.0%} of the seeds pass{at}, there and at every shorter T tried; adding passes below "
        f"a test mse of {PASS}, copying below a test error of {PASS}. ≥: the longest T tried was solved; <: the "
        "shortest was not."
    )


def _doubts(searches: Sequence[Solvable], rates: Sequence[float]) -> list[str]:
    """Why these are no ranking of cells: too few seeds, and rates that were not tried far enough."""
    out = []
    if max((seeds for one in searches for _, _, seeds in one.bracket.tried), default=0) < 2:
        out.append("One seed: no ranking.")
    passing = [
        {r.rate for r in one.results if r.seq_len == one.bracket.solved and one.passes(r)}
        for one in searches
        if one.bracket.solved is not None
    ]
    if len(rates) > 1 and (at_edge := sum(at in ({rates[0]}, {rates[-1]}) for at in passing)):
        out.append(
            f"{at_edge} of {len(passing)} were solved, at their longest T, at the smallest or largest learning "
            "rate alone: one outside those tried may take them further."
        )
    return out


def _errors(runs: Sequence[Result], searches: int) -> str:
    """searches: How many of them errors have ended."""
    broken = [result for result in runs if result.broken]
    errors = sorted({str(r.error or "unknown").split(":")[0] for r in broken if r.status == "failed"})
    errors += [LOST[status] for status in ("oom", "timeout") if any(r.status == status for r in broken)]
    return (
        f"Runs that ended in an error, and count as not passed: {len(broken)} ({', '.join(errors)}). †: errors ended "
        f"the search, {searches} in all; these are left out of the correlation. "
        "`rnnbench sweep --retry failed,oom,timeout` does them anew."
    )


def _measured(searches: Sequence[Solvable]) -> str:
    lags = sorted({int(one.lags) for one in searches if one.lags is not None})
    over = f" over {' to '.join(map(str, dict.fromkeys((lags[0], lags[-1]))))} lags" if lags else ""
    return (
        f"Gradient at 1/100: the first lag at which it is down to a hundredth of its maximum before training, on the "
        f"task's inputs{over}; median over seeds; ≥: not within them."
    )


def _row(one: Solvable, correlation: Correlation) -> Row:
    bracket = one.bracket
    good, seeds = next(((g, n) for length, g, n in bracket.tried if length == bracket.solved), (None, None))
    tried = " ".join(f"{length}:{passing}/{n}" for length, passing, n in bracket.tried)
    raw: dict[str, Any] = {"cell": one.cell, "data": one.data, "solved": bracket.solved, "failed": bracket.failed}
    raw |= {"broken": one.broken, "passed": good, "seeds": seeds, "init/hundredth_lag": one.reach, "tried": tried}
    raw |= {"kendall": correlation.tau, "kendall_low": correlation.low, "kendall_high": correlation.high}
    text = {"cell": one.cell, "data": one.data, "solved": str(bracket.solved or MISSING), "longest": one.longest}
    text |= {"passed": MISSING if good is None else f"{good}/{seeds}", "tried": tried}
    text |= {"init/hundredth_lag": lag(one.reach, one.lags)}
    return Row(raw, text)
