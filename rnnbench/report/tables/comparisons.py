"""The tables beside a table of trainings: which cell is better than which, what a length changes, what moves a score.

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
from typing import Any

import numpy as np

from rnnbench.config import CellConfig
from rnnbench.report.comparisons import EVERY_PAIR, Comparison, Unranked, compare, compare_with, effects
from rnnbench.report.statistics import Group
from rnnbench.report.tables.notes import BY_TEXT, first_columns, first_entries
from rnnbench.report.tables.table import MISSING, Column, Row, Table, number, with_range
from rnnbench.report.task_families import TASK_FAMILIES, Score
from rnnbench.report.text_blocks import TextSpread, score_by_text

#: `Table.part` of such tables, and the end of their names.
COMPARISONS, EFFECTS, VARIANCE, AGAINST = "comparisons", "effects", "variance", "against"


def comparisons_table(name: str, groups: Sequence[Group], caption: str) -> Table | None:
    """A line a pair of cells, the best first, length by length and then over all; None where none may be compared.

    name: a key of `TASK_FAMILIES`.
    """
    score = TASK_FAMILIES[name].primary
    pairs = compare(groups, score)
    cells: dict[tuple[str, str], set[str]] = {}
    for one in pairs:
        cells.setdefault((one.data, one.place), set()).update((one.better, one.other))
    notes = []
    if any(len(some) > EVERY_PAIR for some in cells.values()):
        notes.append(("better", f"Of more than {EVERY_PAIR} cells the best is compared with each other one."))
    if any(one.place == "all" for one in pairs):
        notes.append(("place", f"All: of each seed the mean over all {groups[0].symbol}."))
    what = "of cells at every length, and over all"
    return _pairs_table(name, COMPARISONS, groups[0].symbol, pairs, score, caption, what, notes)


def against_table(name: str, groups: Sequence[Group], caption: str, cell: str) -> Table | None:
    """A line for a cell with each other one, length by length, also where the pair may not be ranked.

    Args:
        name: A key of `TASK_FAMILIES`.
        cell: As `named` has it; None comes back where no group is of it, or no other.
    """
    score = TASK_FAMILIES[name].primary
    pairs = compare_with(groups, score, named(groups, cell))
    return _pairs_table(name, AGAINST, groups[0].symbol, pairs, score, caption, f"of {cell} with each other cell")


def named(groups: Sequence[Group], cell: str) -> set[str]:
    """The series that a user means by a cell: of its very label; else of its name, or class, in whatever case."""
    label = {g.series for g in groups if cell in (g.series, g.cell)}
    return label or {g.series for g in groups if cell.casefold() in _names(g)}


def _names(g: Group) -> set[str]:
    config = CellConfig.parse(g.results[0].run["cell"])
    return {name.casefold() for name in (config.name, config.short_name, config.label)}


def effects_table(name: str, groups: Sequence[Group], caption: str) -> Table | None:
    """A line a cell and length: its difference from the longest one; None where there is but one, or too few seeds."""
    score = TASK_FAMILIES[name].primary
    what = "of a cell's lengths with its longest"
    return _pairs_table(name, EFFECTS, "cell", effects(groups, score), score, caption, what)


def _pairs_table(
    name: str,
    part: str,
    place: str,
    pairs: Sequence[Comparison | Unranked],
    score: Score,
    caption: str,
    what: str,
    more_notes: Sequence[tuple[str, str]] = (),
) -> Table | None:
    if not pairs:
        return None
    several_data = len({one.data for one in pairs}) > 1
    columns = (
        *([Column("data", "data", 0, left=True)] if several_data else []),
        Column("place", place, 0, left=True),
        Column("better", "better", 0, left=True),
        Column("other", "than", 0, left=True),
        Column("difference", f"by, in {score.title}", 0),
        Column("verdict", "so they are", 0, left=True),
        Column("p", "p (Holm)", 1),
        *([Column("p_equivalent", f"p equivalent (±{score.margin:g})", 2)] if score.margin is not None else []),
        Column("probability", "probability of improvement", 3),
        Column("text", "± by text", 3),
        Column("test", "test", 4, left=True),
        Column("seeds", "seeds", 5),
    )
    tested = sum(isinstance(one, Comparison) for one in pairs)
    interval = " with its 95 % interval; bold where p < 0.05" if tested else ""
    notes = [
        ("difference", f"By: difference of the means{interval}."),
        ("p", f"p: two-sided, corrected after Holm over all comparisons of this table ({tested}), {what}."),
        ("probability", "Probability that a run of the one beats one of the other, of any seeds, with Newcombe's "
         "interval; lost runs lose."),
        ("text", "± by text: half of the difference's 95 % interval over blocks of the test text, which were doubled "
         "until it settled; ≥: it had not."),
        ("test", "Test: Welch's of independent samples; paired where a seed's runs share batches and initial weights."),
        ("p_equivalent", f"Equivalent: two one-sided tests against a margin of {score.margin} {score.metric}, stated "
         "before; p after Holm over the same comparisons. A large p alone is no sign of equality."),
        *more_notes,
    ]  # fmt: skip
    table = Table(f"{name}-{part}", columns, tuple(map(_pair_row, pairs)), (), tuple(notes), caption, part=part)
    return table.without_empty_columns()


def _pair_row(one: Comparison | Unranked) -> Row:
    if isinstance(one, Unranked):
        raw: dict[str, Any] = {
            key: getattr(one, key) for key in ("data", "place", "length", "better", "other", "difference")
        }
        raw |= {"verdict": one.reason, "seeds": one.seeds[0], "seeds_other": one.seeds[1]}
        text = {key: str(raw[key]) for key in ("data", "place", "better", "other", "verdict")}
        text |= {"difference": number(one.difference), "seeds": ", ".join(map(str, dict.fromkeys(one.seeds)))}
        return Row(raw, text | dict.fromkeys(("p", "p_equivalent", "probability", "text", "test"), MISSING))
    difference = one.difference
    raw = {key: getattr(one, key) for key in ("data", "place", "length", "better", "other")}
    raw |= {"difference": difference.mean, "low": difference.low, "high": difference.high, "p": difference.p}
    raw |= {"p_equivalent": difference.p_equivalent, "paired": difference.paired, "verdict": one.verdict}
    raw |= {"seeds": one.seeds[0], "seeds_other": one.seeds[1]}
    raw |= {key: getattr(one, key) for key in ("probability", "probability_low", "probability_high")}
    raw |= {"text": one.text and one.text.half_width}
    text = {key: str(raw[key]) for key in ("data", "place", "better", "other", "verdict")}
    text |= {
        "difference": with_range(difference.mean, difference.low, difference.high),
        "p": _p(difference.p),
        "p_equivalent": _p(difference.p_equivalent),
        "probability": f"{one.probability:.2f} ({one.probability_low:.2f} – {one.probability_high:.2f})",
        "text": MISSING if one.text is None else one.text.text,
        "test": "paired t" if difference.paired else "Welch",
        "seeds": ", ".join(map(str, dict.fromkeys(one.seeds))),
    }
    return Row(raw, text, frozenset({"difference"} if one.sure else ()))


def _p(value: float | None) -> str:
    return MISSING if value is None else "< 0.0001" if value < 1e-4 else f"{value:.2g}"


@dataclass(frozen=True)
class Components:
    """Standard deviations of a score."""

    weights: float  # due to the seed of the initial weights
    order: float  # due to the seed of the data's order
    rest: float  # of the two together, beyond both
    text: TextSpread | None  # over blocks of the test text; None where it was not recorded
    seeds: tuple[int, int]  # seeds of weights, and of order

    @property
    def total(self) -> float:
        """Of a run with fresh seeds of both."""
        return math.sqrt(self.weights**2 + self.order**2 + self.rest**2)


def components(g: Group, score: Score) -> Components | None:
    """Of a group whose seeds are crossed, every run of it done; None of another."""
    scores = {r.seeds: value for r in g.done if (value := r.number(score.key)) is not None}
    weights, orders = (sorted({r.seeds[side] for r in g.results}) for side in (0, 1))
    n, m = len(weights), len(orders)
    if min(n, m) < 2 or len(scores) < n * m:
        return None
    values = np.array([[scores[one, two] for two in orders] for one in weights])
    by_weights, by_order = values.mean(1), values.mean(0)
    rest = np.square(values - by_weights[:, None] - by_order + values.mean()).sum() / ((n - 1) * (m - 1))
    due_to_weights = by_weights.var(ddof=1) - rest / m
    due_to_order = by_order.var(ddof=1) - rest / n
    text = score_by_text(g) if score.key == "test/bpc" else None
    weights_sd, order_sd, rest_sd = (math.sqrt(max(float(v), 0)) for v in (due_to_weights, due_to_order, rest))
    return Components(weights_sd, order_sd, rest_sd, text, (n, m))


def variance_table(name: str, groups: Sequence[Group], caption: str) -> Table | None:
    """Standard deviations by source; None where no group's seeds are crossed. name: a key of `TASK_FAMILIES`."""
    score = TASK_FAMILIES[name].primary
    rows = tuple(_variance_row(g, one, score) for g in groups if (one := components(g, score)) is not None)
    if not rows:
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
        ("text", f"{BY_TEXT}; ≥: it has not."),
    )  # fmt: skip
    return Table(f"{name}-{VARIANCE}", columns, rows, (), notes, caption, part=VARIANCE).without_empty_columns()


def _variance_row(g: Group, one: Components, score: Score) -> Row:
    raw, text = first_entries(g)
    estimate = g.estimate(score.key)
    raw |= {"mean": estimate and estimate.mean, "total": one.total}
    raw |= {key: getattr(one, key) for key in ("weights", "order", "rest")}
    raw |= {"seeds": one.seeds[0], "seeds_order": one.seeds[1], "text": one.text and one.text.half_width}
    text |= {key: number(raw[key], 2) for key in ("weights", "order", "rest", "total")}
    text |= {"mean": number(raw["mean"]), "seeds": f"{one.seeds[0]} × {one.seeds[1]}"}
    text["text"] = MISSING if one.text is None else one.text.text
    return Row(raw, text)
