"""What produced a study: the settings that all of its runs share, and the machines and versions they ran on."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnbench.probes.measured import decades
from rnnbench.report.page.document import code
from rnnbench.report.page.text import distinct, kept, listed, short, shorts
from rnnbench.report.page.training_plots import SPEED
from rnnbench.report.results import LOST, Result
from rnnbench.report.statistics import flat, group
from rnnbench.report.tables.table import MISSING, Column, Row, Table, lag, number
from rnnbench.report.task_families import TASK_FAMILIES
from rnnbench.runs import SAMPLE, SAMPLE_MARK, SAMPLES
from rnnbench.runs.packs import read_text

#: Of an environment, and what it is called.
KNOWN = {
    "commit": "commit", "device": "device", "device_name": "device's name", "cores": "cores", "threads": "threads",
    "workers": "runs at a time", "backend": "backend", "python": "Python", "torch": "torch", "lightning": "lightning",
    "driver": "driver", "platform": "platform",
}  # fmt: skip


def source_html(results: Sequence[Result], tables: Sequence[Table]) -> str:
    """Captions with the commands, a list of what ran where, and of the settings, those that vary counted."""
    captions = "".join(f"<p>{code(text)}</p>" for text in distinct(table.caption for table in tables))
    environment = [
        (title, listed([str(value)[:60] for value in values], 4))
        for name, title in KNOWN.items()
        if (values := distinct(result.environment.get(name) for result in results))
    ]
    return (
        f"{captions}<h3>Where it ran</h3>{_list(environment)}"
        f"<details><summary>Settings of the runs</summary>{_list(_settings(results))}</details>"
    )


def _settings(results: Sequence[Result]) -> list[tuple[str, str]]:
    """Every setting with its values."""
    values: dict[str, list[Any]] = {}
    for result in results:
        for name, value in flat(result.run if isinstance(result.run, Mapping) else {}).items():
            values.setdefault(name, []).append("none" if value is None else value)
    return [(name, listed(distinct(entries), 8)) for name, entries in values.items()]


def _list(pairs: Sequence[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in pairs) + "</dl>"


#: Points of a curve on a run's page; letters of a generated sample, and how many examples of pairs.
POINTS, LETTERS, PAIRS = 64, 4000, 6


def runs_table(results: Sequence[Result]) -> Table:
    """A line a run, with what tells it from the others, what became of it and its primary score."""
    train = [result for result in results if result.kind == "train"]
    extras = {result.folder: dict(g.extras) for g in group(train) for result in g.results}
    names = list(next(iter(extras.values()), {}))
    kinds = sorted({result.data_set.kind for result in train})
    score = TASK_FAMILIES[kinds[0]].primary.title if len(kinds) == 1 else "test score"
    columns = (
        *(Column(name, name, left=True) for name in ("run", "status", "cell")),
        *([Column("data", "data", left=True)] if len({result.data for result in train}) > 1 else []),
        Column("T", "T"),
        *(Column(name, name.rsplit(".", 1)[-1], left=True) for name in names),
        Column("seed", "seed"),
        Column("score", score),
        *([Column("metric", "score is", left=True)] if len(kinds) > 1 else []),
        Column("final/hundredth_lag", "gradient at 1/100, end (lags)"),
        Column(SPEED, "tokens/s"),
        Column("took", "took (s)"),
    )
    rows = tuple(_row(result, extras.get(result.folder, {})) for result in results)
    return Table("runs", columns, rows).without_empty_columns()


def _row(result: Result, extras: Mapping[str, Any]) -> Row:
    raw: dict[str, Any] = {"run": result.id, "status": result.status, "seq_len": result.seq_len, **extras}
    raw["took"] = result.seconds
    text = {"run": result.id, "status": LOST.get(result.status, result.status), "T": str(result.seq_len)}
    text |= {name: MISSING if value is None else str(value) for name, value in extras.items()}
    if result.kind == "train":
        primary = TASK_FAMILIES[result.data_set.kind].primary
        raw |= {"seed": int(result.run.get("seed", 0)), "score": result.number(primary.key)}
        raw |= {name: result.number(name) for name in ("final/hundredth_lag", SPEED)}
        text |= {"cell": result.cell, "data": result.data, "seed": str(raw["seed"]), "metric": primary.metric}
        text |= {"score": primary.show(raw["score"])}
        text |= {"final/hundredth_lag": lag(raw["final/hundredth_lag"], result.number("final/lags"))}
        text |= {SPEED: number(raw[SPEED], 3)}
    else:
        text["cell"] = ", ".join(map(timed_cell, result.run["cells"]))
    return Row(raw, text | {"took": number(result.seconds, 3)})


def timed_cell(cell: Any) -> str:
    """The name of a timing's cell, a name or a mapping."""
    return str(cell["name"]) if isinstance(cell, Mapping) and "name" in cell else str(cell)


