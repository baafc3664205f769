"""The footnotes of a table of training runs: what its entries mean, for the columns and lines that are there."""

from __future__ import annotations

from rnnbench.probes.curve import WORTH
from rnnbench.report.estimates import INTERVAL_SEEDS
from rnnbench.report.kinds import Kind
from rnnbench.report.statistics import Group
from rnnbench.report.tables.lost import circumstances, lost_notes
from rnnbench.report.tables.table import Table, count


def notes(table: Table, groups: list[Group], kind: Kind) -> tuple[tuple[str, str], ...]:
    """Sentences, each with the key of the column that it explains."""
    primary = kind.headline.key
    sizes = [len(g.done) for g in groups]
    out = []
    if max(sizes) >= INTERVAL_SEEDS:
        sentence = (
            "Interquartile mean over seeds with its 95 % bootstrap interval; bold: best of its T, intervals apart."
        )
        out.append((primary, sentence))
    if any(1 < size < INTERVAL_SEEDS for size in sizes):
        out.append((primary, f"Below {INTERVAL_SEEDS} seeds no interval: each seed's score stands in parentheses."))
    results = [result for g in groups for result in g.results]
    out += [("seeds", sentence) for sentence in (*lost_notes(results), *circumstances(results))]
    out += [(score.key, kind.notes[score.key]) for score in kind.scores if score.key in kind.notes]
    out += [
        (
            "by_text",
            "± by text: half of the 95 % interval over blocks of 1000 characters of the test text: what another "
            "text of the kind might change, seeds aside.",
        ),
        ("half_life", "Half-life: states back over which the gradient of the last loss halves; median over seeds."),
        (
            "final/context_horizon",
            f"Context: symbols beyond which a longer one saves less than {WORTH} bits; median.",
        ),
        ("verdict", "Gradients: slope of log G(k), its 95 % interval over seeds against ± ln 2 / T."),
    ]
    there = {row.raw["cell"] for row in table.references}
    out += [(primary, kind.notes[name]) for name in kind.references if name in kind.notes and name in there]
    matched = sorted({int(v) for g in groups if (v := g.median("model/matched_parameters")) is not None})
    if matched and any(dict(g.results[0].run["model"]).get("parameters") for g in groups):
        span = count(matched[0]) if len(matched) == 1 else f"{count(matched[0])} to {count(matched[-1])}"
        out.append(
            ("model/parameters", f"Recurrent layers and readout are matched: {span} weights; params has the rest.")
        )
    keys = {column.key for column in table.columns}
    return tuple((key, sentence) for key, sentence in out if key in keys)
