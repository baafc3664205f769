"""The table of `rnnbench gradients`: a line a cell and condition, how far its gradients reach and what follows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rnnbench.probes.curve import GOOD_FIT
from rnnbench.probes.measured import Measured
from rnnbench.report.tables.table import MISSING, Column, Row, Table, count, exponent, lag, number, with_interval

NOTES = {
    "half": "½, 1/100: the first lags at which the gradient of the loss has fallen to a half and to a hundredth of its "
    "maximum; ≥: not within the lags measured.",
    "beyond": "Beyond 10: the share of Σ G(k) from larger lags.",
    "gain": "Gain: the largest G(k) over that at lag 0.",
    "dead": "Without gradient: samples whose gradient is exactly 0 at the last lag; they enter no mean.",
    "lyapunov": "λ₁: the largest Lyapunov exponent, nats a step; ± half of its 95 % Student-t interval over seeds; "
    "−∞: every direction is lost.",
    "decades": "Decades: log₁₀ of what is left over {lags} lags, with its interval; preserved: within one decade.",
    "fit": "Fit: half-life of an exponential with the lags of its fit, where R² > {good}: it describes the tail.",
}


def gradient_table(rows: Sequence[Measured], caption: str) -> Table:
    """Medians over seeds; of λ₁ and the decades the mean with its 95 % interval over seeds, from two seeds on.

    Args:
        rows: What was measured.
        caption: What produced it.
    """
    columns: tuple[Column, ...] = (
        Column("cell", "cell", left=True),
        Column("condition", "weights", left=True),
        Column("half", "½ (lags)", 0),
        Column("hundredth", "1/100 (lags)", 0),
        Column("beyond", "beyond 10", 2),
        Column("gain", "gain", 6),
        Column("dead", "without gradient", 5),
        Column("lyapunov", "λ₁", 1),
        Column("decades", "decades", 4),
        Column("verdict", "gradients", 0, left=True),
        Column("fit", "half-life of a fit", 7, left=True),
    )
    if all(row.condition == "default" for row in rows):
        columns = tuple(column for column in columns if column.key != "condition")
    lags = sorted({row.judgement.lags for row in rows if row.judgement is not None})
    words = {"lags": ", ".join(map(str, lags)), "good": GOOD_FIT}
    table = Table("gradients", columns, tuple(map(_row, rows)), (), (), caption).without_empty_columns()
    there = {column.key for column in table.columns}
    notes = tuple((key, note.format(**words)) for key, note in NOTES.items() if key in there)
    return dataclasses.replace(table, notes=notes)


def _row(row: Measured) -> Row:
    judgement = row.judgement
    mean, half_width = row.exponent()
    shown = number(mean, 3) if half_width is None else with_interval(mean, half_width)
    decades = MISSING
    if judgement is not None:
        decades = with_interval(judgement.decades, judgement.half_width)
    last, dead, gain = row.median("lags"), row.median("dead_share"), row.median("max_gain")
    beyond = row.median("beyond_10") if all("beyond_10" in one for one in row.scalars) else None
    fit = MISSING
    if row.median("half_life_r2") > GOOD_FIT:
        range_ = f"{count(row.median('half_life_first'))}–{count(row.median('half_life_last'))}"
        fit = f"{number(row.median('half_life'), 3)} (lags {range_})"
    text = {
        "cell": row.cell,
        "condition": row.condition,
        "half": lag(row.median("half_lag"), last),
        "hundredth": lag(row.median("hundredth_lag"), last),
        "beyond": MISSING if beyond is None else f"{100 * beyond:.2g} %",
        "gain": MISSING if gain <= 1 else number(gain, 3),
        "dead": f"{100 * dead:.0f} %" if dead else MISSING,
        "fit": fit,
        "lyapunov": exponent(row.exponents, shown),
        "decades": decades.replace("-", "−"),
        "verdict": judgement.verdict if judgement is not None else MISSING,
    }
    return Row(row.plain(), text)
