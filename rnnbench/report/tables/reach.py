"""How far gradients reach: of a study that asks about it, and of one call of `rnnbench gradients`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from rnnbench.probes.curve import BAND, BEYOND, GOOD_FIT, Judgement
from rnnbench.probes.measured import Measured
from rnnbench.report.results import Result
from rnnbench.report.significance import Estimate
from rnnbench.report.statistics import SEQ_LEN, Group, cell_rank, group, median_of
from rnnbench.report.tables.notes import caption, exemptions, first_columns, first_entries, verdict_note
from rnnbench.report.tables.table import (
    MISSING,
    Column,
    Row,
    Table,
    count,
    exponent,
    lag,
    number,
    percent,
    with_interval,
    with_range,
)

When = Literal["init", "final"]
WHEN: dict[When, str] = {"init": "at first", "final": "trained"}
#: What a study has measured that has this table.
MARK = "init/lyapunov_1"
#: Lags at which a gradient has fallen to a half and to a hundredth.
LAGS = ("half_lag", "hundredth_lag")


def asks_about_gradients(results: Sequence[Result]) -> bool:
    """Did a study measure Lyapunov exponents, beside the curves that every run has?"""
    return any(result.number(MARK) is not None for result in results)


def reach_table(results: Sequence[Result], axis: str = SEQ_LEN) -> Table:
    """A line for each group over seeds: the lags at which gradients have fallen, what lies beyond, verdicts, λ₁.

    The last columns hold the classical mistake against the definition: how much of the gradient is left at the largest
    lag, of the loss at the last step and of the loss averaged over all.
    """
    groups = sorted(group(results, axis), key=lambda g: (g.data, g.length, cell_rank(g.cell), g.series))
    columns = (
        *first_columns(groups),
        Column("init/reach", "½, 1/100 at first (lags)", 1),
        Column("during/reach", "… half-way", 4),
        Column("final/reach", "… trained", 1),
        Column("init/noise", "at first, on noise", 5),
        Column("final/noise", "trained, on noise", 2),
        Column("final/parts", "1/100 by part of the state", 5, left=True),
        Column("final/context", "context worth 0.01 bits", 2),
        Column("final/beyond", f"trained: beyond {', '.join(map(str, BEYOND))} lags", 4),
        *(Column(f"{when}/verdict", f"gradients {words}", 3, left=True) for when, words in WHEN.items()),
        *(Column(f"{when}/decades", f"decades {words}", 5) for when, words in WHEN.items()),
        Column("final/max_gain", "largest G(k)/G(0)", 6),
        *(Column(f"{when}/dead_share", f"without gradient {words}", 6) for when, words in WHEN.items()),
        *(Column(f"{when}/lyapunov_1", f"λ₁ {words}", 6) for when, words in WHEN.items()),
        Column("final/fit", "half-life of a fit, trained", 7, left=True),
        Column("last", "left at the last lag", 8),
        Column("averaged", "… of an averaged loss", 8),
        Column("seeds", "seeds done", 2),
    )
    notes = (
        ("init/reach", "½, 1/100: the first lags at which the gradient of the last step's loss has fallen to a half "
         "and to a hundredth of its maximum; medians over seeds; ≥: not within the lags measured."),
        ("init/noise", "Noise: the same time steps in a random order."),
        ("final/parts", "By part: of an LSTM's h and c, and the like, each by itself."),
        ("final/context", "Context: symbols beyond which a longer one saves less than 0.01 bits: what the model uses; "
         "≥: the longest that was read."),
        ("final/beyond", "Beyond: share of Σ G(k) from larger lags."),
        ("init/verdict", verdict_note(groups)),
        ("init/decades", f"Decades: log₁₀ of what is left over those lags; the verdict holds it against ±{BAND:g}."),
        ("init/dead_share", "Without gradient: share of the samples whose gradient is exactly 0 at the last lag; they "
         "enter no mean."),
        ("init/lyapunov_1", "λ₁: largest Lyapunov exponent, nats a step; 95 % interval; −∞: every direction is lost."),
        ("final/fit", f"Fit: of an exponential, with its range of lags, where R² > {GOOD_FIT}; it describes the tail."),
        ("averaged", "Left: G(k)/G(0) at the largest lag, untrained; averaged over time a loss hides what vanishes."),
        *(("seeds", sentence) for sentence in exemptions(results)),
    )  # fmt: skip
    rows = tuple(map(_group_row, groups))
    return Table("gradients", columns, rows, notes=notes, caption=caption(results)).without_empty_columns()


def _group_row(g: Group) -> Row:
    raw, text = first_entries(g)
    for when in WHEN:
        for name in (f"{when}/{start}{name}" for name in LAGS for start in ("", "noise_")):
            raw[name] = g.median(name)
        text[f"{when}/reach"] = reach_text(g, when)
        text[f"{when}/noise"] = reach_text(g, when, "noise_")
        judgement = g.judgement(when)
        for name in ("decades", "low", "high", "verdict"):
            raw[f"{when}/{name}"] = judgement and getattr(judgement, name)
        text[f"{when}/verdict"] = MISSING if judgement is None else judgement.verdict
        text[f"{when}/decades"] = _decades(judgement)
        raw[f"{when}/dead_share"] = g.median(f"{when}/dead_share")
        text[f"{when}/dead_share"] = percent(raw[f"{when}/dead_share"])
        rate = g.estimate(f"{when}/lyapunov_1")
        raw[f"{when}/lyapunov_1"] = rate and rate.mean
        text[f"{when}/lyapunov_1"] = MISSING if rate is None else exponent(rate.values, _mean(rate))
    halfway = {f"during/{name}": _halfway(g, name) for name in LAGS}
    raw |= halfway
    text["during/reach"] = _lags([*halfway.values()], g.median("init/lags"))
    raw["final/context_horizon"], longest = g.context_horizon()
    text["final/context"] = lag(raw["final/context_horizon"], longest)
    shares = {f"final/beyond_{beyond}": g.median(f"final/beyond_{beyond}") for beyond in BEYOND}
    raw |= shares
    known = [f"{100 * share:.2g} %" for share in shares.values() if share is not None]
    text["final/beyond"] = ", ".join(known) or MISSING
    parts = _parts(g)
    raw |= {f"final/hundredth_lag_{part}": value for part, value in parts.items()}
    by_part = ", ".join(f"{part} {lag(value, g.median('final/lags'))}" for part, value in parts.items())
    text["final/parts"] = by_part if len(set(parts.values())) > 1 else MISSING
    raw["final/max_gain"] = g.median("final/max_gain")
    text["final/max_gain"] = _gain(raw["final/max_gain"], 2)
    raw |= {f"final/{name}": g.median(f"final/{name}") for name in ("half_life", "half_life_r2")}
    text["final/fit"] = _fit(lambda name: g.median(f"final/{name}"), with_r2=True)
    for name, key in (("last", "init/log10_gain_at_last_lag"), ("averaged", "init/averaged_log10_gain_at_last_lag")):
        raw[name] = g.median(key)
        text[name] = MISSING if raw[name] is None else power_of_ten(raw[name])
    return Row(raw, text)


def reach_text(g: Group, when: When, beginning: str = "") -> str:
    """``2, 10``: the median lags at which the gradient has fallen to a half and to a hundredth. beginning: noise_."""
    return _lags([g.median(f"{when}/{beginning}{name}") for name in LAGS], g.median(f"{when}/{beginning}lags"))


def _lags(values: Sequence[float | None], last: float | None) -> str:
    return MISSING if None in values else ", ".join(lag(value, last) for value in values)


def _halfway(g: Group, name: str) -> float | None:
    """The median of a probe at the measurement along the training that is nearest to its middle; None without any."""
    values = []
    for result in g.done:
        rows = [row for row in result.history() if isinstance(row.get(f"probe/{name}"), int | float)]
        steps = result.curve("along/step")
        if rows and steps is not None:
            middle = min(rows, key=lambda row: abs(row["step"] - steps[-1] / 2))
            values.append(float(middle[f"probe/{name}"]))
    return median_of(values)


def _parts(g: Group) -> dict[str, float]:
    """By part of the state, the median lag at which its gradient has fallen to a hundredth, trained."""
    beginning = "final/hundredth_lag_"
    names = sorted({key.removeprefix(beginning) for r in g.done for key in r.metrics if key.startswith(beginning)})
    return {name: value for name in names if (value := g.median(f"{beginning}{name}")) is not None}


def _fit(median: Callable[[str], float | None], with_r2: bool = False) -> str:
    """The half-life of the fitted exponential, with its range and R²; none where it describes the curve badly.

    median: Of a number of `probes.curve.Fit` over seeds, by its name.
    """
    half_life, r2 = median("half_life"), median("half_life_r2")
    first, last = median("half_life_first"), median("half_life_last")
    if half_life is None or r2 is None or first is None or last is None or not r2 > GOOD_FIT:
        return MISSING
    return f"{number(half_life, 3)} (lags {count(first)}–{count(last)}{f', R² {r2:.3f}' if with_r2 else ''})"


def _mean(rate: Estimate) -> str:
    return number(rate.mean, 3) if rate.interval is None else with_range(rate.mean, *rate.interval)


def _decades(judgement: Judgement | None) -> str:
    text = MISSING if judgement is None else with_interval(judgement.decades, judgement.half_width)
    return text.replace("-", "−")


def _gain(gain: float | None, digits: int) -> str:
    return MISSING if gain is None or gain <= 1 else number(gain, digits)


def power_of_ten(exponent: float) -> str:
    """10^exponent as a plain number near one, else as a power: 0.42, 1e−85."""
    if exponent == -float("inf"):
        return "0"
    if -3 < exponent < 3:
        return number(10**exponent, 2)
    return f"1e{round(exponent)}".replace("-", "−")


def gradient_table(measured: Sequence[Measured], caption: str) -> Table:
    """A line a cell and condition of `rnnbench gradients`.

    Medians over seeds; of λ₁ and the decades the mean with its 95 % interval over seeds, from two seeds on.
    """
    columns = (
        Column("cell", "cell", left=True),
        *([Column("condition", "weights", left=True)] if any(row.condition != "default" for row in measured) else []),
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
    lags = ", ".join(map(str, sorted({row.judgement.lags for row in measured if row.judgement is not None})))
    notes = (
        ("half", "½, 1/100: the first lags at which the gradient of the loss has fallen to a half and to a hundredth "
         "of its maximum; ≥: not within the lags measured."),
        ("beyond", "Beyond 10: the share of Σ G(k) from larger lags."),
        ("gain", "Gain: the largest G(k) over that at lag 0."),
        ("dead", "Without gradient: samples whose gradient is exactly 0 at the last lag; they enter no mean."),
        ("lyapunov", "λ₁: the largest Lyapunov exponent, nats a step; ± half of its 95 % Student-t interval over "
         "seeds; −∞: every direction is lost."),
        ("decades", f"Decades: log₁₀ of what is left over {lags} lags, with its interval; preserved: within one "
         "decade."),
        ("fit", f"Fit: half-life of an exponential with the lags of its fit, where R² > {GOOD_FIT}: it describes the "
         "tail."),
    )  # fmt: skip
    return Table("gradients", columns, tuple(map(_measured_row, measured)), (), notes, caption).without_empty_columns()


def _measured_row(row: Measured) -> Row:
    mean, half_width = row.exponent()
    beyond = row.median("beyond_10") if all("beyond_10" in one for one in row.scalars) else None
    text = {
        "cell": row.cell,
        "condition": row.condition,
        "half": lag(row.median("half_lag"), row.median("lags")),
        "hundredth": lag(row.median("hundredth_lag"), row.median("lags")),
        "beyond": MISSING if beyond is None else f"{100 * beyond:.2g} %",
        "gain": _gain(row.median("max_gain"), 3),
        "dead": percent(row.median("dead_share")),
        "fit": _fit(row.median),
        "lyapunov": exponent(row.exponents, number(mean, 3) if half_width is None else with_interval(mean, half_width)),
        "decades": _decades(row.judgement),
        "verdict": row.judgement.verdict if row.judgement is not None else MISSING,
    }
    return Row(row.plain(), text)