def routes(results: Sequence[Result]) -> list[str]:
    """What a run's page is called in the address: its id, without what an address cannot hold; none twice."""
    out: dict[str, None] = {}
    for result in results:
        name = re.sub(r"[^A-Za-z0-9_.=-]+", "_", result.id)
        while name in out:
            name += "_"
        out[name] = None
    return list(out)


def run_data(results: Sequence[Result]) -> dict[str, Any]:
    """{"environments": the distinct ones, "runs": a record a run, which refers to its environment by its place}."""
    environments: list[Mapping[str, Any]] = []
    places: dict[str, int] = {}
    runs = []
    for route, result in zip(routes(results), results, strict=True):
        key = json.dumps(result.environment, sort_keys=True, default=str)
        if key not in places:
            places[key] = len(environments)
            environments.append(_finite(result.environment))
        runs.append({"route": route, "environment": places[key], **_record(result)})
    return {"environments": environments, "runs": runs}


def _record(result: Result) -> dict[str, Any]:
    metrics = {key: _metric(value) for key, value in result.metrics.items()}
    out: dict[str, Any] = {"id": result.id, "status": result.status, "seconds": short(result.seconds, 4)}
    out |= {"config": _finite(result.run), "metrics": metrics}
    out["curves"] = _curves(result) if result.kind == "train" else {}
    if result.error:
        out["error"] = str(result.error)
    if result.kind == "train":
        out["learning"] = _learning(result)
        out["unit"] = TASK_FAMILIES[result.data_set.kind].unit.replace("test ", "")
    return out | _samples(result.folder)


def _metric(value: Any) -> Any:
    if isinstance(value, float):
        return short(value, 6) if math.isfinite(value) else str(value)
    return value


def _curves(result: Result) -> dict[str, Any]:
    """By name (x, y): the gradient's flow over the lag, its norm over the steps; of timings none."""
    out: dict[str, Any] = {}
    for name in ("init/gradient_flow", "final/gradient_flow"):
        curve = result.curve(name)
        if curve is not None and math.isfinite(curve[0]):
            few = kept(len(curve), POINTS)
            out[name] = [few.tolist(), shorts(decades(curve)[few])]
    norms = result.curve("grad_norm")
    if norms is not None and len(norms):  # the largest of each segment, for an explosion lasts one step
        parts = np.array_split(norms, min(POINTS, len(norms)))
        steps = np.cumsum([len(part) for part in parts])
        out["grad_norm"] = [steps.tolist(), shorts(part.max() for part in parts)]
    return out


def _learning(result: Result) -> dict[str, Any]:
    """By part, train and val: (tokens, primary score) along the history, thinned."""
    data = result.run["data"]
    per_step = data["seq_len"] * data.get("batch_size", 1)
    metric = TASK_FAMILIES[result.data_set.kind].primary.metric
    history = list(result.history())
    out: dict[str, Any] = {}
    for part in ("train", "val"):
        scored = [row for row in history if isinstance(row.get(f"{part}/{metric}"), int | float)]
        scored = [row for row in scored if math.isfinite(row[f"{part}/{metric}"])]
        few = [scored[index] for index in kept(len(scored), POINTS)]
        if few:
            tokens = shorts(row.get("tokens", row.get("step", 0) * per_step) for row in few)
            out[part] = [tokens, shorts(row[f"{part}/{metric}"] for row in few)]
    return out


def _samples(folder: Path) -> dict[str, Any]:
    """What it generated: a text, or pairs of source, target and what was decoded; what cannot be read is left out."""
    out: dict[str, Any] = {}
    try:
        text = read_text(folder, SAMPLE)
        prompt, mark, written = text[:LETTERS].partition(SAMPLE_MARK)
        out["sample"] = [prompt, written] if mark else ["", prompt]
    except (OSError, ValueError):
        pass
    try:
        samples = json.loads(read_text(folder, SAMPLES))
        names = ("source", "target", "decoded")
        pairs = [[str(one.get(name, "")) for name in names] for one in samples if isinstance(one, dict)]
        out |= {"pairs": pairs[:PAIRS]} if pairs else {}
    except (OSError, ValueError, TypeError):
        pass
    return out


def _finite(value: Any) -> Any:
    """Nested settings as JSON can hold them."""
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | None) else str(value)
