"""Scores that need no network, as the runs have recorded them: as numbers, as lines of a table, and who is not better.

A run that is not better than a baseline is a finding, and no divergence: on some data nothing can be learnt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rnnbench.report.results import Result
from rnnbench.report.statistics import Group, data_settings
from rnnbench.report.tables.table import Row, listed, number
from rnnbench.report.task_families import TaskFamily

#: The figures of merit that a reference's name may end in: ``seasonal_naive_mse``.
METRICS = ("bpc", "mse", "mae", "mase", "error", "nll", "accuracy", "chrf")
#: Groups of runs that are named.
NAMED = 5

#: What a reference may depend on: the data's settings that vary, and T.
Place = tuple[tuple[tuple[str, Any], ...], int | None]


def split_reference(key: str) -> tuple[str, str] | None:
    """``reference/seasonal_naive_mse`` as ("seasonal_naive", "mse"), ``…/guess_error_x2`` as ("guess", "error_x2").

    None for a metric that is no reference.
    """
    if not key.startswith("reference/"):
        return None
    name, _, metric = key.removeprefix("reference/").rpartition("_")
    if metric not in METRICS and (at := name.rpartition("_"))[2] in METRICS:
        return at[0], f"{at[2]}_{metric}"
    return name, metric


def _scores(results: Iterable[Result]) -> dict[tuple[str, str], float]:
    """By a reference's name and a metric its score; of one that depends on the seed the mean."""
    scores: dict[tuple[str, str], list[float]] = {}
    for result in results:
        for key in result.metrics:
            if (parts := split_reference(key)) is not None and (value := result.number(key)) is not None:
                scores.setdefault(parts, []).append(value)
    return {parts: math.fsum(values) / len(values) for parts, values in scores.items()}


def reference_values(results: Iterable[Result], metric: str) -> dict[str, float]:
    """Every reference's score in a metric (bpc), by its name."""
    return {name: value for (name, measured), value in _scores(results).items() if measured == metric}


def reference_rows(family: TaskFamily, groups: Sequence[Group]) -> list[Row]:
    """A line for each reference and data set; one for each length, or setting of the data, on which it depends."""
    results: dict[tuple[str, Place], list[Result]] = {}
    for g in groups:
        results.setdefault((g.data, (data_settings(g), g.length)), []).extend(g.results)
    lines: dict[tuple[str, str], dict[Place, dict[str, float]]] = {}
    for (data, place), members in results.items():
        for (name, metric), value in _scores(members).items():
            lines.setdefault((data, name), {}).setdefault(place, {})[f"test/{metric}"] = value
    shows = {score.key: score.show for score in family.scores}
    rows = []
    for (data, name), by_place in lines.items():
        label = family.references.get(name, name.replace("_", " "))
        for (settings, length), values in _fewest(by_place).items():
            raw = {"cell": name, "data": data, "length": length} | dict(settings)
            text = {metric: shows.get(metric, number)(value) for metric, value in values.items()}
            text |= {key: str(value) for key, value in settings}
            rows.append(Row(raw | values, text | {"cell": label, "data": data, "length": str(length or "")}))
    order = {name: index for index, name in enumerate(family.references)}
    rows.sort(key=lambda row: (row.raw["data"], row.raw["length"] or 0, order.get(row.raw["cell"], len(order))))
    return rows


def _fewest(by_place: dict[Place, dict[str, float]]) -> dict[Place, dict[str, float]]:
    """The same under as few places as tell its values apart: none where it is constant, else by T, by settings."""
    coarser: tuple[Callable[[Place], Place], ...] = (
        lambda place: ((), None),
        lambda place: ((), place[1]),
        lambda place: (place[0], None),
    )
    for coarse in coarser:
        merged: dict[Place, dict[str, float]] = {}
        for place, values in by_place.items():
            merged.setdefault(coarse(place), {}).update(values)
        if all(
            math.isclose(value, merged[coarse(place)][key], rel_tol=1e-6)
            for place, values in by_place.items()
            for key, value in values.items()
        ):
            return merged
    return by_place


def not_better(family: TaskFamily, metrics: Mapping[str, Any]) -> str | None:
    """``test bits per character 2.007 is worse than the baseline unigram (2.000).``

    Of the baselines that know nothing of the inputs, or only repeat them; None where the run is better than them all.
    """
    baselines = list(_not_above(family, metrics))
    if not baselines:
        return None
    score, show = metrics[family.primary.key], family.primary.show
    if any(show(line) == show(score) and line != score for _, line in baselines):
        show = "{:.9g}".format
    clauses = (
        f"{'worse' if line < score else 'no better'} than the baseline {family.references[name]} ({show(line)})"
        for name, line in baselines
    )
    return f"{family.unit} {show(score)} is {', '.join(clauses)}."


def not_better_notes(family: TaskFamily, groups: Sequence[Group]) -> list[str]:
    """For each baseline how many runs are not better, and which; no sentence where all are."""
    out = []
    for baseline in family.baselines:
        counts = [sum(baseline in dict(_not_above(family, r.metrics)) for r in g.done) for g in groups]
        if any(counts):
            which = [f"{g.series} at {g.place}" for g, count in zip(groups, counts, strict=True) if count]
            runs = f"{sum(counts)} of {sum(len(g.done) for g in groups)} runs"
            out.append(f"Not better than {family.references[baseline]}: {runs}, {listed(which, NAMED)}.")
    return out


def _not_above(family: TaskFamily, metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The baselines whose score is no higher than a run's, with it."""
    score = metrics.get(family.primary.key)
    for name in family.baselines:
        line = metrics.get(f"reference/{name}_{family.primary.metric}")
        if isinstance(score, float | int) and isinstance(line, float | int) and math.isfinite(score) and score >= line:
            yield name, float(line)
