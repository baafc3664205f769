"""What stands around the numbers of a table: which runs a line is of, what they lack, and what produced them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnbench.probes.curve import WORTH
from rnnbench.report.references import not_better_notes
from rnnbench.report.results import LOST, Result
from rnnbench.report.significance import INTERVAL_SEEDS
from rnnbench.report.statistics import Group, short_name
from rnnbench.report.tables.table import MISSING, Column, Row, count, listed
from rnnbench.report.task_families import TaskFamily

#: So many errors are named one by one.
NAMED = 5
BY_TEXT = "± by text: half of the 95 % interval over blocks of the test text, doubled until it settles"


def first_columns(groups: Sequence[Group]) -> list[Column]:
    """Cell, data where they differ, T (or K), and whatever else tells the groups apart."""
    several_data = len({g.data for g in groups}) > 1
    return [
        Column("cell", "cell", 0, left=True),
        *([Column("data", "data", 0, left=True)] if several_data else []),
        Column("length", groups[0].symbol, 0),
        *(Column(name, short_name(name), 1, left=True) for name, _ in groups[0].extras),
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


def training_notes(
    groups: Sequence[Group], family: TaskFamily, reasons: Sequence[str], rows: Sequence[Row], references: Sequence[Row]
) -> tuple[tuple[str, str], ...]:
    """The footnotes of a training table, each with the key of the column that it explains; some are empty.

    reasons: Why cells are not ranked, and where, if not everywhere.
    """
    primary = family.primary.key
    results = [result for g in groups for result in g.results]
    out = [(primary, f"{reason[0].upper()}{reason[1:]}.") for reason in reasons]
    if any((mean := g.estimate(primary)) is not None and mean.interval is not None for g in groups):
        bold = f"; bold: best of its {groups[0].symbol}, intervals apart" if any(row.bold for row in rows) else ""
        out.append((primary, f"Mean over seeds with its 95 % Student-t interval{bold}."))
    if any(1 < len(g.done) < INTERVAL_SEEDS for g in groups):
        out.append((primary, f"Below {INTERVAL_SEEDS} seeds no interval: each seed's score stands in parentheses."))
    out += [("seeds", sentence) for sentence in (*lost_notes(results), *circumstances(results), *mixed_notes(results))]
    out += [(primary, line) for line in not_better_notes(family, groups)]
    out += [(score.key, family.notes[score.key]) for score in family.scores if score.key in family.notes]
    out += [
        ("by_text", f"{BY_TEXT} (≥: it has not): what another text of the kind might change, seeds aside."),
        ("reach", "Gradient at 1/100: the first lag at which the gradient of the last step's loss is down to a "
         "hundredth of its maximum, on the data; median over seeds; ≥: not within the lags measured."),
        ("throughput/tokens_per_second", _speed_note(results)),
        ("final/context_horizon", f"Context: symbols beyond which a longer one saves less than {WORTH} bits; median; "
         "≥: the longest that was read."),
        ("verdict", verdict_note(groups)),
    ]  # fmt: skip
    shown = {row.raw["cell"] for row in references}
    out += [(primary, family.notes[name]) for name in family.references if name in family.notes and name in shown]
    matched = sorted({int(v) for g in groups if (v := g.median("model/matched_parameters")) is not None})
    if matched and any(dict(g.results[0].run["model"]).get("parameters") for g in groups):
        span = " to ".join(count(value) for value in dict.fromkeys((matched[0], matched[-1])))
        sentence = f"Matched are the weights of recurrent layers and readout: {span}; all has the embedding's as well."
        out.append(("model/matched_parameters", sentence))
    return tuple(out)


def verdict_note(groups: Sequence[Group]) -> str:
    """What the verdict on gradients is."""
    lags = {j.lags for g in groups for when in ("init", "final") if (j := g.judgement(when)) is not None}
    return (
        f"Gradients: decades lost or gained over {', '.join(map(str, sorted(lags)))} lags; preserved: within one "
        "decade, by the 95 % interval over seeds; undecided: it reaches over a border."
    )


def _speed_note(results: Sequence[Result]) -> str:
    if not any(result.environment.get("workers", 1) > 1 for result in results):
        return ""
    timed, ran = ({result.environment.get(key) for result in results} - {None} for key in ("timed_on", "device_name"))
    where = "" if timed <= ran else f", on {' and '.join(sorted(map(str, timed)))}"
    return f"Tokens/s: of the whole training step, each setting by itself on one pinned core, in turns{where}."


def _by_status(results: Iterable[Result]) -> str:
    """``1 failed, 2 ran out of memory``."""
    counts = Counter(result.status for result in results)
    return ", ".join(f"{counts[status]} {words}" for status, words in LOST.items() if counts[status])


def outcomes(lost: Sequence[Result]) -> str:
    """What became of runs that are not done: ``failed``, or ``ended early: 1 failed, 2 ran out of memory``."""
    alike = len({result.status for result in lost}) == 1
    return LOST[lost[0].status] if alike else f"ended early: {_by_status(lost)}"


def lost_notes(results: Sequence[Result]) -> list[str]:
    """How many runs are not done and what became of them, then their errors; nothing where all are."""
    lost = [result for result in results if not result.done]
    if not lost:
        return []
    rate = f"{len(lost)} of {len(results)} runs ({100 * len(lost) / len(results):.0f} %)"
    rate += f": {_by_status(lost)}" if any(result.broken for result in lost) else " diverged or failed"
    return [f"{rate}: they count in the denominator of the seeds, not in a mean.", *broken_notes(results)]


def broken_notes(results: Sequence[Result]) -> list[str]:
    """The first few errors that have ended a run, a sentence each, and how many there are more."""
    broken = [result for result in results if result.broken]
    errors = [f"{result.id} {LOST[result.status]}: {result.error or 'no word why'}" for result in broken[:NAMED]]
    more = len(broken) - NAMED
    rest = [f"And {more} more: `rnnbench runs list --status failed,oom,timeout`."] if more > 0 else []
    return [f"{error.rstrip('.')}." for error in errors] + rest


def mixed_notes(results: Sequence[Result]) -> list[str]:
    """What differs where a study's runs were not made by one machine with one version of torch."""
    out = []
    for key, words in (("device_name", "machines"), ("torch", "versions of torch")):
        counts = Counter(str(r.environment[key]) for r in results if r.environment.get(key))
        if len(counts) > 1:
            named = listed([f"{name} ({runs} runs)" for name, runs in counts.most_common()], NAMED)
            out.append(f"Mixed {words}: {named}; no speed is to be compared across them.")
    return out


