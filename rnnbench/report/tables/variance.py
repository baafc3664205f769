"""What moves a score: the initial weights, the order of the data, the test text. Apart, where a study has them crossed.

Runs whose seeds of weights and of order are crossed, each of the one with each of the other, are a two-way layout with
one run a cell. By random-effects analysis of variance (Searle, Casella & McCulloch 1992, section 4.5) with n seeds of
weights, m of order,

    σ²_weights = (MS_weights − MS_rest) / m,   σ²_order = (MS_order − MS_rest) / n,   σ²_rest = MS_rest:

what is due to the one, to the other, and to neither alone. An estimate below zero is a variance too small to be seen,
and is 0. Without torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rnnbench.report.results import Result
from rnnbench.report.statistics import Group, group
from rnnbench.report.tables.notes import first_columns, first_entries
from rnnbench.report.tables.table import MISSING, Column, Row, Table, number
from rnnbench.report.task_families import TASK_FAMILIES, Score
from rnnbench.report.text_blocks import TextSpread, score_by_text


@dataclass(frozen=True)
class Components:
    """Standard deviations of a score.

    Args:
        weights: Due to the seed of the initial weights.
        order: Due to the seed of the data's order.
        rest: Of the two together, beyond both.
        text: Over blocks of the test text; None where it was not recorded.
        seeds: Seeds of weights, and of order.
    """

    weights: float
    order: float
    rest: float
    text: TextSpread | None
    seeds: tuple[int, int]

    @property
    def total(self) -> float:
        """Of a run with fresh seeds of both."""
        return math.sqrt(self.weights**2 + self.order**2 + self.rest**2)


def components(g: Group, score: Score) -> Components | None:
    """Of a group whose seeds are crossed, every run of it done; None of another."""
    found = {r.seeds: value for r in g.done if (value := r.number(score.key)) is not None}
    first, second = (sorted({r.seeds[side] for r in g.results}) for side in (0, 1))
    n, m = len(first), len(second)
    if min(n, m) < 2 or len(found) < n * m:
        return None
    mean = math.fsum(found.values()) / (n * m)
    rows = [math.fsum(found[one, two] for two in second) / m - mean for one in first]
    columns = [math.fsum(found[one, two] for one in first) / n - mean for two in second]
    rest = math.fsum(
        (found[one, two] - mean - row - column) ** 2
        for one, row in zip(first, rows, strict=True)
        for two, column in zip(second, columns, strict=True)
    ) / ((n - 1) * (m - 1))
    weights = (m * math.fsum(row**2 for row in rows) / (n - 1) - rest) / m
    order = (n * math.fsum(column**2 for column in columns) / (m - 1) - rest) / n
    text = score_by_text(g) if score.key == "test/bpc" else None
    return Components(math.sqrt(max(weights, 0)), math.sqrt(max(order, 0)), math.sqrt(rest), text, (n, m))


#: `Table.part` of this one.
VARIANCE = "variance"


def variance_table(name: str, results: Sequence[Result], axis: str, caption: str) -> Table | None:
    """Standard deviations by source; None where no group's seeds are crossed. name: a key of `TASK_FAMILIES`."""
    groups, score = group(results, axis), TASK_FAMILIES[name].primary
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
