"""The longest T that each cell could learn over, beside its gradient's half-life before training.

A study is such a search where, on a task that can be solved (`probes.solvable.METRIC`), not every cell was tried at the
same lengths. All its runs of such tasks are then shown here, and not in a table with a line for each length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench.probes.solvable import METRIC, PASS, SHARE, Bracket, bracket, passed
from rnnbench.report.caption import caption
from rnnbench.report.correlation import Correlation, spearman
from rnnbench.report.results import LOST, Result
from rnnbench.report.statistics import cell_rank, group
from rnnbench.report.tables.lost import broken_notes, circumstances
from rnnbench.report.tables.table import MISSING, Column, Row, Table, number


@dataclass(frozen=True)
class Solvable:
    """What a search found of one cell on one task.

    Args:
        cell: Its label, with whatever else tells it from others of the same cell.
        data: The task.
        found: The bracket and all tries.
        half_life: Of its gradient before training, in states, at the shortest T of the task: median over seeds.
        horizon: Its effective horizon there, in states: median over seeds.
        results: All its runs.
    """

    cell: str
    data: str
    found: Bracket
    half_life: float | None
    horizon: float | None
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
    """What the searches among a study's training runs found, by task and the longest T first; and all other runs."""
    tasks: dict[str, list[Result]] = {}
    for result in train:
        if result.data in METRIC and result.run["data"].get("name") == result.data:
            tasks.setdefault(result.data, []).append(result)
    found = [one for data, results in tasks.items() for one in _cells(data, results)]
    lengths: dict[str, set[tuple[int, ...]]] = {}
    for one in found:
        lengths.setdefault(one.data, set()).add(tuple(length for length, _, _ in one.found.tried))
    if not any(len(tried) > 1 for tried in lengths.values()):
        return [], list(train)
    order = sorted(found, key=lambda one: (list(METRIC).index(one.data), -one.found.middle, cell_rank(one.cell)))
    return order, [result for result in train if result.data not in tasks]


def _cells(data: str, results: Sequence[Result]) -> list[Solvable]:
    shortest = min(result.seq_len for result in results)
    members: dict[str, list[Result]] = {}
    for g in group(results):
        members.setdefault(g.series, []).extend(g.results)
    out = []
    for cell, own in members.items():
        tried: dict[int, list[bool]] = {}
        for result in own:
            tried.setdefault(result.seq_len, []).append(passed(data, result.status, result.metrics))
        start = [result for result in own if result.seq_len == shortest]
        half_life, horizon = (_median(start, f"init/{name}") for name in ("half_life", "horizon"))
        out.append(Solvable(cell, data, bracket(tried), half_life, horizon, tuple(own)))
    return out


def _median(results: Sequence[Result], name: str) -> float | None:
    """Over all runs that have it, diverged ones too: it was measured before they did. It may be infinite."""
    values = sorted(value for result in results if (value := result.number(name)) is not None)
    if not values:
        return None
    low, high = values[(len(values) - 1) // 2], values[len(values) // 2]
    return low if low == high else (low + high) / 2


def predicts(found: Sequence[Solvable]) -> dict[str, Correlation]:
    """By task, the rank correlation over cells of the half-life at initialisation and the longest solvable T.

    A cell whose search was ended by errors is left out: how far it would have come is not known.
    """
    out = {}
    for data in dict.fromkeys(one.data for one in found):
        own = [one for one in found if one.data == data and not one.broken]
        pairs = [(one.half_life, one.found.middle) for one in own if one.half_life is not None]
        out[data] = spearman([x for x, _ in pairs], [y for _, y in pairs])
    return out


def solvable_table(found: Sequence[Solvable]) -> Table:
    """A line for each cell and task: the longest T with its bracket, its tries, half-life and horizon at the start."""
    correlations = predicts(found)
    shortest = {data: min(one.found.tried[0][0] for one in found if one.data == data) for data in correlations}
    columns = (
        Column("cell", "cell", 0, left=True),
        *([Column("data", "data", 0, left=True)] if len(shortest) > 1 else []),
        Column("solved", "longest T solved", 0),
        Column("longest", "solved–failed", 1),
        Column("passed", "seeds passed at it", 2),
        Column("init/half_life", "half-life at init (states)", 1),
        Column("init/horizon", "horizon at init (states)", 3),
        Column("tried", "passed at each T", 4, left=True),
    )
    runs = [result for one in found for result in one.results]
    rows = tuple(_row(one, correlations[one.data]) for one in found)
    notes = [("solved", _criterion()), ("init/half_life", _measured(shortest))]
    if broken := [result for result in runs if result.broken]:
        notes.append(("solved", _errors(broken, sum(one.broken for one in found))))
        notes += [("solved", sentence) for sentence in broken_notes(runs)]
    notes += [("solved", sentence) for sentence in circumstances(runs)]
    for data, correlation in correlations.items():
        sentence = f"{data}: Spearman's rank correlation of half-life at init and longest T: {correlation.text()}"
        left_out = f"; {correlation.undefined:.1%} of resamples had none" if correlation.undefined >= 0.0005 else ""
        notes.append(("solved", f"{sentence} (bootstrap over cells{left_out})."))
    return Table("solvable", columns, rows, notes=tuple(notes), caption=caption(runs)).without_empty_columns()


def _criterion() -> str:
    return (
        f"Solved: at least {SHARE:.0%} of the seeds pass, there and at every shorter T tried; adding passes below a "
        f"test mse of {PASS}, copying below a test error of {PASS}. ≥: the longest T tried was solved; <: the shortest "
        "was not."
    )


def _errors(broken: Sequence[Result], searches: int) -> str:
    named = {str(result.error or "unknown").split(":")[0] for result in broken if result.status == "failed"}
    kinds = [
        *sorted(named),
        *(LOST[status] for status in ("oom", "timeout") if any(r.status == status for r in broken)),
    ]
    return (
        f"Runs that ended in an error, and count as not passed: {len(broken)} ({', '.join(kinds)}). †: errors ended "
        f"the search, {searches} in all; these are left out of the correlation. `rnnbench sweep --retry_failed` does "
        "them anew."
    )


def _measured(shortest: dict[str, int]) -> str:
    where = ", ".join(f"T = {length} ({data})" for data, length in shortest.items())
    return (
        f"Half-life and horizon before training at the shortest T, which all cells share: {where}; median over seeds."
    )


def _row(one: Solvable, correlation: Correlation) -> Row:
    found = one.found
    at = next(((good, seeds) for length, good, seeds in found.tried if length == found.solved), None)
    raw: dict[str, Any] = {"cell": one.cell, "data": one.data, "solved": found.solved, "failed": found.failed}
    raw |= {
        "broken": one.broken,
        "passed": at and at[0],
        "seeds": at and at[1],
        "init/half_life": one.half_life,
        "init/horizon": one.horizon,
    }
    raw |= {"tried": " ".join(f"{length}:{good}/{seeds}" for length, good, seeds in found.tried)}
    raw |= {"spearman": correlation.rho, "spearman_low": correlation.low, "spearman_high": correlation.high}
    text = {"cell": one.cell, "data": one.data, "solved": str(found.solved or MISSING), "longest": one.longest}
    text |= {"passed": f"{at[0]}/{at[1]}" if at else MISSING, "tried": raw["tried"]}
    text |= {name: number(raw[name], 3) for name in ("init/half_life", "init/horizon")}
    return Row(raw, text)
