"""Quality against speed: which cell, at which length, is beaten by none in both?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.report.comparisons import unranked_anywhere
from rnnbench.report.figures.contestants import direct_labels
from rnnbench.report.figures.style import GREY, canvas, legend_below, looks, plain_number, save, title_and_note
from rnnbench.report.significance import Estimate
from rnnbench.report.statistics import CROWD, Group
from rnnbench.report.task_families import TASK_FAMILIES
from rnnbench.report.timings import Timed

#: The speed that each training run measured of itself.
SPEED = "throughput/tokens_per_second"
#: Fewer points have no frontier worth the name.
LEAST = 3
#: Above the figure: with the frontier, and without one where the cells may not be ranked.
TITLE, UNRANKED = "Which cell, for the time it takes?", "Score and speed: no ranking"


@dataclass(frozen=True)
class Candidate:
    """A cell at a length, of which all runs are done: its score, less being better, and its speed in tokens a second.

    timed: where the speed is from; None where the runs measured it themselves.
    """

    group: Group
    score: Estimate
    speed: float
    timed: Timed | None


def frontier(points: Sequence[tuple[float, float]]) -> list[int]:
    """Of (speed, error) the indices of those that no other one beats, from the fastest to the best.

    One beats another where it is as fast and as good or better, and better in one of the two.
    """
    out: list[int] = []
    for index in sorted(range(len(points)), key=lambda i: (-points[i][0], points[i][1])):
        if not out or points[index][1] < points[out[-1]][1] or points[index] == points[out[-1]]:
            out.append(index)
    return out


def choices(groups: Sequence[Group], timed: Sequence[Timed], metric: str) -> list[Candidate]:
    """Every group with a score that lost no run, and its speed.

    The speed is that of the fastest contestant of the same cell at the runs' T and batch in one timing study, at one
    width, number format and device: of several such, those that know most of the groups, then those nearest to the
    runs' width. Where none knows `LEAST` of them, or some gradients are cut, which no layer timed by itself is, it is
    what the runs measured.
    """
    complete = [(g, g.estimate(metric)) for g in groups if len(g.done) == len(g.results)]
    scored = [(g, score) for g, score in complete if score is not None and math.isfinite(score.mean)]
    sources: dict[tuple[Any, ...], list[Timed]] = {}
    truncated = any(result.run["optim"].get("truncate") is not None for g in groups for result in g.results)
    for job in () if truncated else timed:
        if not job.decoding and job.ms is not None:
            names = ("hidden_size", "num_layers", "bidirectional", "dtype", "device")
            key = (job.result.folder.parent, job.result.protocol, *(job.settings[name] for name in names))
            sources.setdefault(key, []).append(job)
    known = [
        [Candidate(g, score, _speed(one), one) for g, score in scored if (one := _fastest(g, jobs))]
        for jobs in sources.values()
    ]
    best = max(known, key=lambda some: (len(some), -_apart(some)), default=[])
    if len(best) >= LEAST:
        return best
    return [Candidate(g, score, speed, None) for g, score in scored if (speed := g.median(SPEED)) is not None]


def best_choices(candidates: Sequence[Candidate]) -> tuple[list[int], str | None]:
    """The indices of those on the `frontier`; none, and why, where these cells may not be ranked."""
    reason = unranked_anywhere([one.group for one in candidates])
    return ([] if reason else frontier([(one.speed, one.score.mean) for one in candidates])), reason


def _speed(one: Timed) -> float:
    return one.numbers["tokens_per_second"]


def _fastest(g: Group, timed: Sequence[Timed]) -> Timed | None:
    data = g.results[0].run["data"]
    shape = (g.cell, g.results[0].seq_len, data.get("batch_size"))
    alike = [one for one in timed if (one.cell, one.settings["seq_len"], one.settings["batch_size"]) == shape]
    return max(alike, key=_speed, default=None)


def _apart(candidates: Sequence[Candidate]) -> float:
    """How many octaves, at most, the width that was timed lies from the runs'."""
    octaves = [0.0]
    for one in candidates:
        width = one.group.median("model/hidden_size") or one.group.results[0].run["model"].get("hidden_size")
        if one.timed is not None and width:
            octaves.append(abs(math.log2(one.timed.settings["hidden_size"] / width)))
    return max(octaves)