def exemptions(results: Sequence[Result]) -> list[str]:
    """Which checks a cell of these results is exempt from, with the reason that it gives."""
    said: dict[str, None] = {}
    for result in results:
        for cell, reasons in dict(result.environment.get("exemptions") or {}).items():
            said |= {
                f"{cell} is exempt from the {name} check: {str(why).rstrip('.')}.": None
                for name, why in reasons.items()
            }
    return list(said)


def circumstances(results: Sequence[Result]) -> list[str]:
    """Which runs took their batches in micro-batches, or shared them among devices: only the speed is another.

    And what has to be known of a cell beside its numbers: checks that it is exempt from, weights that are not trained.
    """
    out = []
    for key, words, by in (
        ("micro_batches", "In parts, for a whole batch did not fit into memory", "in"),
        ("devices", "On several devices, which share a batch", "on"),
    ):
        counts: Counter[str] = Counter()
        for result in results:
            parts = result.environment.get(key)
            if isinstance(parts, int) and parts > 1:
                label = f"{result.cell} T={result.seq_len}" if result.kind == "train" else result.id
                counts[f"{label} {by} {parts}"] += 1
        if counts:
            named = [f"{label} ({runs} runs)" if runs > 1 else label for label, runs in counts.items()]
            out.append(f"{words}: {listed(named, NAMED)}.")
    frozen = {
        f"{result.cell} {count(number)}"
        for result in results
        if result.kind == "train" and (number := result.number("model/frozen_parameters"))
    }
    if frozen:
        out.append(f"Weights that are not trained, beside those that are: {listed(sorted(frozen), NAMED)}.")
    return out + exemptions(results)


