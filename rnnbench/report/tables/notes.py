"""What every line of a table over groups of runs begins with: which runs they are, and how many of them are done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rnnbench.probes.curve import WORTH
from rnnbench.report import baselines
from rnnbench.report.estimates import INTERVAL_SEEDS
from rnnbench.report.results import LOST, Result
from rnnbench.report.statistics import Group
from rnnbench.report.tables.table import MISSING, Column, Table, count
from rnnbench.report.task_families import TaskFamily


def first_columns(groups: Sequence[Group]) -> list[Column]:
    """Cell, data where they differ, T (or K), and whatever else tells the groups apart."""
    several_data = len({g.data for g in groups}) > 1
    return [
        Column("cell", "cell", 0, left=True),
        *([Column("data", "data", 0, left=True)] if several_data else []),
        Column("length", groups[0].symbol, 0),
        *(Column(name, name.rsplit(".", 1)[-1], 1, left=True) for name, _ in groups[0].extras),
    ]


def first_entries(g: Group) -> tuple[dict[str, Any], dict[str, str]]:
    """A group's raw numbers and texts for `first_columns`, and for a column ``seeds``."""
    raw: dict[str, Any] = {"cell": g.cell, "data": g.data, "length": g.length, **dict(g.extras)}
    raw |= {"done": len(g.done), "all": len(g.results)}
    text = {"cell": g.cell, "data": g.data, "length": str(g.length), "seeds": f"{len(g.done)}/{len(g.results)}"}
    return raw, text | {name: MISSING if value is None else _short(value) for name, value in g.extras}


def _short(value: object) -> str:
    """As it was given, but for a number that was drawn at random, of which nobody reads twelve digits."""
    text = str(value)
    return f"{value:.4g}" if isinstance(value, float) and len(text) > 7 else text


def notes(table: Table, groups: list[Group], kind: TaskFamily, reasons: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Sentences, each with the key of the column that it explains.

    reasons: Why cells are not ranked, and where, if not everywhere.
    """
    primary = kind.primary.key
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


#: So many errors are told one by one.
TOLD = 5


def outcomes(lost: Sequence[Result]) -> str:
    """What became of runs that are not done: ``failed``, or ``ended early: 1 failed, 2 ran out of memory``."""
    counts = Counter(result.status for result in lost)
    if len(counts) == 1:
        return LOST[lost[0].status]
    return "ended early: " + ", ".join(f"{counts[status]} {words}" for status, words in LOST.items() if counts[status])


def lost_notes(results: Sequence[Result]) -> list[str]:
    """How many runs are not done and what became of them, then their errors; nothing where all are."""
    lost = [result for result in results if not result.done]
    if not lost:
        return []
    rate = f"{len(lost)} of {len(results)} runs ({100 * len(lost) / len(results):.0f} %)"
    counts = Counter(result.status for result in lost)
    if set(counts) <= {"diverged"}:
        rate += " diverged or failed"
    else:
        rate += ": " + ", ".join(f"{counts[status]} {words}" for status, words in LOST.items() if counts[status])
    return [f"{rate}: they count in the denominator of the seeds, not in a mean.", *broken_notes(results)]


def broken_notes(results: Sequence[Result]) -> list[str]:
    """The first few errors that have ended a run, a sentence each, and how many there are more."""
    broken = [result for result in results if result.broken]
    out = [f"{result.id} {LOST[result.status]}: {result.error or 'no word why'}" for result in broken[:TOLD]]
    out = [f"{sentence.rstrip('.')}." for sentence in out]
    if (more := len(broken) - TOLD) > 0:
        out.append(f"And {more} more: `rnnbench runs list --status failed,oom,timeout`.")
    return out


def mixed_notes(results: Sequence[Result]) -> list[str]:
    """What differs where a study's runs were not made by one machine with one version of torch."""
    out = []
    for key, words in (("device_name", "machines"), ("torch", "versions of torch")):
        counts = Counter(str(r.environment[key]) for r in results if r.environment.get(key))
        if len(counts) > 1:
            named = [f"{name} ({number} runs)" for name, number in counts.most_common()]
            rest = f" and {len(named) - TOLD} more" if len(named) > TOLD else ""
            out.append(f"Mixed {words}: {', '.join(named[:TOLD])}{rest}; no speed is to be compared across them.")
    return out


def circumstances(results: Sequence[Result]) -> list[str]:
    """Which runs took their batches in parts, or shared them among devices: the numbers are the same, the speed is not.

    The environment says so: ``micro_batches``, parts of a batch whose gradients are summed before an update;
    ``devices``, that share a batch.
    """
    out = []
    for key, words, by in (
        ("micro_batches", "In parts, for a whole batch did not fit into memory", "in"),
        ("devices", "On several devices, which share a batch", "on"),
    ):
        counts: Counter[str] = Counter()
        for result in results:
            number = result.environment.get(key)
            if isinstance(number, int) and number > 1:
                label = f"{result.cell} T={result.seq_len}" if result.kind == "train" else result.id
                counts[f"{label} {by} {number}"] += 1
        if counts:
            named = [f"{label} ({runs} runs)" if runs > 1 else label for label, runs in counts.items()]
            rest = f" and {len(named) - TOLD} more" if len(named) > TOLD else ""
            out.append(f"{words}: {', '.join(named[:TOLD])}{rest}.")
    return out
