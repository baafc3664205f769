"""What training runs on one data set say: who leads and how surely, what is beaten, gradients and speed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench.report.comparisons import unranked
from rnnbench.report.page.text import listed, spanned
from rnnbench.report.statistics import Group, by_place, data_settings, rank
from rnnbench.report.tables.table import lag, number
from rnnbench.report.task_families import TaskFamily

SPEED = "throughput/tokens_per_second"
#: The raw numbers of a line of `tables.comparisons`.
Test = Mapping[str, Any]


def training_sentences(
    kind: TaskFamily,
    groups: Sequence[Group],
    verdicts: Sequence[str],
    tests: Sequence[Test],
    changes: Sequence[Test] = (),
) -> list[str]:
    """What is said of one data set.

    verdicts: of each group's gradients after training; "" where unknown. tests: the comparisons of cells on these data.
    changes: those of a cell's lengths with its longest.
    """
    quality = [*_leaders(kind, groups, tests), *_changes(changes), *_references(kind, groups)]
    return [*quality, *_gradients(groups, verdicts), *_speed(groups)]


def _leaders(kind: TaskFamily, groups: Sequence[Group], tests: Sequence[Test]) -> list[str]:
    """Length by length which cell scores lowest and what the tests say; or why nothing is ranked."""
    out: list[str] = []
    refused: dict[str, list[str]] = {}
    for block in by_place(groups):
        known = [(g, e) for g in block if (e := g.estimate(kind.primary.key)) is not None and math.isfinite(e.mean)]
        if not known:
            continue
        if (reason := unranked(block)) is not None or len(known) < 2:
            scores = listed([f"{g.series} {kind.primary.show(e.mean)}" for g, e in known], 6)
            refused.setdefault(reason or "", []).append(f"{scores} at {block[0].place}")
            continue
        best, score = min(known, key=lambda pair: rank(pair[0], kind.primary.key))
        compared = [
            one for one in tests if one["length"] == best.length and best.series in (one["better"], one["other"])
        ]
        place = best.place + "".join(f", {name.rsplit('.', 1)[-1]} {value}" for name, value in data_settings(best))
        out.append(f"{place}: {best.series} has the lowest {kind.unit}, {kind.primary.show(score.mean)}. "
                   f"{_certainty(compared)}")  # fmt: skip
    for reason, clauses in refused.items():
        why = f"{reason[0].upper()}{reason[1:]}: " if reason else ""
        out.append(f"{why}{kind.unit} {'; '.join(clauses[:5])}{'; …' * (len(clauses) > 5)}.")
    return out or ["No run came to a score."]


def _certainty(compared: Sequence[Test]) -> str:
    """What the tests of a length say of the best cell against the others."""
    if not compared:
        return "There are too few seeds to test by how much."
    words = {
        "better": "better than", "better, within the margin": "better, if within the margin, than",
        "equivalent": "equivalent to", "undecided": "not shown to differ from",
        "the other lost runs": "ahead for its lost runs of",
    }  # fmt: skip
    clauses = []
    for one in compared:
        by, low, high = _difference(one)
        p = "p < 0.001" if one["p"] < 0.001 else f"p = {one['p']:.2g}"
        clauses.append(f"{words[str(one['verdict'])]} {one['other']} ({by}, {low} to {high}, {p})")
    return f"It is {listed(clauses, 4)}."


def _difference(one: Test) -> tuple[str, ...]:
    """By how much, and the ends of its interval."""
    return tuple(number(one[name], 2).replace("-", "−") for name in ("difference", "low", "high"))


def _changes(changes: Sequence[Test]) -> list[str]:
    """What a shorter length costs each cell against its longest."""
    by_cell: dict[str, list[Test]] = {}
    for one in changes:
        by_cell.setdefault(str(one["place"]), []).append(one)
    out = []
    for cell, tests in by_cell.items():
        clauses = []
        for one in tests:
            by, low, high = _difference(one)
            clauses.append(f"{one['better']} before {one['other']} by {by} ({low} to {high}; {one['verdict']})")
        out.append(f"{cell}, lengths against the longest: {listed(clauses, 6)}.")
    return out


def _references(kind: TaskFamily, groups: Sequence[Group]) -> list[str]:
    """Which reference lines are beaten: by each seed, or from five seeds on by the interval's upper end."""
    clauses: dict[str, list[str]] = {}
    for name, label in kind.drawn.items():
        beaten, values = [], []
        for g in groups:
            key = f"reference/{name}_{kind.primary.metric}"
            lines = [value for r in g.results if (value := r.number(key)) is not None]  # what was read varies by seed
            if lines:
                values.append(math.fsum(lines) / len(lines))
                beaten.append(_beats(g, values[-1], kind))
        if values:
            count = sum(beaten)
            who = "all beat" if count == len(beaten) else "none beats" if not count else f"{count} beat"
            clauses.setdefault(who, []).append(f"{label} ({spanned(values)})")
    if not clauses:
        return []
    parts = [f"{who} {listed(lines)}" for who, lines in clauses.items()]
    if len(groups) == 1:
        return [f"It beats {listed(clauses.get('all beat', ['no reference line']))}."]
    return [f"Of the table's {len(groups)} rows {'; '.join(parts)}."]


def _beats(g: Group, line: float, kind: TaskFamily) -> bool:
    """Never where a run was lost."""
    score = g.estimate(kind.primary.key)
    if score is None or len(g.done) < len(g.results):
        return False
    return (max(score.values) if score.high is None else score.high) < line


def _gradients(groups: Sequence[Group], verdicts: Sequence[str]) -> list[str]:
    """The lags at which gradients are down to a hundredth before and after, and the verdicts."""
    parts = []
    for when, words in (("init", "at first"), ("final", "after training")):
        lagged = [(v, g) for g in groups if (v := g.median(f"{when}/hundredth_lag")) is not None]
        if not lagged:
            continue
        most = max(lagged, key=lambda pair: pair[0])[1]
        where = f" (farthest: {most.series}, {most.place})" if len({v for v, _ in lagged}) > 1 else ""
        lags = [lag(v, g.median(f"{when}/lags")) for v, g in sorted(lagged, key=lambda pair: pair[0])]
        span = lags[0] if lags[0] == lags[-1] else f"{lags[0]} to {lags[-1]}"
        parts.append(f"{words} {span} states back{where}")
    if not parts:
        return []
    out = f"Gradients are down to a hundredth {', '.join(parts)}."
    known = Counter(verdict for verdict in verdicts if verdict)
    total = sum(known.values())
    if len(known) == 1:
        out += f" After training they are {next(iter(known))}{f' in all {total} cases' if total > 1 else ''}."
    elif known:
        counts = [f"{verdict} in {count}" for verdict, count in known.most_common()]
        out += f" After training they are {listed(counts)} of {total} cases."
    return [out]


def _speed(groups: Sequence[Group]) -> list[str]:
    """The fastest and the slowest at the longest T that several have in common."""
    lengths = sorted({g.length for g in groups}, reverse=True)
    for length in lengths:
        speeds = [(v, g) for g in groups if g.length == length and (v := g.median(SPEED)) is not None]
        if len(speeds) < 2:
            continue
        speeds.sort(key=lambda pair: -pair[0])
        (fast, first), (slow, last) = speeds[0], speeds[-1]
        return [
            f"Training is fastest with {first.series} at {first.place}, {number(fast, 2)} tokens/s, and slowest with "
            f"{last.series}, {number(fast / slow, 2)} times as slow."
        ]
    return []