def caption(results: Sequence[Result]) -> str:
    """Study, data, budget, seeds, device, versions, commit and the command that makes the table again."""
    folder = results[0].folder.parent
    environments = [result.environment for result in results]
    parts = [f"Study {folder.name}"]
    if train := [result for result in results if result.kind == "train"]:
        parts.append(_distinct(result.data for result in train))
        parts.append(_distinct(_budget(result) for result in train))
        parts.append(f"seeds {_seeds(sorted({int(result.run.get('seed', 0)) for result in train}))}")
    else:
        parts += _timing_settings(results)
    device = _distinct(_device(environment) for environment in environments)
    threads = _distinct(e.get("threads") for e in environments)
    parts.append(f"on {device or 'an unknown device'}" + (f", threads {threads}" if threads else ""))
    if (workers := _distinct(e.get("workers") for e in environments)) not in ("", "1"):
        parts.append(f"{workers} runs at a time, which slow each other down")
    parts += _versions(environments, "backend", "driver")
    parts += _clocks([e["clocks_mhz"] for e in environments if e.get("clocks_mhz")])
    parts += _versions(environments, "torch")
    parts.append(f"commit {_distinct(str(e['commit'])[:10] for e in environments if e.get('commit')) or 'unknown'}")
    return f"{'; '.join(part for part in parts if part)}. Made by `rnnbench report {_shown(folder)}`."


def _device(environment: Mapping[str, Any]) -> str:
    device, name = environment.get("device") or "", environment.get("device_name")
    return f"{device} ({name})" if name and name != device else device


def _versions(environments: Sequence[Mapping[str, Any]], *keys: str) -> list[str]:
    return [f"{key} {value}" for key in keys if (value := _distinct(e.get(key) for e in environments))]


def _clocks(clocks: Sequence[Mapping[str, Sequence[int]]]) -> list[str]:
    """``sm clock 1755–1980 of 1980 MHz``: what they were in the jobs, and the most they could be."""
    out = []
    for name in clocks[0] if clocks else ():
        seen, most = sorted({one[name][0] for one in clocks}), max(one[name][1] for one in clocks)
        out.append(f"{name} clock {'–'.join(map(str, dict.fromkeys((seen[0], seen[-1]))))} of {most} MHz")
    return out


def _budget(result: Result) -> str:
    budget = result.run.get("budget") or {}
    if budget.get("steps") is not None:
        return f"{count(budget['steps'])} steps"
    tokens = budget.get("tokens")
    return "" if tokens is None else f"{tokens / 1e6:g} M tokens" if tokens >= 100_000 else f"{tokens} tokens"


def _timing_settings(results: Sequence[Result]) -> list[str]:
    """Sizes and number format; what says of a plain layer no more than that it is one is left out."""
    names = (("T", "seq_len"), ("B", "batch_size"), ("H", "hidden_size"), ("I", "input_size"), ("layers", "num_layers"),
             ("bidirectional", "bidirectional"), ("dtype", "dtype"))  # fmt: skip
    values = [(short, {result.run.get(name) for result in results} - {None}) for short, name in names]
    shown = [f"{short} {_distinct(sorted(known))}" for short, known in values if known]
    return [text for text in shown if text not in ("layers 1", "bidirectional False")]


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"{seeds[0]}–{seeds[-1]}"
    return ", ".join(map(str, seeds))


def _distinct(values: Iterable[Any]) -> str:
    """The distinct values in the order in which they come, at most four."""
    return listed([*dict.fromkeys(str(value) for value in values if value not in (None, ""))], 4)


def _shown(folder: Path) -> str:
    """The folder as one would type it here; elsewhere its last two names, so that no table tells a home folder."""
    try:
        return str(folder.relative_to(Path.cwd()))
    except ValueError:
        return f"{folder.parent.name}/{folder.name}"
