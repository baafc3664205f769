"""How many times as fast as the naive code, along what a study sweeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench.intervals import speed_up
from rnnbench.report.caption import caption
from rnnbench.report.results import Result
from rnnbench.report.statistics import cell_rank
from rnnbench.report.tables.table import MISSING, Column, Row, Table, number
from rnnbench.report.timings import NAIVE, SETTINGS, SweptSetting, Timed, backend_rank, in_words

WORDS = {
    "plain": "plain, the loop that everyone writes",
    "loop": "our own loop, with the input's product taken once",
}
Line = Mapping[int, Timed]


def speedup_table(found: Sequence[Timed], jobs: Sequence[Result], swept: SweptSetting) -> Table:
    """A line a cell and contestant, a column a swept value: the naive contestant's median over its own, 95 % interval.

    The naive contestant is the plain loop where it was timed, else our own loop; it has no line.
    """
    lines: dict[tuple[str, str], dict[int, Timed]] = {}
    for one in found:  # the refused too, so that a column says why it is empty
        if one.backend is not None:
            lines.setdefault((one.cell, swept.contestant(one)), {}).setdefault(swept.of(one), one)
    for key, timed in swept.lines(found).items():
        lines[key] |= {swept.of(one): one for one in timed}
    rows = []
    for key in sorted(lines, key=lambda k: (cell_rank(k[0]), backend_rank(k[1].split(",")[0]), k[1])):
        base = _naive(lines, key)
        if base is not None and base != key:
            rows.append(_row(lines[key], lines[base], swept))
    naive = sorted({str(row.raw["against"]) for row in rows})
    head, ends = SETTINGS[swept.name], (swept.values[0], swept.values[-1])
    columns = (
        Column("cell", "cell", 0, left=True),
        Column("backend", "backend", 0, left=True),
        *(Column(name, SETTINGS[name], 0, left=True) for name in swept.extras),
        *([Column("against", "against", 0, left=True)] if len(naive) > 1 else []),
        *(Column(str(value), f"{head} = {value}", 1 if value in ends else 2) for value in swept.values),
    )
    decoding = found[0].decoding
    what = "latency of a token" if decoding else "training step"
    notes = [
        ("cell", f"Speed-up: the median {what} of the naive code over that of the contestant, with its 95 % interval "
         f"(rounds drawn in pairs). The naive code: {'; '.join(WORDS[name] for name in naive)}."),
    ]  # fmt: skip
    name = "decoding_speedup" if decoding else "speedup"
    return Table(name, columns, tuple(rows), (), tuple(notes), caption(jobs)).without_empty_columns()


def _naive(lines: Mapping[tuple[str, str], Line], key: tuple[str, str]) -> tuple[str, str] | None:
    """The naive line of the same cell and the same sweep that was timed somewhere."""
    cell, contestant = key
    _, comma, extras = contestant.partition(",")
    keys = [(cell, f"{name}{comma}{extras}") for name in NAIVE]
    return next((k for k in keys if any(one.ms is not None for one in lines.get(k, {}).values())), None)


def _row(own: Line, base: Line, swept: SweptSetting) -> Row:
    one, naive = next(iter(own.values())), next(iter(base.values()))
    raw: dict[str, Any] = {"cell": one.cell, "backend": one.backend, "against": naive.backend}
    raw |= {name: one.settings[name] for name in swept.extras}
    text = {key: in_words(key, value) for key, value in raw.items()}
    for value in swept.values:
        middle, low, high = ratio(base.get(value), own.get(value)) or (None, None, None)
        key = f"{swept.name}={value}"
        raw |= {key: middle, f"{key}_low": low, f"{key}_high": high}
        refused = own[value].refused if value in own else None
        short = MISSING if refused is None else refused.split(":")[0]
        text[str(value)] = short if middle is None else with_ends(middle, low, high)
    return Row(raw, text)


def with_ends(middle: float, low: float | None, high: float | None) -> str:
    """``5.53 (5.08–5.95)``."""
    return number(middle, 3) + ("" if low is None or high is None else f" ({number(low, 3)}–{number(high, 3)})")


def ratio(base: Timed | None, other: Timed | None) -> tuple[float, float | None, float | None] | None:
    """Ratio of medians and its interval; without one where the two took no turns together, None without both times."""
    if base is None or other is None or base.ms is None or other.ms is None:
        return None
    first, second = base.samples(), other.samples()
    if base.result.folder != other.result.folder or first is None or second is None or len(first) != len(second):
        return base.ms / other.ms, None, None
    return speed_up(first, second)
