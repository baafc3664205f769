"""What training runs on one data set say: who leads and how surely, what is beaten, gradients and speed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench.report.kinds import Kind
from rnnbench.report.page.sentences import counted, listed, spanned
from rnnbench.report.statistics import Group, data_settings, rank
from rnnbench.report.tables.table import number

SPEED = "throughput/tokens_per_second"
#: The best and the next, of those that lost no run.
Leader = tuple[Group, Group]
#: The raw numbers of a line of `tables.comparisons`; below so small a p chance alone is an unlikely reason.
Test = Mapping[str, Any]
SURE = 0.05


def training_sentences(
    kind: Kind, groups: Sequence[Group], verdicts: Sequence[str], tests: Sequence[Test]
) -> list[str]:
    """What is said of one data set.

    Args:
        kind: Of its task.
        groups: Over seeds.
        verdicts: Of each group's gradients after training; "" where unknown.
        tests: The study's paired comparisons on these data.
    """
    return [
        *_leaders(kind, groups, tests), *_references(kind, groups), *_gradients(groups, verdicts), *_speed(groups)
    ]  # fmt: skip


def _leaders(kind: Kind, groups: Sequence[Group], tests: Sequence[Test]) -> list[str]:
    key = kind.headline.key
    blocks: dict[tuple[Any, ...], list[Group]] = {}
    for g in groups:
        blocks.setdefault((data_settings(g), g.seq_len), []).append(g)
    found: list[Leader] = []
    for members in blocks.values():
        whole = [g for g in sorted(members, key=lambda g: rank(g, key)) if rank(g, key) < (True, 0.0)]
        whole = [g for g in whole if math.isfinite(rank(g, key)[1])]
        if len(whole) > 1:
            found.append((whole[0], whole[1]))
    if not found:
        return _alone(kind, groups)
    several = len({data_settings(g) for g in groups}) > 1
    by_series: dict[str, list[str]] = {}
    for best, _ in found:
        settings = data_settings(best) if several else ()
        place = f"T = {best.seq_len}" + "".join(f", {name.rsplit('.', 1)[-1]} {value}" for name, value in settings)
        by_series.setdefault(best.series, []).append(f"{_score(kind, best)} at {place}")
    if len(by_series) == 1 and len(found) > 1:
        ((leader, places),) = by_series.items()
        first = f"{leader} has the lowest {kind.unit} at every length: {listed(places)}."
    else:
        named = [f"{series}, {listed(places, 4)}" for series, places in by_series.items()]
        first = f"The lowest {kind.unit}: {'; '.join(named[:5])}{'; …' * (len(named) > 5)}."
    return [f"{first} {_certainty(kind, found, tests)}"]


def _alone(kind: Kind, groups: Sequence[Group]) -> list[str]:
    """Of a lone cell, or where all others lost runs, there is no order to speak of."""
    found = [(g, e) for g in groups if (e := g.estimate(kind.headline.key)) is not None and math.isfinite(e.iqm)]
    if not found:
        return ["No run came to a score."]
    named = [f"{g.series} {_score(kind, g)} at T = {g.seq_len}" for g, _ in found]
    return [f"{kind.unit[0].upper()}{kind.unit[1:]}: {listed(named)}."]


def _score(kind: Kind, g: Group) -> str:
    found = g.estimate(kind.headline.key)
    return kind.headline.show(found.iqm if found else None)


def _certainty(kind: Kind, found: Sequence[Leader], tests: Sequence[Test]) -> str:
    """Whether the lead is more than chance: by the paired tests of the study, or by nothing where seeds are few."""
    least = min(len(g.done) for pair in found for g in pair)
    compared = {(one["seq_len"], one["better"], one["other"]): one for one in tests}
    sure: list[Test] = []
    unsure: list[Test] = []
    untested = 0
    for best, second in found:
        one = compared.get((best.seq_len, best.series, second.series))
        if one is None:
            untested += 1
        elif one["p"] < SURE and one["low"] > 0:
            sure.append(one)
        else:
            unsure.append(one)
    if untested == len(found):
        seeds = counted(least, "seed")
        return f"With {seeds} each these are points, not a verdict: {_margins(kind, found)}."
    parts = []
    if sure:
        parts.append(f"The lead over the next one is more than chance at {_leads(sure, len(found))}")
    if unsure:
        begin = "it is not sure" if sure else "The lead over the next one is not sure"
        parts.append(f"{begin} at {_leads(unsure, len(found))}")
    if untested:
        parts.append(f"too few seeds are shared to test it at {untested} more")
    return f"{'; '.join(parts)} (paired t-tests, p after Holm's correction; intervals of 95 %)."


def _leads(some: Sequence[Test], of: int) -> str:
    """Lengths, over whom, by how much, and how sure: one by one, or of several the span of all."""
    if len(some) > 2:
        others = listed(list(dict.fromkeys(one["other"] for one in some)), 4)
        where = "every length" if len(some) == of else f"T = {listed([str(one['seq_len']) for one in some])}"
        by = spanned([one["difference"] for one in some], 2)
        return f"{where}: over {others} by {by}, {_p(max(one['p'] for one in some), '≤')}"
    told = []
    for one in some:
        by, low, high = (number(one[name], 2).replace("-", "−") for name in ("difference", "low", "high"))
        told.append(f"T = {one['seq_len']}: over {one['other']} by {by}, {low} to {high}, {_p(one['p'])}")
    return "; ".join(told)


def _p(value: float, sign: str = "=") -> str:
    return "p < 0.001" if value < 0.001 else f"p {sign} {value:.2g}"


def _margins(kind: Kind, found: Sequence[Leader]) -> str:
    """How far ahead, whatever it is worth."""
    gaps = []
    for best, second in found:
        one, two = (g.estimate(kind.headline.key) for g in (best, second))
        gaps.append(abs(two.iqm - one.iqm) if one and two else 0.0)
    return f"the next one is {spanned(gaps, 2)} behind"


def _references(kind: Kind, groups: Sequence[Group]) -> list[str]:
    """Which reference lines are beaten: by each seed, or from five seeds on by the interval's upper end."""
    clauses: dict[str, list[str]] = {}
    for name, label in kind.drawn.items():
        beaten, values = [], []
        for g in groups:
            key = f"reference/{name}_{kind.headline.metric}"
            line = next((value for r in g.results if (value := r.number(key)) is not None), None)
            if line is not None:
                values.append(line)
                beaten.append(_beats(g, line, kind))
        if values:
            count = sum(beaten)
            who = "all beat" if count == len(beaten) else "none beats" if not count else f"{count} beat"
            clauses.setdefault(who, []).append(f"{label} ({spanned(values)})")
    if not clauses:
        return []
    told = [f"{who} {listed(lines)}" for who, lines in clauses.items()]
    if len(groups) == 1:
        return [f"It beats {listed(clauses.get('all beat', ['no reference line']))}."]
    return [f"Of the table's {len(groups)} rows {'; '.join(told)}."]


