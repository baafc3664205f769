"""A run of the ledger as a row of a list, and in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from rnnbench.ledger import CHECKPOINT, LOG
from rnnbench.ledger.survey import Found, last_lines, last_step, read_config

if TYPE_CHECKING:
    from rich.console import Console

#: Lines of a log that are shown.
LOG_LINES = 20


def row(run: Found) -> dict[str, Any]:
    """What a list says of a run; without a result, how far it is and who is at work on it."""
    result: Mapping[str, Any] = run.result or {}
    metric, value = _headline(result)
    out: dict[str, Any] = {"study": run.study, "id": run.id, "status": run.status, "folder": str(run.folder)}
    out |= {"step": last_step(run.folder) if run.result is None else None, "metric": metric, "value": value}
    out |= {name: result.get(name) for name in ("seconds", "started", "error")}
    return out | {"checkpoint": CHECKPOINT in run.names, "holder": run.lock.who if run.held else None}


def show(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """A line a run, study by study; a terminal folds what does not fit."""
    from rich.table import Table
    from rich.text import Text

    from rnnbench.report.tables.table import number

    if not console.is_terminal:
        console.width = 10_000  # what is piped on stays a line a run
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for head in ("run", "status", "score", "seconds", "started (UTC)", ""):
        justify: Literal["left", "right"] = "right" if head == "seconds" else "left"
        table.add_column(head, no_wrap=head not in ("run", ""), overflow="fold", justify=justify)
    for row in rows:
        value = row["value"]
        plain = number(value) if isinstance(value, int | float) else value
        score = f"{row['metric']} {plain}" if value is not None else ""
        seconds = f"{row['seconds']:.0f}" if isinstance(row["seconds"], int | float) else ""
        started = str(row["started"] or "")[:16].replace("T", " ")
        entries = (f"{row['study']}/{row['id']}", row["status"], score, seconds, started, _note(row))
        table.add_row(*map(Text, entries))
    console.print(table)


def _note(row: Mapping[str, Any]) -> str:
    if row["error"]:
        return str(row["error"])
    parts = [f"step {row['step']}"] if row["step"] is not None else []
    if row["holder"]:
        parts.append(f"by {row['holder']}")
    elif row["checkpoint"]:
        parts.append("goes on from its checkpoint")
    return ", ".join(parts)


def about(run: Found) -> dict[str, Any]:
    """All that its folder says of a run, in the order in which one asks."""
    result: Mapping[str, Any] = run.result or {}
    values = result.get("run")
    if values is None:
        with suppress(Exception):  # whatever YAML makes of damaged bytes: there is the rest to show
            values = read_config(run.folder)
    known = {
        key: value for key, value in row(run).items() if value not in (None, False) and key not in ("metric", "value")
    }
    out: dict[str, Any] = {**known, **_config(values)}
    for name in ("metrics", "environment", "files"):
        if result.get(name):
            out[name] = result[name]
    if result.get("traceback"):
        out["traceback"] = result["traceback"]
    if log := last_lines(run.folder / LOG)[-LOG_LINES:]:
        out["log"] = "\n".join(log)
    return out


def _config(values: Any) -> dict[str, Any]:
    """What differs from the defaults apart from what does not; all of it where this version knows no such run."""
    from rnnbench.config import Run, difference
    from rnnbench.throughput.timing import Timing

    if not isinstance(values, Mapping):
        return {}
    kind: Any = Timing if "cells" in values else Run
    try:
        changed = difference(kind.from_dict(values))
    except Exception:  # of another version, or damaged: it is shown as it is
        return {"run": dict(values)}
    return {"differs from the defaults": changed, "as by default": _without(values, changed)}


def _without(values: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in values.items():
        if key not in changed:
            out[key] = dict(value) if isinstance(value, Mapping) else value
        elif (
            isinstance(value, Mapping) and isinstance(changed[key], Mapping) and (rest := _without(value, changed[key]))
        ):
            out[key] = rest
    return out


def _headline(result: Mapping[str, Any]) -> tuple[str | None, Any]:
    """Name and value of the figure of merit of a training run; none of a timing, or of data that is not known."""
    from rnnbench.data.catalog import entry
    from rnnbench.report.kinds import KINDS

    if result.get("kind") == "train":
        with suppress(Exception):  # a result that is damaged is listed all the same
            key = KINDS[entry(str(result["run"]["data"]["name"])).kind].headline.key
            if (value := result["metrics"].get(key)) is not None:
                return key, value
    return None, None
