"""The tables of a study, panel by panel; and the one of trainings: scores of each cell at each length over seeds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from rnnbench.report.comparisons import unranked
from rnnbench.report.panels import PanelResults, panels
from rnnbench.report.references import reference_rows
from rnnbench.report.results import LOST, Result
from rnnbench.report.statistics import Group, by_place, crowded, group, numbers, rank
from rnnbench.report.tables.comparisons import against_table, comparisons_table, effects_table, variance_table
from rnnbench.report.tables.notes import caption, first_columns, first_entries, training_notes
from rnnbench.report.tables.reach import asks_about_gradients, reach_table
from rnnbench.report.tables.solvable import searched, solvable_table
from rnnbench.report.tables.table import MISSING, Column, Row, Table, count, lag, number
from rnnbench.report.tables.tasks import many_tasks, tasks_table
from rnnbench.report.tables.timing import timing_tables
from rnnbench.report.task_families import TASK_FAMILIES, TaskFamily
from rnnbench.report.text_blocks import score_by_text

#: What a model costs whatever it has learnt; recurrent layers, norms and readout are what is matched.
SIZES = (
    "model/parameters",
    "model/frozen_parameters",
    "model/matched_parameters",
    "model/hidden_size",
    "model/state_size",
    "model/flops_per_token",
    "model/pointwise_per_token",
)


def tables(results: Sequence[Result], against: str | None = None) -> list[Table]:
    """The tables of one study, panel by panel, the name of each ending in its panel's.

    against: A cell that is compared with each other one, in a further table.
    """
    out = []
    for panel in panels(results):
        for table in panel_tables(panel, against):
            out.append(dataclasses.replace(table, name=f"{table.name}{panel.ending}", title=panel.title))
    return out


def panel_tables(panel: PanelResults, against: str | None = None) -> list[Table]:
    """The tables of one panel: searches for the longest T, all tasks together where there are many, how far gradients
    reach where that was asked, training runs by task family with their comparisons, timings.
    """
    train = panel.train
    out: list[Table] = []
    if panel.search:
        searches, train = searched(train)
        out += [solvable_table(searches)] if searches else []
    out += [tasks_table(train)] if many_tasks(train) else []
    out += [reach_table(train, panel.axis)] if asks_about_gradients(train) else []
    for name in TASK_FAMILIES:
        if members := [result for result in train if result.data_set.kind == name]:
            groups, produced = group(members, panel.axis), caption(members)
            out.append(training_table(name, groups, produced))
            if against is not None and (part := against_table(name, groups, produced, against)):
                out.append(part)
            for table in (comparisons_table, effects_table, variance_table):
                out += [part] if (part := table(name, groups, produced)) else []
    return out + timing_tables(panel.timing)


def _unranked_places(blocks: Sequence[Sequence[Group]]) -> list[str]:
    """Why cells are not ranked, and where, if they are elsewhere."""
    reasons: dict[str, list[str]] = {}
    for block in blocks:
        if (reason := unranked(block)) is not None:
            reasons.setdefault(reason, []).append(block[0].place)
    if sum(map(len, reasons.values())) == len(blocks):
        return [*reasons]
    return [f"{', '.join(dict.fromkeys(places))}: {reason}" for reason, places in reasons.items()]


def training_table(name: str, groups: list[Group], caption: str) -> Table:
    """Groups over seeds, length by length, with the reference lines below; name: a key of `TASK_FAMILIES`."""
    family = TASK_FAMILIES[name]
    blocks = by_place(groups)
    if crowded(groups):  # too many to look for the best by eye
        fair = {id(g) for block in blocks if unranked(block) is None for g in block}
        order = {id(g): rank(g, family.primary.key) if id(g) in fair else (False, 0.0) for g in groups}
        groups = sorted(groups, key=lambda g: (g.data, g.length, order[id(g)]))
    columns = (
        *first_columns(groups),
        *(Column(score.key, score.title, score.importance) for score in family.scores),
        Column("by_text", "± by text", 5),
        Column("reach", "gradient at 1/100, init → end (lags)", 3),
        Column("final/context_horizon", "context worth 0.01 bits", 6),
        Column("verdict", "gradients end", 7, left=True),
        Column("throughput/tokens_per_second", "tokens/s", 2),
        Column("throughput/step_cpu_ms", "CPU (ms a step)", 8),
        Column("rate", "rate", 9),
        Column("model/matched_parameters", "matched weights", 4),
        Column("model/parameters", "all weights", 8),
        Column("model/frozen_parameters", "frozen weights", 4),
        Column("model/hidden_size", "H", 9),
        Column("model/state_size", "state", 7),
        Column("model/flops_per_token", "FLOPs/token", 7),
        Column("backend", "backend", 10, left=True),
        Column("seeds", "seeds done", 1),
    )
    rows = _in_bold([_row(g, family) for g in groups], groups, family)
    if len({row.text["rate"] for row in rows}) == 1 or "optim.lr" in dict(groups[0].extras):
        columns = tuple(column for column in columns if column.key != "rate")  # one for all is a setting like others
    references = tuple(reference_rows(family, groups))
    notes = training_notes(groups, family, _unranked_places(blocks), rows, references)
    return Table(name, columns, tuple(rows), references, notes, caption).without_empty_columns()


def _row(g: Group, family: TaskFamily) -> Row:
    """A group's line. Its raw numbers: for each score the mean, the interval's ends and the points."""
    raw, text = first_entries(g)
    raw |= {status: sum(r.status == status for r in g.results) for status in LOST}
    for score in family.scores:
        key, estimate = score.key, g.estimate(score.key)
        raw |= {key: estimate and estimate.mean}
        raw |= {f"{key}_low": estimate and estimate.low, f"{key}_high": estimate and estimate.high}
        raw[f"{key}_points"] = " ".join(map(repr, estimate.values)) if estimate else None
        text[key] = score.text(estimate, points=score is family.primary)
    by_text = score_by_text(g)
    raw |= {"by_text": by_text and by_text.half_width, "by_text_block": by_text and by_text.block}
    text["by_text"] = MISSING if by_text is None else by_text.text
    for key in ("init/hundredth_lag", "final/hundredth_lag", "final/half_lag"):
        raw[key] = g.median(key)
    raw["final/context_horizon"], longest = g.context_horizon()
    text["final/context_horizon"] = lag(raw["final/context_horizon"], longest)
    raw |= {"init/verdict": g.verdict("init"), "final/verdict": g.verdict("final")}
    text["verdict"] = raw["final/verdict"] or MISSING
    for key in ("throughput/tokens_per_second", "throughput/step_cpu_ms", *SIZES):
        raw[key] = g.median(key)
        text[key] = number(raw[key], 3) if key.startswith("throughput") else count(raw[key])
    rates = {r.rate for r in g.results if r.rate is not None}
    raw["rate"] = min(rates) if len(rates) == 1 else None
    text["rate"] = MISSING if raw["rate"] is None else f"{raw['rate']:g}"
    backends = sorted({str(r.environment["backend"]) for r in g.results if r.environment.get("backend")})
    raw["backend"] = text["backend"] = ", ".join(backends) or MISSING
    start, end = (lag(raw[f"{when}/hundredth_lag"], g.median(f"{when}/lags")) for when in ("init", "final"))
    text["reach"] = MISSING if start == end == MISSING else f"{start} → {end}"
    for name in sorted({name for r in g.results for name in r.metrics if name.startswith("reference/")}):
        values = numbers(g.results, name)
        raw[name] = math.fsum(values) / len(values) if values else None
    return Row(raw, text)


def _in_bold(rows: list[Row], groups: list[Group], family: TaskFamily) -> list[Row]:
    """The best score of each data and length in bold, where its interval lies apart from every other one's.

    A group that lost a run is never in bold: its score is the survivors'. Nor is any where one has too few seeds for an
    interval, or where cells are not ranked (`rnnbench.report.comparisons.unranked`).
    """
    bold: dict[int, set[str]] = {}
    for block in by_place(groups):
        for score in family.scores if unranked(block) is None else ():
            scored = [(g, estimate) for g in block if (estimate := g.estimate(score.key)) is not None]
            ends = [(g, e.interval) for g, e in scored if e.interval is not None]
            if len(scored) < 2 or len(ends) < len(scored):
                continue
            sign = -1 if score.more_is_better else 1
            (best, (_, worst)), *others = sorted(
                ((g, sorted((sign * low, sign * high))) for g, (low, high) in ends), key=lambda entry: entry[1]
            )
            if len(best.done) == len(best.results) and all(worst < low for _, (low, _) in others):
                bold.setdefault(id(best), set()).add(score.key)
    return [dataclasses.replace(row, bold=frozenset(bold.get(id(g), ()))) for row, g in zip(rows, groups, strict=True)]
