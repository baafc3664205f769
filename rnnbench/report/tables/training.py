"""Which rows and columns a study's tables have: one table for each kind of runs in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rnnbench.report.caption import caption
from rnnbench.report.kinds import KINDS, Kind
from rnnbench.report.results import LOST, Result
from rnnbench.report.statistics import Group, crowded, data_settings, group, rank
from rnnbench.report.tables.comparisons import comparisons_table
from rnnbench.report.tables.groups import first_columns, first_entries
from rnnbench.report.tables.notes import notes
from rnnbench.report.tables.reach import asks_about_gradients, reach_table
from rnnbench.report.tables.reference_lines import reference_rows
from rnnbench.report.tables.solvable import searched, solvable_table
from rnnbench.report.tables.table import MISSING, Column, Row, Table, count, number
from rnnbench.report.tables.tasks import many_tasks, tasks_table
from rnnbench.report.tables.timing import timing_tables
from rnnbench.report.text_blocks import score_by_text

#: What a model costs whatever it has learnt; recurrent layers, norms and readout are what is matched.
SIZES = (
    "model/parameters",
    "model/matched_parameters",
    "model/hidden_size",
    "model/state_size",
    "model/flops_per_token",
    "model/pointwise_per_token",
)


def tables(results: Sequence[Result]) -> list[Table]:
    """The tables of one study: searches for the longest T, all tasks together where there are many, how far gradients
    reach where that was asked, training runs by kind of task with their paired comparisons, timings.
    """
    found, train = searched([result for result in results if result.kind == "train"])
    out = [solvable_table(found)] if found else []
    out += [tasks_table(train)] if many_tasks(train) else []
    out += [reach_table(train)] if asks_about_gradients(train) else []
    for name in KINDS:
        if members := [result for result in train if result.entry.kind == name]:
            out.append(training_table(name, members))
            out += [pairs] if (pairs := comparisons_table(name, members, out[-1].caption)) else []
    if timings := [result for result in results if result.kind == "timing"]:
        out += timing_tables(timings)
    return out


def training_table(name: str, results: Sequence[Result]) -> Table:
    """Groups over seeds, T by T, with the reference lines below; name: a key of `KINDS`."""
    kind = KINDS[name]
    groups = group(results)
    if crowded(groups):  # too many to look for the best by eye
        groups.sort(key=lambda g: (g.data, g.seq_len, rank(g, kind.headline.key)))
    columns = (
        *first_columns(groups),
        *(Column(score.key, score.title, score.importance) for score in kind.scores),
        Column("by_text", "± by text", 5),
        Column("half_life", "half-life init → end (states)", 3),
        Column("final/horizon", "horizon end (states)", 7),
        Column("final/context_horizon", "context worth 0.01 bits", 7),
        Column("verdict", "gradients end", 6, left=True),
        Column("throughput/tokens_per_second", "tokens/s", 2),
        Column("model/parameters", "params", 4),
        Column("model/hidden_size", "H", 9),
        Column("model/state_size", "state", 10),
        Column("model/flops_per_token", "FLOPs/token", 11),
        Column("backend", "backend", 8, left=True),
        Column("seeds", "seeds done", 1),
    )
    rows = _in_bold([_row(g, kind) for g in groups], groups, kind)
    references = tuple(reference_rows(kind, groups))
    table = Table(name, columns, tuple(rows), references, caption=caption(results)).without_empty_columns()
    return dataclasses.replace(table, notes=notes(table, groups, kind))


def _row(g: Group, kind: Kind) -> Row:
    """A group's line. Its raw numbers: for each score the interquartile mean, the interval's ends and the points."""
    raw, text = first_entries(g)
    raw |= {status: sum(r.status == status for r in g.results) for status in LOST}
    for score in kind.scores:
        key, found = score.key, g.estimate(score.key)
        raw |= {key: found and found.iqm, f"{key}_low": found and found.low, f"{key}_high": found and found.high}
        raw[f"{key}_points"] = " ".join(map(repr, found.values)) if found else None
        text[key] = score.text(found, points=score is kind.headline)
    low, high = raw["by_text_low"], raw["by_text_high"] = score_by_text(g) or (None, None)
    text["by_text"] = MISSING if low is None or high is None else f"{(high - low) / 2:.3f}"
    for key in ("init/half_life", "final/half_life", "final/horizon", "final/context_horizon"):
        raw[key] = g.median(key)
    for when in ("init", "final"):
        raw[f"{when}/verdict"] = g.verdict("init" if when == "init" else "final")
    for key in ("throughput/tokens_per_second", *SIZES):
        raw[key] = g.median(key)
        text[key] = number(raw[key], 3) if key.startswith("throughput") else count(raw[key])
    backends = sorted({str(r.environment["backend"]) for r in g.results if r.environment.get("backend")})
    raw["backend"] = text["backend"] = ", ".join(backends) or MISSING
    start, end = number(raw["init/half_life"], 3), number(raw["final/half_life"], 3)
    text["half_life"] = MISSING if start == end == MISSING else f"{start} → {end}"
    text |= {key: count(raw[key]) for key in ("final/horizon", "final/context_horizon")}
    text["verdict"] = raw["final/verdict"] or MISSING
    for name in sorted({name for r in g.results for name in r.metrics if name.startswith("reference/")}):
        raw[name] = _first(g, name)
    return Row(raw, text)


def _in_bold(rows: list[Row], groups: list[Group], kind: Kind) -> list[Row]:
    """The best score of each data and T in bold, where its interval lies apart from every other one's.

    A group that lost a run is never in bold: its score is the survivors'. Nor is any where one has too few seeds for an
    interval.
    """
    blocks: dict[tuple[Any, ...], list[int]] = {}
    for index, g in enumerate(groups):
        blocks.setdefault((g.data, g.seq_len, data_settings(g)), []).append(index)
    for members in blocks.values():
        for score in kind.scores:
            sign = -1 if score.more_is_better else 1
            found = [(index, e) for index in members if (e := groups[index].estimate(score.key)) is not None]
            ends = [
                (index, sorted((sign * e.low, sign * e.high)))
                for index, e in found
                if e.low is not None and e.high is not None
            ]
            if len(found) < 2 or len(ends) < len(found):
                continue
            index, (_, worst) = min(ends, key=lambda entry: entry[1])
            whole = len(groups[index].done) == len(groups[index].results)
            if whole and all(worst < low for other, (low, _) in ends if other != index):
                rows[index] = dataclasses.replace(rows[index], bold=rows[index].bold | {score.key})
    return rows


def _first(g: Group, name: str) -> float | None:
    return next((value for result in g.results if (value := result.number(name)) is not None), None)
