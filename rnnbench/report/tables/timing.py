"""The table of a throughput study: a line for each cell, backend and length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench.config import CellConfig
from rnnbench.report.caption import caption
from rnnbench.report.results import Result
from rnnbench.report.statistics import cell_rank, varying
from rnnbench.report.tables.table import MISSING, Column, Row, Table, number

TIMES = (("forward", 5), ("train_forward", 7), ("backward", 4), ("step", 0))
SETTINGS = ("batch_size", "hidden_size", "dtype", "device")


@dataclass(frozen=True)
class Timing:
    """What was measured of one cell on one backend. numbers: forward_ms, step_iqr_ms, tokens_per_second, …"""

    cell: str
    backend: str | None
    result: Result
    numbers: dict[str, float]

    @property
    def seq_len(self) -> int:
        """Sequence length T."""
        return self.result.seq_len


def timings(results: Sequence[Result]) -> list[Timing]:
    """Every measurement of some timing jobs, by T and cell; a cell without any (its job failed) keeps its place."""
    out = []
    for result in results:
        found: dict[tuple[str, str], dict[str, float]] = {}
        for key in result.metrics:
            value = result.number(key)
            if key.count("/") >= 2 and value is not None:
                cell, backend, what = key.rsplit("/", 2)
                found.setdefault((cell, backend), {})[what] = value
        out += [Timing(cell, backend, result, numbers) for (cell, backend), numbers in found.items()]
        labels = [CellConfig.parse(cell).label for cell in result.run["cells"]]
        out += [Timing(label, None, result, {}) for label in labels if not any(label == cell for cell, _ in found)]
    return sorted(out, key=lambda t: (t.seq_len, cell_rank(t.cell), t.backend or "", t.result.id))


def timing_table(results: Sequence[Result]) -> Table:
    """Medians with interquartile ranges; nothing is averaged over jobs."""
    found = timings(results)
    blocks: dict[tuple[str, str | None, int], list[dict[str, Any]]] = {}
    for one in found:
        settings = {name: one.result.run.get(name) for name in SETTINGS}
        blocks.setdefault((one.cell, one.backend, one.seq_len), []).append(settings)
    extras = varying(blocks.values())
    columns = (
        Column("cell", "cell", 0, left=True),
        Column("backend", "backend", 0, left=True),
        Column("T", "T", 0),
        *(Column(name, name, 1, left=True) for name in extras),
        *(Column(what, f"{what.replace('_', ' ')} (ms)", importance) for what, importance in TIMES),
        Column("tokens_per_second", "tokens/s", 2),
        Column("speedup", "speed-up", 1),
        Column("certificate", "certificate", 3),
    )
    rows = tuple(_row(one, extras) for one in found)
    failed = sum(not result.done for result in results)
    notes = [
        ("step", "Times are medians, the interquartile range in parentheses."),
        ("speedup", "Speed-up: of the training step over the loop's, with its 95 % interval."),
        ("certificate", "Certificate: largest error against the float64 loop, in units of this dtype's own loop's."),
    ]
    if failed:
        notes.append(
            ("cell", f"{failed} of {len(results)} timing jobs failed; what they did not measure is left open.")
        )
    return Table("timing", columns, rows, (), tuple(notes), caption(results)).without_empty_columns()


def _row(one: Timing, extras: list[str]) -> Row:
    numbers = one.numbers
    raw: dict[str, Any] = {"cell": one.cell, "backend": one.backend, "seq_len": one.seq_len}
    raw |= {name: one.result.run.get(name) for name in SETTINGS} | {"status": one.result.status}
    text = {"cell": one.cell, "backend": one.backend or MISSING, "T": str(one.seq_len)}
    text |= {name: str(one.result.run.get(name)) for name in extras}
    for what, _ in TIMES:
        median, spread = numbers.get(f"{what}_ms"), numbers.get(f"{what}_iqr_ms")
        raw |= {f"{what}_ms": median, f"{what}_iqr_ms": spread}
        text[what] = number(median, 3) + (f" ({number(spread, 2)})" if spread is not None else "")
    for key in ("tokens_per_second", "speedup", "speedup_low", "speedup_high", "certificate"):
        raw[key] = numbers.get(key)
    text["tokens_per_second"] = number(raw["tokens_per_second"], 3)
    low, high = raw["speedup_low"], raw["speedup_high"]
    interval = f" ({low:.2f} – {high:.2f})" if low is not None and high is not None else ""
    text["speedup"] = f"{raw['speedup']:.2f} ×{interval}" if raw["speedup"] is not None else MISSING
    text["certificate"] = number(raw["certificate"], 2)
    return Row(raw, text)
