"""Which rows and columns a study's tables have: one table for each kind of runs in it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from rnnbench.report.caption import caption
from rnnbench.report.results import Result
from rnnbench.report.statistics import INTERVAL_SEEDS, Estimate, Group, crowded, group, rank
from rnnbench.report.table import MISSING, Column, Row, Table, count, number, with_interval, with_points
from rnnbench.report.timing_table import timing_table

#: The measured columns of each kind of task: metric, title, importance. The first is the one that runs are ranked by.
SCORES: dict[str, tuple[tuple[str, str, int], ...]] = {
    "text": (
        ("test/bpc", "test bpc", 0),
        ("test/bpc_stateless", "stateless bpc", 5),
        ("test/perplexity", "perplexity", 4),
    ),
    "series": (("test/mse", "test mse", 0), ("test/mae", "test mae", 2), ("test/mase", "test mase", 3)),
    "adding": (("test/mse", "test mse", 0),),
}
#: What a model costs whatever it has learnt; recurrent layers, norms and readout are what is matched.
SIZES = (
    "model/parameters",
    "model/matched_parameters",
    "model/hidden_size",
    "model/state_size",
    "model/flops_per_token",
    "model/pointwise_per_token",
)
REFERENCE_NAMES = {"xz": "xz, conditional", "guess": "guess the mean", "seasonal_naive": "seasonal naive"}


def tables(results: Sequence[Result]) -> list[Table]:
    """The tables of one study: training runs by kind of task, then timings."""
    out = []
    train = [result for result in results if result.kind == "train"]
    kinds = kind_of_data(train)
    for kind in SCORES:
        members = [result for result in train if kinds[result.data] == kind]
        if members:
            out.append(training_table(kind, members))
    if timings := [result for result in results if result.kind == "timing"]:
        out.append(timing_table(timings))
    return out


def kind_of_data(train: Sequence[Result]) -> dict[str, str]:
    """text, series or adding for each data label, by what its runs have measured (a failed one may have nothing)."""
    names: dict[str, set[str]] = {}
    for result in train:
        names.setdefault(result.data, {result.data}).update(result.metrics)
    return {data: _kind(found) for data, found in names.items()}


def _kind(names: set[str]) -> str:
    if "adding" in names or "reference/guess_mse" in names:
        return "adding"
    return "series" if any(name.endswith(("_mse", "/mse")) for name in names) else "text"


def training_table(kind: str, results: Sequence[Result]) -> Table:
    """Groups over seeds, T by T, with the reference lines below; kind: a key of `SCORES`."""
    scores = SCORES[kind]
    groups = group(results)
    if crowded(groups):  # too many to look for the best by eye
        groups.sort(key=lambda g: (g.data, g.seq_len, rank(g, scores[0][0])))
    several_data = len({g.data for g in groups}) > 1
    extras = groups[0].extras
    columns = (
        Column("cell", "cell", 0, left=True),
        *([Column("data", "data", 0, left=True)] if several_data else []),
        Column("T", "T", 0),
        *(Column(name, name.rsplit(".", 1)[-1], 1, left=True) for name, _ in extras),
        *(Column(key, title, importance) for key, title, importance in scores),
        Column("half_life", "half-life init → end (states)", 3),
        Column("final/horizon", "horizon end (states)", 7),
        Column("verdict", "gradients end", 6, left=True),
        Column("throughput/tokens_per_second", "tokens/s", 2),
        Column("model/parameters", "params", 4),
        Column("model/hidden_size", "H", 9),
        Column("model/state_size", "state", 10),
        Column("model/flops_per_token", "FLOPs/token", 11),
        Column("backend", "backend", 8, left=True),
        Column("seeds", "seeds done", 1),
    )
    rows = _in_bold([_row(g, scores[0][0], [key for key, _, _ in scores]) for g in groups], groups, scores)
    references = tuple(_references(groups))
    table = Table(kind, columns, tuple(rows), references, caption=caption(results)).without_empty_columns()
    return dataclasses.replace(table, notes=tuple(_notes(table, groups, scores[0][0])))


def _row(g: Group, primary: str, scores: list[str]) -> Row:
    """A group's line. Its raw numbers: for each score the mean, the interval's ends and the points."""
    raw: dict[str, Any] = {"cell": g.cell, "data": g.data, "seq_len": g.seq_len, **dict(g.extras)}
    raw |= {"done": len(g.done), "all": len(g.results)}
    raw |= {status: sum(r.status == status for r in g.results) for status in ("diverged", "failed")}
    text = {"cell": g.cell, "data": g.data, "T": str(g.seq_len), "seeds": f"{len(g.done)}/{len(g.results)}"}
    text |= {name: MISSING if value is None else str(value) for name, value in g.extras}
    for key in scores:
        found = g.estimate(key)
        raw |= {key: found and found.mean, f"{key}_low": found and found.low, f"{key}_high": found and found.high}
        raw[f"{key}_points"] = " ".join(map(repr, found.values)) if found else None
        text[key] = _score(found, points=key == primary)
    for key in ("init/half_life", "final/half_life", "final/horizon"):
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
    text["final/horizon"] = count(raw["final/horizon"])
    text["verdict"] = raw["final/verdict"] or MISSING
    for name in sorted({name for r in g.results for name in r.metrics if name.startswith("reference/")}):
        raw[name] = _first(g, name)
    return Row(raw, text)


def _score(found: Estimate | None, points: bool) -> str:
    if found is None:
        return MISSING
    if found.half_width is not None:
        return with_interval(found.mean, found.half_width)
    return with_points(found.mean, found.values) if points else number(found.mean)


def _in_bold(rows: list[Row], groups: list[Group], scores: tuple[tuple[str, str, int], ...]) -> list[Row]:
    """The lowest score of each data and T in bold, where its interval lies apart from the next one's.

    A group that lost a run is never in bold: its mean is over the survivors.
    """
    blocks: dict[tuple[str, int], list[int]] = {}
    for index, g in enumerate(groups):
        blocks.setdefault((g.data, g.seq_len), []).append(index)
    for members in blocks.values():
        for key, _, _ in scores:
            ranked = sorted(
                ((found, index) for index in members if (found := groups[index].estimate(key)) is not None),
                key=lambda pair: pair[0].mean,
            )
            if len(ranked) < 2:
                continue
            (best, index), (second, _) = ranked[:2]
            whole = len(groups[index].done) == len(groups[index].results)
            if whole and best.high is not None and second.low is not None and best.high < second.low:
                rows[index] = dataclasses.replace(rows[index], bold=rows[index].bold | {key})
    return rows


def _references(groups: list[Group]) -> list[Row]:
    """A line for each reference and data set; one for each T where it depends on T."""
    found: dict[tuple[str, str], dict[str, dict[int, float]]] = {}
    for g in groups:
        for result in g.results:
            for key in result.metrics:
                value = result.number(key)
                if key.startswith("reference/") and value is not None:
                    name, metric = key.removeprefix("reference/").rsplit("_", 1)
                    found.setdefault((g.data, name), {}).setdefault(f"test/{metric}", {})[g.seq_len] = value
    rows = []
    for (data, name), metrics in found.items():
        lengths = sorted({length for values in metrics.values() for length in values})
        constant = all(_close(list(values.values())) for values in metrics.values())
        for length in lengths[:1] if constant else lengths:
            raw = {"cell": name, "data": data, "seq_len": None if constant else length}
            values = {metric: by_length[length] for metric, by_length in metrics.items() if length in by_length}
            text = {metric: number(value) for metric, value in values.items()}
            label = REFERENCE_NAMES.get(name, name.replace("_", " "))
            rows.append(Row(raw | values, text | {"cell": label, "data": data, "T": "" if constant else str(length)}))
    return sorted(rows, key=lambda row: (row.raw["data"], row.raw["seq_len"] or 0))


def _close(values: list[float]) -> bool:
    return math.isclose(min(values), max(values), rel_tol=1e-6)


def _notes(table: Table, groups: list[Group], primary: str) -> list[tuple[str, str]]:
    """What the entries mean, for the columns that are there."""
    sizes = [len(g.done) for g in groups]
    everything = sum(len(g.results) for g in groups)
    lost = everything - sum(sizes)
    out = []
    if max(sizes) >= INTERVAL_SEEDS:
        out.append((primary, "± is the 95 % Student-t interval over seeds; bold: best of its T, intervals apart."))
    if any(1 < size < INTERVAL_SEEDS for size in sizes):
        out.append((primary, f"Below {INTERVAL_SEEDS} seeds no interval: each seed's score stands in parentheses."))
    if lost:
        rate = f"{lost} of {everything} runs ({100 * lost / everything:.0f} %) diverged or failed"
        out.append(("seeds", f"{rate}: they count in the denominator of the seeds, not in a mean."))
    out += [
        ("test/bpc_stateless", "Stateless: the state starts from zero every T characters; else it is carried on."),
        ("half_life", "Half-life: states back over which the gradient of the last loss halves; median over seeds."),
        ("verdict", "Gradients: slope of log G(k), its 95 % interval over seeds against ± ln 2 / T."),
    ]
    if any(row.raw["cell"] == "xz" for row in table.references):
        what = "xz and unigram read all of the train part, the models what the budget pays for"
        out.append((primary, f"{what}; xz adapts on the test part."))
    matched = sorted({int(v) for g in groups if (v := g.median("model/matched_parameters")) is not None})
    if matched and any(dict(g.results[0].run["model"]).get("parameters") for g in groups):
        span = count(matched[0]) if len(matched) == 1 else f"{count(matched[0])} to {count(matched[-1])}"
        out.append(
            ("model/parameters", f"Recurrent layers and readout are matched: {span} weights; params has the rest.")
        )
    keys = {column.key for column in table.columns}
    return [(key, sentence) for key, sentence in out if key in keys]


def _first(g: Group, name: str) -> float | None:
    return next((value for result in g.results if (value := result.number(name)) is not None), None)
