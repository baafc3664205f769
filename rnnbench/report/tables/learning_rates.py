"""The table of what learning rates were tried and chosen: a line a group, a column a rate."""

from __future__ import annotations

from collections.abc import Sequence

from rnnbench.report.tables.table import MISSING, Column, Row, Table, number
from rnnbench.sweep.tuning import TunedRate


def choices_table(choices: Sequence[TunedRate], caption: str = "") -> Table:
    """Means of the validation figure by learning rate, the chosen one bold; what was lost, and edges, are said.

    Args:
        choices: Of one study, all of one grid; at least one.
        caption: What is set below.
    """
    rates = list(choices[0].scores)
    several = len({choice.metric for choice in choices}) > 1
    columns = [Column(key, key.removeprefix("data."), left=True) for key in choices[0].about]
    if several:
        columns.append(Column("metric", "figure", left=True))
    columns += [Column(_key(lr), f"{lr:g}") for lr in rates]
    columns.append(Column("lr", "chosen"))
    rows = tuple(map(_row, choices))
    if any(row.text["remark"] for row in rows):
        columns.append(Column("remark", "", left=True))
    trials = choices[0].trials
    metric = next((choice.metric for choice in choices if choice.metric), "validation figure")
    note = f"Mean {'validation figure' if several else metric} of {trials} trial{'s' if trials > 1 else ''} a rate."
    notes = [("lr", note)]
    if any(choice.found and choice.at_edge for choice in choices):
        notes.append(("remark", "edge: the best of the grid is its smallest or largest; a better one may lie outside."))
    if not all(choice.found for choice in choices):
        notes.append(("remark", "all lost: no trial was done, so the middle of the grid stays; nothing chose it."))
    return Table("learning_rates", tuple(columns), rows, notes=tuple(notes), caption=caption)


def _row(choice: TunedRate) -> Row:
    text = {key: MISSING if value is None else str(value) for key, value in choice.about.items()}
    text |= {"metric": choice.metric}
    raw = dict(choice.about) | {"metric": choice.metric}
    for lr, score in choice.scores.items():
        lost = choice.lost[lr]
        raw[_key(lr)], raw[f"{_key(lr)} lost"] = score, lost
        entry = number(score) if score is not None else MISSING
        text[_key(lr)] = f"{entry} ({lost} of {choice.trials} lost)" if lost else entry
    text |= {"lr": f"{choice.lr:g}", "remark": "all lost" if not choice.found else "edge" if choice.at_edge else ""}
    raw |= {"lr": choice.lr, "at_edge": choice.at_edge, "found": choice.found}
    return Row(raw, text, frozenset({_key(choice.lr)}) if choice.found else frozenset())


def _key(lr: float) -> str:
    return f"lr {lr:g}"
