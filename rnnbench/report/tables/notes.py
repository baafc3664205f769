"""The footnotes of a table of training runs: what its entries mean, for the columns and lines that are there."""

from __future__ import annotations

from collections.abc import Sequence

from rnnbench.probes.curve import WORTH
from rnnbench.report import baselines
from rnnbench.report.estimates import INTERVAL_SEEDS
from rnnbench.report.kinds import Kind
from rnnbench.report.results import Result
from rnnbench.report.statistics import Group
from rnnbench.report.tables.lost import circumstances, lost_notes, mixed_notes
from rnnbench.report.tables.table import Table, count


def notes(table: Table, groups: list[Group], kind: Kind, reasons: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Sentences, each with the key of the column that it explains.

    reasons: Why cells are not ranked, and where, if not everywhere.
    """
    primary = kind.headline.key
    sizes = [len(g.done) for g in groups]
    out = [(primary, f"{reason[0].upper()}{reason[1:]}.") for reason in reasons]
    if any((found := g.estimate(primary)) is not None and found.interval is not None for g in groups):
        bold = (
            ""
            if not any(row.bold for row in table.rows)
            else f"; bold: best of its {groups[0].symbol}, intervals apart"
        )
        out.append((primary, f"Mean over seeds with its 95 % Student-t interval{bold}."))
    if any(1 < size < INTERVAL_SEEDS for size in sizes):
        out.append((primary, f"Below {INTERVAL_SEEDS} seeds no interval: each seed's score stands in parentheses."))
    results = [result for g in groups for result in g.results]
    out += [("seeds", sentence) for sentence in (*lost_notes(results), *circumstances(results), *mixed_notes(results))]
    out += [(primary, line) for line in baselines.notes(kind, groups)]
    out += [(score.key, kind.notes[score.key]) for score in kind.scores if score.key in kind.notes]
    out += [
        (
            "by_text",
            "± by text: half of the 95 % interval over blocks of the test text, doubled until it settles (≥: it has "
            "not): what another text of the kind might change, seeds aside.",
        ),
        (
            "reach",
            "Gradient at 1/100: the first lag at which the gradient of the last step's loss is down to a hundredth of "
            "its maximum, on the data; median over seeds; ≥: not within the lags measured.",
        ),
        ("throughput/tokens_per_second", _speeds(results)),
        (
            "final/context_horizon",
            f"Context: symbols beyond which a longer one saves less than {WORTH} bits; median; ≥: the longest that "
            "was read.",
        ),
        ("verdict", verdict_note(groups)),
    ]
    there = {row.raw["cell"] for row in table.references}
    out += [(primary, kind.notes[name]) for name in kind.references if name in kind.notes and name in there]
    matched = sorted({int(v) for g in groups if (v := g.median("model/matched_parameters")) is not None})
    if matched and any(dict(g.results[0].run["model"]).get("parameters") for g in groups):
        span = count(matched[0]) if len(matched) == 1 else f"{count(matched[0])} to {count(matched[-1])}"
        out.append(
            (
                "model/matched_parameters",
                f"Matched are the weights of recurrent layers and readout: {span}; all has the embedding's as well.",
            )
        )
    keys = {column.key for column in table.columns}
    return tuple((key, sentence) for key, sentence in out if key in keys and sentence)


def verdict_note(groups: Sequence[Group]) -> str:
    """What the verdict on gradients is."""
    lags = {j.lags for g in groups for when in ("init", "final") if (j := g.judgement(when)) is not None}
    return (
        f"Gradients: decades lost or gained over {', '.join(map(str, sorted(lags)))} lags; preserved: within one "
        "decade, by the 95 % interval over seeds; undecided: it reaches over a border."
    )


def _speeds(results: Sequence[Result]) -> str:
    if not any(result.environment.get("workers", 1) > 1 for result in results):
        return ""
    timed, ran = ({result.environment.get(key) for result in results} - {None} for key in ("timed_on", "device_name"))
    where = "" if timed <= ran else f", on {' and '.join(sorted(map(str, timed)))}"
    return f"Tokens/s: of the whole training step, each setting by itself on one pinned core, in turns{where}."