def _beats(g: Group, line: float, kind: Kind) -> bool:
    """Never where a run was lost."""
    found = g.estimate(kind.headline.key)
    if found is None or len(g.done) < len(g.results):
        return False
    return (max(found.values) if found.high is None else found.high) < line


def _gradients(groups: Sequence[Group], verdicts: Sequence[str]) -> list[str]:
    """Half-lives before and after, and the verdicts."""
    parts = []
    for when, words in (("init", "at first"), ("final", "after training")):
        found = [(v, g) for g in groups if (v := g.median(f"{when}/half_life")) is not None]
        if not found:
            continue
        most = max(found, key=lambda pair: pair[0])[1]
        where = f" (longest: {most.series}, T = {most.seq_len})" if len({v for v, _ in found}) > 1 else ""
        parts.append(f"{words} {spanned(v for v, _ in found)} states{where}")
    if not parts:
        return []
    out = f"The half-life of gradients is {', '.join(parts)}."
    known = Counter(verdict for verdict in verdicts if verdict)
    total = sum(known.values())
    if len(known) == 1:
        out += f" After training they are {next(iter(known))}{f' in all {total} cases' if total > 1 else ''}."
    elif known:
        told = [f"{verdict} in {count}" for verdict, count in known.most_common()]
        out += f" After training they are {listed(told)} of {total} cases."
    return [out]


def _speed(groups: Sequence[Group]) -> list[str]:
    """The fastest and the slowest at the longest T that several have in common."""
    lengths = sorted({g.seq_len for g in groups}, reverse=True)
    for length in lengths:
        found = [(v, g) for g in groups if g.seq_len == length and (v := g.median(SPEED)) is not None]
        if len(found) < 2:
            continue
        found.sort(key=lambda pair: -pair[0])
        (fast, first), (slow, last) = found[0], found[-1]
        workers = max((int(r.environment.get("workers") or 1) for g in groups for r in g.results), default=1)
        shared = f", as measured with {workers} runs at a time" if workers > 1 else ""
        return [
            f"Training is fastest with {first.series} at T = {length}, {number(fast, 2)} tokens/s, and slowest with "
            f"{last.series}, {number(fast / slow, 2)} times as slow{shared}."
        ]
    return []
