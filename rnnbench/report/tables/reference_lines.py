"""What needs no network: the reference scores that runs have recorded, as numbers and as lines of a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rnnbench.report.results import Result
from rnnbench.report.statistics import Group, data_settings
from rnnbench.report.tables.table import Row, number
from rnnbench.report.task_families import TaskFamily, split_reference

#: What a reference may depend on: the data's settings that vary, and T.
Place = tuple[tuple[tuple[str, Any], ...], int | None]


def reference_values(results: Iterable[Result], metric: str) -> dict[str, float]:
    """Every reference's score in a metric (bpc), by its name; of one that depends on the seed, the mean."""
    scores: dict[str, list[float]] = {}
    for result in results:
        for key in result.metrics:
            value, parts = result.number(key), split_reference(key)
            if value is not None and parts is not None and parts[1] == metric:
                scores.setdefault(parts[0], []).append(value)
    return {name: math.fsum(values) / len(values) for name, values in scores.items()}


def reference_rows(kind: TaskFamily, groups: Sequence[Group]) -> list[Row]:
    """A line for each reference and data set; one for each length, or setting of the data, on which it depends.

    Of one that depends on the seed, as what was read does, the mean.
    """
    each: dict[tuple[str, str], dict[Place, dict[str, list[float]]]] = {}
    for g in groups:
        place = (data_settings(g), g.length)
        for result in g.results:
            for key in result.metrics:
                value, parts = result.number(key), split_reference(key)
                if value is not None and parts is not None:
                    name, metric = parts
                    own = each.setdefault((g.data, name), {}).setdefault(place, {})
                    own.setdefault(f"test/{metric}", []).append(value)
    found = {
        line: {place: {key: math.fsum(own) / len(own) for key, own in values.items()} for place, values in by.items()}
        for line, by in each.items()
    }
    shows = {score.key: score.show for score in kind.scores}
    rows = []
    for (data, name), by_place in found.items():
        label = kind.references.get(name, name.replace("_", " "))
        for (settings, length), values in _fewest(by_place).items():
            raw = {"cell": name, "data": data, "length": length} | dict(settings)
            text = {metric: shows.get(metric, number)(value) for metric, value in values.items()}
            text |= {key: str(value) for key, value in settings}
            rows.append(Row(raw | values, text | {"cell": label, "data": data, "length": str(length or "")}))
    order = {name: index for index, name in enumerate(kind.references)}
    return sorted(
        rows, key=lambda row: (row.raw["data"], row.raw["length"] or 0, order.get(row.raw["cell"], len(order)))
    )


def _fewest(by_place: dict[Place, dict[str, float]]) -> dict[Place, dict[str, float]]:
    """The same under as few places as tell its values apart: none where it is constant, else by T, by settings."""
    blurs: tuple[Callable[[Place], Place], ...] = (
        lambda place: ((), None),
        lambda place: ((), place[1]),
        lambda place: (place[0], None),
    )
    for blur in blurs:
        merged: dict[Place, dict[str, float]] = {}
        for place, values in by_place.items():
            merged.setdefault(blur(place), {}).update(values)
        if all(_agree(values, merged[blur(place)]) for place, values in by_place.items()):
            return merged
    return by_place


def _agree(some: dict[str, float], others: dict[str, float]) -> bool:
    return all(math.isclose(value, others[key], rel_tol=1e-6) for key, value in some.items())
