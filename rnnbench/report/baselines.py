"""Runs that a baseline beats: a finding, and no divergence, as on some data nothing can be learnt."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rnnbench.report.statistics import Group
from rnnbench.report.task_families import TaskFamily

#: Groups of runs that are named.
NAMED = 5


def sentence(kind: TaskFamily, metrics: Mapping[str, Any]) -> str | None:
    """``test bits per character 2.007 is worse than the baseline unigram (2.000).``

    Of the baselines that know nothing of the inputs, or only repeat them; None where the run beats them all.
    """
    found = list(_unbeaten(kind, metrics))
    if not found:
        return None
    score = metrics[kind.primary.key]
    exact = any(kind.primary.show(line) == kind.primary.show(score) and line != score for _, line in found)
    show = (lambda value: f"{value:.9g}") if exact else kind.primary.show
    clauses = (
        f"{'worse' if line < score else 'no better'} than the baseline {kind.references[name]} ({show(line)})"
        for name, line in found
    )
    return f"{kind.unit} {show(score)} is {', '.join(clauses)}."


def notes(kind: TaskFamily, groups: Sequence[Group]) -> list[str]:
    """For each such baseline how many runs do not beat it, and which; no sentence where all do."""
    out = []
    for baseline in kind.baselines:
        counts = {id(g): sum(baseline in dict(_unbeaten(kind, result.metrics)) for result in g.done) for g in groups}
        which = [f"{g.series} at {g.place}" for g in groups if counts[id(g)]]
        if which:
            rest = f" and {len(which) - NAMED} more" if len(which) > NAMED else ""
            runs = f"{sum(counts.values())} of {sum(len(g.done) for g in groups)} runs"
            out.append(f"Not better than {kind.references[baseline]}: {runs}, {', '.join(which[:NAMED])}{rest}.")
    return out


def _unbeaten(kind: TaskFamily, metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    score = metrics.get(kind.primary.key)
    for name in kind.baselines:
        line = metrics.get(f"reference/{name}_{kind.primary.metric}")
        if isinstance(score, float | int) and isinstance(line, float | int) and math.isfinite(score) and score >= line:
            yield name, float(line)
