"""The tables of comparisons: which cell is better than which, and what a length changes; how sure that is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rnnbench.report.comparisons import EVERY_PAIR, Comparison, compare, effects
from rnnbench.report.results import Result
from rnnbench.report.statistics import Group, group
from rnnbench.report.tables.table import MISSING, Column, Row, Table, with_range
from rnnbench.report.task_families import TASK_FAMILIES, Score

#: `Table.part` of such tables, and the end of their names.
COMPARISONS, EFFECTS = "comparisons", "effects"


def comparisons_table(name: str, results: Sequence[Result], axis: str, caption: str) -> Table | None:
    """A line a pair of cells, the best first, length by length and then over all; None where none may be compared.

    name: a key of `TASK_FAMILIES`.
    """
    groups, score = group(results, axis), TASK_FAMILIES[name].primary
    found = compare(groups, score)
    notes = []
    cells: dict[tuple[str, str], set[str]] = {}
    for one in found:
        cells.setdefault((one.data, one.place), set()).update((one.better, one.other))
    if any(len(some) > EVERY_PAIR for some in cells.values()):
        notes.append(("better", f"Of more than {EVERY_PAIR} cells the best is compared with each other one."))
    if any(one.place == "all" for one in found):
        notes.append(("place", f"All: of each seed the mean over all {groups[0].symbol}."))
    what = "of cells at every length, and over all"
    table = _table(name, COMPARISONS, "where", found, score, groups, caption, what)
    return table and dataclasses.replace(table, notes=(*table.notes, *notes))


def effects_table(name: str, results: Sequence[Result], axis: str, caption: str) -> Table | None:
    """A line a cell and length: its difference from the longest one; None where there is but one, or too few seeds."""
    groups, score = group(results, axis), TASK_FAMILIES[name].primary
    what = "of a cell's lengths with its longest"
    return _table(name, EFFECTS, "cell", effects(groups, score), score, groups, caption, what)


def _table(
    name: str,
    part: str,
    place: str,
    found: Sequence[Comparison],
    score: Score,
    groups: Sequence[Group],
    caption: str,
    family: str,
) -> Table | None:
    if not found:
        return None
    columns = (
        *([Column("data", "data", 0, left=True)] if len({one.data for one in found}) > 1 else []),
        Column("place", groups[0].symbol if place == "where" else place, 0, left=True),
        Column("better", "better", 0, left=True),
        Column("other", "than", 0, left=True),
        Column("difference", f"by, in {score.title}", 0),
        Column("verdict", "so they are", 0, left=True),
        Column("p", "p (Holm)", 1),
        Column("p_equivalent", f"p equivalent (±{score.margin:g})" if score.margin is not None else "", 2),
        Column("probability", "probability of improvement", 3),
        Column("text", "± by text", 3),
        Column("test", "test", 4, left=True),
        Column("seeds", "seeds", 5),
    )
    pairs = f"over all comparisons of this table ({len(found)}), {family}"
    notes = [
        ("difference", "By: difference of the means with its 95 % interval; bold where p < 0.05."),
        ("p", f"p: two-sided, corrected after Holm {pairs}."),
        ("probability", "Probability that a run of the one beats one of the other, of any seeds, with Newcombe's "
         "interval; lost runs lose."),
        ("text", "± by text: half of the difference's 95 % interval over blocks of the test text, which were doubled "
         "until it settled; ≥: it had not."),
        ("test", "Test: Welch's of independent samples; paired where a seed's runs share batches and initial weights."),
    ]  # fmt: skip
    if score.margin is not None:
        notes.append(
            ("p_equivalent", f"Equivalent: two one-sided tests against a margin of {score.margin:g} {score.metric}, "
             "stated before; p after Holm over the same comparisons. A large p alone is no sign of equality.")
        )  # fmt: skip
    table = Table(f"{name}-{part}", columns, tuple(map(_row, found)), (), tuple(notes), caption, part=part)
    return table.without_empty_columns()


def _row(one: Comparison) -> Row:
    raw: dict[str, Any] = {
        "data": one.data,
        "place": one.place,
        "length": one.length,
        "better": one.better,
        "other": one.other,
    }
    difference = dataclasses.asdict(one.difference)
    raw |= {"difference": difference.pop("mean")} | difference | {"verdict": one.verdict}
    raw |= {"seeds": one.seeds[0], "seeds_other": one.seeds[1]}
    raw |= {name: getattr(one, name) for name in ("probability", "probability_low", "probability_high")}
    raw |= {"text": one.text and one.text.half_width}
    text = {key: str(raw[key]) for key in ("data", "place", "better", "other", "verdict")}
    text["difference"] = with_range(one.difference.mean, one.difference.low, one.difference.high)
    text["p"] = _p(one.difference.p)
    text["p_equivalent"] = MISSING if one.difference.p_equivalent is None else _p(one.difference.p_equivalent)
    text["probability"] = f"{one.probability:.2f} ({one.probability_low:.2f} – {one.probability_high:.2f})"
    text["text"] = MISSING if one.text is None else one.text.text
    text["test"] = "paired t" if one.difference.paired else "Welch"
    text["seeds"] = str(one.seeds[0]) if one.seeds[0] == one.seeds[1] else f"{one.seeds[0]}, {one.seeds[1]}"
    return Row(raw, text, frozenset({"difference"}) if one.sure else frozenset())


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"
