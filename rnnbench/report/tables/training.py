"""Which rows and columns a study's tables have: for each panel one for each kind of runs in it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from rnnbench.report.caption import caption
from rnnbench.report.fairness import unranked
from rnnbench.report.panels import PanelResults, panels
from rnnbench.report.results import LOST, Result
from rnnbench.report.statistics import SEQ_LEN, Group, by_place, crowded, group, rank
from rnnbench.report.tables.comparisons import comparisons_table, effects_table
from rnnbench.report.tables.notes import first_columns, first_entries, notes
from rnnbench.report.tables.reach import asks_about_gradients, reach_table
from rnnbench.report.tables.reference_lines import reference_rows
from rnnbench.report.tables.solvable import searched, solvable_table
from rnnbench.report.tables.table import MISSING, Column, Row, Table, count, lag, number
from rnnbench.report.tables.tasks import many_tasks, tasks_table
from rnnbench.report.tables.timing import timing_tables
from rnnbench.report.tables.variance import variance_table
from rnnbench.report.task_families import TASK_FAMILIES, TaskFamily
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
    """The tables of one study, panel by panel, the name of each ending in its panel's."""
    out = []
    for panel in panels(results):
        for table in panel_tables(panel):
            out.append(dataclasses.replace(table, name=f"{table.name}{panel.ending}", title=panel.title))
    return out


def panel_tables(panel: PanelResults) -> list[Table]:
    """The tables of one panel: searches for the longest T, all tasks together where there are many, how far gradients
    reach where that was asked, training runs by kind of task with their comparisons, timings.
    """
    train = [result for result in panel.results if result.kind == "train"]
    out: list[Table] = []
    if panel.search:
        found, train = searched(train)
        out += [solvable_table(found)] if found else []
    out += [tasks_table(train)] if many_tasks(train) else []
    out += [reach_table(train, panel.axis)] if asks_about_gradients(train) else []
    for name in TASK_FAMILIES:
        if members := [result for result in train if result.data_set.kind == name]:
            out.append(training_table(name, members, panel.axis))
            for table in (comparisons_table, effects_table, variance_table):
                out += [made] if (made := table(name, members, panel.axis, out[-1].caption)) else []
    if timings := [result for result in panel.results if result.kind == "timing"]:
        out += timing_tables(timings)
    return out


def _unranked_places(blocks: Sequence[Sequence[Group]]) -> list[str]:
    """Why cells are not ranked, and where, if they are elsewhere."""
    found: dict[str, list[str]] = {}
    for block in blocks:
        if (reason := unranked(block)) is not None:
            found.setdefault(reason, []).append(block[0].place)
    everywhere = sum(map(len, found.values())) == len(blocks)
    return [
        reason if everywhere else f"{', '.join(dict.fromkeys(places))}: {reason}" for reason, places in found.items()
    ]


def training_table(name: str, results: Sequence[Result], axis: str = SEQ_LEN) -> Table:
    """Groups over seeds, length by length, with the reference lines below; name: a key of `TASK_FAMILIES`."""
    kind = TASK_FAMILIES[name]
    groups = group(results, axis)
    blocks = by_place(groups)
    if crowded(groups):  # too many to look for the best by eye
        fair = {id(g) for block in blocks if unranked(block) is None for g in block}
        groups.sort(key=lambda g: (g.data, g.length, rank(g, kind.primary.key) if id(g) in fair else (False, 0.0)))
    columns = (
        *first_columns(groups),
        *(Column(score.key, score.title, score.importance) for score in kind.scores),
        Column("by_text", "± by text", 5),
        Column("reach", "gradient at 1/100, init → end (lags)", 3),
        Column("final/context_horizon", "context worth 0.01 bits", 6),
        Column("verdict", "gradients end", 7, left=True),
        Column("throughput/tokens_per_second", "tokens/s", 2),
        Column("throughput/step_cpu_ms", "CPU (ms a step)", 8),
        Column("rate", "rate", 9),
        Column("model/matched_parameters", "matched weights", 4),
        Column("model/parameters", "all weights", 8),
        Column("model/hidden_size", "H", 9),
        Column("model/state_size", "state", 7),
        Column("model/flops_per_token", "FLOPs/token", 7),
        Column("backend", "backend", 10, left=True),
        Column("seeds", "seeds done", 1),
    )
    rows = _in_bold([_row(g, kind) for g in groups], groups, kind)
    if len({row.text["rate"] for row in rows}) == 1 or "optim.lr" in dict(groups[0].extras):
        columns = tuple(column for column in columns if column.key != "rate")  # one for all is a setting like others
    references = tuple(reference_rows(kind, groups))
    table = Table(name, columns, tuple(rows), references, caption=caption(results)).without_empty_columns()
    return dataclasses.replace(table, notes=notes(table, groups, kind, _unranked_places(blocks)))


def _row(g: Group, kind: TaskFamily) -> Row:
    """A group's line. Its raw numbers: for each score the mean, the interval's ends and the points."""
    raw, text = first_entries(g)
    raw |= {status: sum(r.status == status for r in g.results) for status in LOST}
    for score in kind.scores:
        key, found = score.key, g.estimate(score.key)
        raw |= {key: found and found.mean, f"{key}_low": found and found.low, f"{key}_high": found and found.high}
        raw[f"{key}_points"] = " ".join(map(repr, found.values)) if found else None
        text[key] = score.text(found, points=score is kind.primary)
    by_text = score_by_text(g)
    raw |= {"by_text": by_text and by_text.half_width, "by_text_block": by_text and by_text.block}
    text["by_text"] = MISSING if by_text is None else by_text.text
    for key in ("init/hundredth_lag", "final/hundredth_lag", "final/half_lag"):
        raw[key] = g.median(key)
    raw["final/context_horizon"], longest = g.context_horizon()
    for when in ("init", "final"):
        raw[f"{when}/verdict"] = g.verdict("init" if when == "init" else "final")
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
    text["final/context_horizon"] = lag(raw["final/context_horizon"], longest)
    text["verdict"] = raw["final/verdict"] or MISSING
    for name in sorted({name for r in g.results for name in r.metrics if name.startswith("reference/")}):
        values = [value for r in g.results if (value := r.number(name)) is not None]
        raw[name] = math.fsum(values) / len(values) if values else None
    return Row(raw, text)


def _in_bold(rows: list[Row], groups: list[Group], kind: TaskFamily) -> list[Row]:
    """The best score of each data and length in bold, where its interval lies apart from every other one's.

    A group that lost a run is never in bold: its score is the survivors'. Nor is any where one has too few seeds for an
    interval, or where cells are not ranked (`rnnbench.report.fairness`).
    """
    places = {id(g): index for index, g in enumerate(groups)}
    for block in by_place(groups):
        if unranked(block) is not None:
            continue
        members = [places[id(g)] for g in block]
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