def compared(groups: Sequence[Group], timed: Sequence[Timed], metric: str) -> list[Candidate]:
    """The `choices`; none where they are too few, or anything but cells and lengths is compared: a start or a depth is
    no question of speed alone.
    """
    candidates = [] if groups[0].extras else choices(groups, timed, metric)
    return candidates if len(candidates) >= LEAST else []


def pareto_figure(
    kind: str, groups: Sequence[Group], timed: Sequence[Timed], path: Path, formats: set[str]
) -> list[Path]:
    """The score against tokens a second, with the frontier; one cell's lengths are joined."""
    candidates = compared(groups, timed, TASK_FAMILIES[kind].primary.key)
    if not candidates:
        return []
    best, reason = best_choices(candidates)
    looking = looks([one.group.cell for one in candidates])
    lengths = {one.group.length for one in candidates}
    # A legend says which cell, and each point which T; of many cells, or at one T, the points say their cells.
    legend = len(lengths) > 1 and len(looking) < CROWD
    with canvas(width=7.6, height=5.0 if len(looking) < CROWD else 6.4) as (figure, (axes,)):
        if best:
            x, y = [candidates[i].speed / 1e3 for i in best], [candidates[i].score.mean for i in best]
            style: dict[str, Any] = {"color": GREY, "linewidth": 5, "alpha": 0.3, "drawstyle": "steps-post"}
            axes.plot(x, y, **style, label="beaten by none in both")
        for cell, look in looking.items():
            of_cell = [one for one in candidates if one.group.cell == cell]
            x, y = [one.speed / 1e3 for one in of_cell], [one.score.mean for one in of_cell]
            ends = [one.score.interval or (one.score.mean, one.score.mean) for one in of_cell]
            widths = [[mean - low for mean, (low, _) in zip(y, ends, strict=True)],
                      [high - mean for mean, (_, high) in zip(y, ends, strict=True)]]  # fmt: skip
            style = look.line() | {"linewidth": 0.8, "capsize": 2, "label": cell if legend else ""}
            axes.errorbar(x, y, yerr=widths if any(map(any, widths)) else None, **style)
        axes.set_xscale("log")
        plain_number(axes.xaxis)
        title_and_note(axes, TITLE if best else UNRANKED, _source(candidates, groups, legend, reason), 100)
        axes.set_xlabel("tokens per second in training (thousand): faster to the right")
        axes.set_ylabel(f"{TASK_FAMILIES[kind].unit}, less is better")
        legend_below(figure, axes)
        first = {one.group.cell: i for i, one in reversed(list(enumerate(candidates)))}
        named = {*best, *(range(len(candidates)) if legend else first.values())}
        points = []
        for i in sorted(range(len(candidates)), key=lambda i: i not in best):
            name = _name(candidates[i], legend, lengths) if i in named else ""
            points.append(
                (candidates[i].speed / 1e3, candidates[i].score.mean, name, looking[candidates[i].group.cell].color)
            )
        direct_labels(axes, points)
        return save(figure, path, formats)


def _name(one: Candidate, legend: bool, lengths: set[int]) -> str:
    if legend:
        return str(one.group.length)
    return f"{one.group.cell}, {one.group.symbol} {one.group.length}" if len(lengths) > 1 else one.group.cell


def _source(candidates: Sequence[Candidate], groups: Sequence[Group], legend: bool, reason: str | None) -> str:
    """Where the speeds are from, at which width, how many are left out, and why nothing is ranked."""
    source = "Speed: as the runs themselves measured it, with all that a training does"
    if candidates[0].timed is not None:
        source = (
            f"Speed: a layer's training step by the fastest certified backend in {timing_source(candidates[0].timed)}"
        )
    missing = len(groups) - len(candidates)
    lost = f"; {missing} of {len(groups)} are left out, having lost runs or no such time" if missing else ""
    numbers = f"Numbers: {groups[0].symbol}. " if legend else ""
    return f"{numbers}{source}{lost}{f'; {reason}' if reason else ''}."


def timing_source(timed: Timed) -> str:
    """The study of a timing, and what was timed on what."""
    settings = timed.settings
    return f"{timed.result.study}, H {settings['hidden_size']}, {settings['dtype']}, on {settings['device']}"
