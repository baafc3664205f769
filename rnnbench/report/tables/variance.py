"""The table of what moves a score: weights, order and text, a line a group whose seeds are crossed."""

from __future__ import annotations

from collections.abc import Sequence

from rnnbench.report.kinds import KINDS, Score
from rnnbench.report.results import Result
from rnnbench.report.statistics import Group, group
from rnnbench.report.tables.groups import first_columns, first_entries
from rnnbench.report.tables.table import MISSING, Column, Row, Table, number
from rnnbench.report.variance import Components, components

#: `Table.part` of this one.
VARIANCE = "variance"


def variance_table(name: str, results: Sequence[Result], axis: str, caption: str) -> Table | None:
    """Standard deviations by source; None where no group's seeds are crossed. name: a key of `KINDS`."""
    groups, score = group(results, axis), KINDS[name].headline
    found = [(g, one) for g in groups if (one := components(g, score)) is not None]
    if not found:
        return None
    columns = (
        *first_columns(groups),
        Column("mean", score.title, 0),
        Column("weights", "sd by initial weights", 0),
        Column("order", "sd by order of the data", 0),
        Column("rest", "sd by both together", 1),
        Column("total", "sd of a fresh run", 0),
        Column("text", "± by text", 1),
        Column("seeds", "seeds of weights × order", 2),
    )
    notes = (
        ("weights", "sd: standard deviations by random-effects analysis of variance, seeds of weights and of order "
         "crossed; 0: too small to be seen."),
        ("rest", "By both together: what neither seed does alone."),
        ("text", "± by text: half of the 95 % interval over blocks of the test text, doubled until it settles; ≥: it "
         "has not."),
    )  # fmt: skip
    rows = tuple(_row(g, one, score) for g, one in found)
    return Table(f"{name}-{VARIANCE}", columns, rows, (), notes, caption, part=VARIANCE).without_empty_columns()


def _row(g: Group, one: Components, score: Score) -> Row:
    raw, text = first_entries(g)
    estimate = g.estimate(score.key)
    mean = None if estimate is None else estimate.mean
    raw |= {"mean": mean, "total": one.total} | {n: getattr(one, n) for n in ("weights", "order", "rest")}
    raw |= {"seeds": one.seeds[0], "seeds_order": one.seeds[1], "text": one.text and one.text.half_width}
    text |= {name: number(raw[name], 2) for name in ("weights", "order", "rest", "total")}
    text |= {"mean": number(mean), "seeds": f"{one.seeds[0]} × {one.seeds[1]}"}
    text["text"] = MISSING if one.text is None else one.text.text
    return Row(raw, text)
