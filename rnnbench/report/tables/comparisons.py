"""The table of paired comparisons: who is better than whom, by how much, and how sure that is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rnnbench.report.comparisons import EVERY_PAIR, Comparison, compare
from rnnbench.report.kinds import KINDS
from rnnbench.report.results import Result
from rnnbench.report.statistics import group
from rnnbench.report.tables.table import MISSING, Column, Row, Table, number, with_range

#: Ends such a table's name.
COMPARISONS = "-comparisons"


def comparisons_table(name: str, results: Sequence[Result], caption: str) -> Table | None:
    """A line a pair, the best cells first, T by T and then over all; None where no five seeds have done the same two.

    name: a key of `KINDS`.
    """
    score = KINDS[name].headline
    found = compare(group(results), score)
    if not found:
        return None
    several = len({one.data for one in found}) > 1
    columns = (
        *([Column("data", "data", 0, left=True)] if several else []),
        Column("T", "T", 0),
        Column("better", "better", 0, left=True),
        Column("other", "than", 0, left=True),
        Column("difference", f"by, in {score.title}", 0),
        Column("p", "p (Holm)", 1),
        Column("probability", "probability of improvement", 2),
        Column("text", "by, over the text's blocks", 3),
        Column("pairs", "seeds", 4),
    )
    notes = [
        ("difference", "By: interquartile mean of the differences seed by seed, with its 95 % bootstrap interval; bold "
         "where p < 0.05."),
        ("p", f"p: two-sided paired t-test over seeds, corrected after Holm for {len(found)} comparisons."),
        ("probability", "Probability that a run of the one beats one of the other, of any seeds; lost runs lose."),
        ("text", "Over the text's blocks: the same difference, had the test text been another of its kind (95 %)."),
    ]  # fmt: skip
    if len({one.better for one in found if one.seq_len is not None}) == 1 or len(found) > EVERY_PAIR**2:
        notes.append(("better", f"Of more than {EVERY_PAIR} cells the best is compared with each other one."))
    if any(one.seq_len is None for one in found):
        notes.append(("T", "T all: of each seed the mean over all lengths."))
    table = Table(f"{name}{COMPARISONS}", columns, tuple(map(_row, found)), (), tuple(notes), caption)
    return table.without_empty_columns()


def _row(one: Comparison) -> Row:
    raw = dataclasses.asdict(one)
    low, high = raw.pop("text") or (None, None)
    raw |= {"text_low": low, "text_high": high}
    text = {"data": one.data, "T": "all" if one.seq_len is None else str(one.seq_len), "better": one.better}
    text |= {"other": one.other, "difference": with_range(one.difference, one.low, one.high), "pairs": str(one.pairs)}
    text |= {"p": "< 0.0001" if one.p < 1e-4 else f"{one.p:.2g}"}
    text["probability"] = f"{one.probability:.2f} ({one.probability_low:.2f} – {one.probability_high:.2f})"
    text["text"] = MISSING
    if low is not None and high is not None:
        text["text"] = with_range((low + high) / 2, low, high).partition(" ")[2] or number(low)
    return Row(raw, text, frozenset({"difference"}) if one.sure else frozenset())
