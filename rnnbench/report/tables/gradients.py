"""The table of `rnnbench gradients`: a line a cell and condition, how far its gradients reach and what follows."""

from __future__ import annotations

from collections.abc import Sequence

from rnnbench.probes.measured import Measured
from rnnbench.report.tables.table import MISSING, Column, Row, Table, count, number, with_interval

#: A Lyapunov exponent below this, nats a step, stands for −∞: a direction that is lost for good.
LOST = -700.0
NOTES = {
    "half_life": "Half-life: lags over which the gradient of the loss halves, by a fit of log G(k) with that R²; "
    "halved: the first lag after which it really has.",
    "horizon": "Horizon: the furthest lag with at least a hundredth of the largest gradient; "
    "gain: the largest over that at lag 0.",
    "lyapunov": "λ₁: the largest Lyapunov exponent, nats a step; ± half of its 95 % Student-t interval over seeds.",
    "slope": "Slope of log G, nats a lag, with its interval; the verdict holds it against ± ln 2 / T.",
}


def gradient_table(rows: Sequence[Measured], caption: str) -> Table:
    """Medians over seeds; of λ₁ and the slope the mean with its 95 % interval over seeds, from two seeds on.

    Args:
        rows: What was measured.
        caption: What produced it.
    """
    columns: tuple[Column, ...] = (
        Column("cell", "cell", left=True),
        Column("condition", "weights", left=True),
        Column("half_life", "half-life", 0),
        Column("r2", "R²", 6),
        Column("halved", "halved", 7),
        Column("horizon", "horizon", 2),
        Column("gain", "gain", 5),
        Column("lyapunov", "λ₁", 1),
        Column("slope", "slope", 4),
        Column("verdict", "gradients", 0, left=True),
    )
    if all(row.condition == "default" for row in rows):
        columns = tuple(column for column in columns if column.key != "condition")
    return Table("gradients", columns, tuple(map(_row, rows)), (), tuple(NOTES.items()), caption)


def _row(row: Measured) -> Row:
    judgement = row.judgement
    exponent, half_width = row.exponent()
    if exponent < LOST:
        shown = "−∞"
    else:
        shown = number(exponent, 3) if half_width is None else with_interval(exponent, half_width)
    slope = MISSING
    if judgement is not None:
        slope = with_interval(judgement.slope, judgement.half_width)
    text = {
        "cell": row.cell,
        "condition": row.condition,
        "half_life": number(row.median("half_life"), 3),
        "r2": f"{row.median('half_life_r2'):.3f}",
        "halved": count(row.median("half_life_empirical")),
        "horizon": count(row.median("horizon")),
        "gain": number(row.median("max_gain"), 3),
        "lyapunov": shown.replace("-", "−"),
        "slope": slope.replace("-", "−"),
        "verdict": judgement.verdict if judgement is not None else MISSING,
    }
    return Row(row.plain(), text)
