"""A study in a few sentences, each made from its numbers and none claiming more than they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rnnbench.report.page.runs import timed_cell
from rnnbench.report.page.summary_training import training_sentences
from rnnbench.report.page.text import counted, distinct, listed
from rnnbench.report.page.timing_plots import timed_kinds
from rnnbench.report.panels import panels
from rnnbench.report.results import LOST, Result
from rnnbench.report.statistics import group
from rnnbench.report.tables.comparisons import COMPARISONS, EFFECTS
from rnnbench.report.tables.solvable import Solvable, predicts, searched
from rnnbench.report.tables.table import Table, number
from rnnbench.report.tables.tasks import TaskResult, many_tasks, short, task_results
from rnnbench.report.task_families import TASK_FAMILIES, data_sets
from rnnbench.report.timings import SETTINGS, TRIED, Timed, differing, in_words, sweep


def summary(results: Sequence[Result], timed: Sequence[Timed], tables: Sequence[Table]) -> list[tuple[str, list[str]]]:
    """What can be said of one study, its timings and its tables, as (heading, points of a sentence or two each)."""
    out = [("", [_extent(results), *_lost(results)])]
    for panel in panels(results):
        train = [result for result in panel.results if result.kind == "train"]
        if panel.search:
            searches, train = searched(train)
            out.append(("The longest that can be learnt", solvable_sentences(searches)))
        if many_tasks(train):
            out.append(("All tasks", task_sentences(task_results(train))))
            continue
        sets = data_sets(train)
        for kind, data, members in sets:
            rows = {table.name: [row.raw for row in table.rows] for table in tables}
            verdicts = [str(raw.get("final/verdict") or "") for raw in rows.get(f"{kind}{panel.ending}", ())
                        if raw.get("data") == data]  # fmt: skip
            tests, changes = (
                [raw for raw in rows.get(f"{kind}-{part}{panel.ending}", ()) if str(raw["data"]).split(", ")[0] == data]
                for part in (COMPARISONS, EFFECTS)
            )
            said = training_sentences(TASK_FAMILIES[kind], group(members, panel.axis), verdicts, tests, changes)
            out.append((" ".join(filter(None, (panel.title, data if len(sets) > 1 else ""))), said))
    out.append(("", timing_sentences(timed)))
    return [(heading, sentences) for heading, sentences in out if sentences]


def _extent(results: Sequence[Result]) -> str:
    """How much was done, and on what."""
    train = [result for result in results if result.kind == "train"]
    jobs = len(results) - len(train)
    parts = [counted(len(train), "training run")] * bool(train) + [counted(jobs, "timing job")] * bool(jobs)
    cells = distinct(result.cell for result in train)
    if jobs and not train:
        cells = distinct(timed_cell(cell) for result in results for cell in result.run["cells"])
    data = distinct(result.data for result in train)
    lengths = sorted({result.seq_len for result in results})
    what = [f"of {counted(len(cells), 'cell')}" + (f" ({listed(cells)})" if len(cells) <= 6 else "")]
    what += [f"on {data[0] if len(data) == 1 else f'{len(data)} data sets'}"] if data else []
    what += [f"at T = {listed([str(length) for length in lengths])}" if len(lengths) <= 6
             else f"at {len(lengths)} lengths from {lengths[0]} to {lengths[-1]}"]  # fmt: skip
    seeds = {int(result.run.get("seed", 0)) for result in train}
    if train:
        what.append(f"by {counted(len(seeds), 'seed')}")
    devices = distinct(r.environment.get("device_name") or r.environment.get("device") for r in results)
    what += [f"on {listed(devices, 3)}"] if devices else []
    seconds = sum(result.seconds for result in results)
    took = f"{seconds / 3600:.1f} hours" if seconds >= 5400 else f"{seconds / 60:.0f} minutes"
    if seconds < 180:
        took = f"{seconds:.0f} seconds"
    sentence = f"{listed(parts)} {', '.join(what)}: {took} of work."
    return sentence[0].upper() + sentence[1:]


def _lost(results: Sequence[Result]) -> list[str]:
    """How many runs were lost, where, and why."""
    lost = [result for result in results if not result.done]
    if not lost:
        return ["None was lost."]
    out = []
    for status, words in LOST.items():
        alike = [result for result in lost if result.status == status]
        if alike:
            where = Counter(f"{r.cell} at T = {r.seq_len}" if r.kind == "train" else r.id for r in alike)
            places = [f"{n} × {at}" if n > 1 else at for at, n in where.most_common()]
            out.append(f"{len(alike)} {words} ({listed(places, 4)})")
    one = out[0].removeprefix(f"{len(lost)} ")
    what = f"{len(lost)} of {len(results)} {one}" if len(out) == 1 else f"{len(lost)} of {len(results)} were lost: "
    sentence = what + ("; ".join(out) if len(out) > 1 else "") + "."
    sentence += " They count in the denominator, not in a score."
    errors = Counter(str(result.error).splitlines()[0] for result in lost if result.error)
    messages = [
        f"{error.rstrip('.')}{f' ({count} times)' if count > 1 else ''}" for error, count in errors.most_common(2)
    ]
    return [sentence, *([f"What they said: {'; '.join(messages)}."] if messages else [])]


def task_sentences(tasks: Sequence[TaskResult]) -> list[str]:
    """How many tasks were learnt at all, and where a simple line is still ahead."""
    known = [task for task in tasks if task.baseline is not None]
    beaten = [task for task in known if task.baseline and task.baseline[0] in task.beaten(task.best)]
    missed = [task.label for task in known if task not in beaten]
    out = []
    if known:
        rest = f"; not so on {listed(missed)}" if missed else ""
        out.append(f"On {len(beaten)} of {counted(len(known), 'task')} the best cell beats the baseline{rest}.")
    held = []
    for task in beaten:
        ahead = [name for name in task.lines if name not in task.beaten(task.best)]
        if ahead:
            held.append(f"{task.label} ({listed([short(name) for name in ahead], 3)})")
    if held:
        out.append(f"A stronger line is not beaten on {len(held)}: {listed(held, 10)}.")
    seeds = {len(task.best.results) for task in tasks}
    if max(seeds) < 5:
        out.append(f"With {counted(max(seeds), 'seed')} a task this says what was reached, not what a cell is worth.")
    return out


def solvable_sentences(searches: Sequence[Solvable]) -> list[str]:
    """Task by task who came farthest, and whether the gradient's reach before training had predicted it."""
    out = []
    for data, correlation in predicts(searches).items():
        on_task = [one for one in searches if one.data == data]
        far = max(one.bracket.solved or 0 for one in on_task)
        best = [one for one in on_task if (one.bracket.solved or 0) == far and far]
        unsolved = [one.cell for one in on_task if one.bracket.solved is None]
        points = []
        if best:
            more = ", the longest tried" if any(one.bracket.failed is None for one in best) else ""
            verb, names = "learns" if len(best) == 1 else "learn", listed([one.cell for one in best], 8)
            points.append(f"{data.replace('_', ' ').capitalize()}: {names} {verb} it over T = {far}{more}.")
        if unsolved:
            points.append(f"Not even over the shortest T tried: {listed(unsolved, 12)}.")
        says, low, high = "something about how far a cell comes", correlation.low, correlation.high
        if low is None or high is None or low <= 0 <= high:
            says = "nothing sure about how far a cell comes"
        elif high < 0:
            says += ", the wrong way round"
        points.append(f"How far gradients reach before training says {says}: {correlation.text()}.")
        out.append(" ".join(points))
    return out


def timing_sentences(timings: Sequence[Timed]) -> list[str]:
    """Sentences on one study's timings, each device and number format for itself."""
    kinds = timed_kinds(timings)
    out = []
    for (decoding, dtype, device), timed in kinds.items():
        known = [one for one in timed if one.ms is not None]
        swept = sweep(timed)
        place = f" ({dtype}, {device})" if len(kinds) > 1 else ""
        if swept is None:
            out += _shapes(known, decoding, place)
            continue
        for value in dict.fromkeys((swept.values[0], swept.values[-1])):
            at_size = [one for one in known if swept.of(one) == value]
            if len(at_size) > 1:
                out.append(_race(at_size, f"At {SETTINGS[swept.name]} = {value}{place}", decoding))
    refused = Counter(next(words for words in TRIED if one.refused and one.refused.startswith(words))
                      for one in timings if one.refused and one.refused.startswith(TRIED))  # fmt: skip
    if refused:
        out.append(f"Tried but not timed: {listed([f'{count} ({words})' for words, count in refused.items()])}.")
    return out


def _race(timed: Sequence[Timed], where: str, decoding: bool) -> str:
    ordered = sorted(timed, key=lambda one: one.ms or 0.0)
    first, last = ordered[0], ordered[-1]
    what = "token" if decoding else "training step"
    ratio = (last.ms or 0.0) / (first.ms or 1.0)
    return (
        f"{where} the fastest {what} is {first.cell} on {first.backend}, {_took(first)}; {last.cell} on "
        f"{last.backend} is the slowest, {number(ratio, 2)} times as long."
    )


def _took(one: Timed) -> str:
    value = one.ms or 0.0
    return f"{number(value, 3)} ms" if value >= 0.1 else f"{number(1e3 * value, 3)} µs"


def _shapes(known: Sequence[Timed], decoding: bool, place: str) -> list[str]:
    """Without a sweep: one size, or who wins how many of the sizes."""
    settings = differing(known)
    sizes: dict[str, list[Timed]] = {}
    for one in known:
        label = ", ".join(f"{SETTINGS[name]} {in_words(name, one.settings[name])}" for name in settings)
        sizes.setdefault(label, []).append(one)
    if len(sizes) == 1:
        ((label, timed),) = sizes.items()
        return [_race(timed, f"At {label}{place}" if label else f"Here{place}", decoding)] if len(timed) > 1 else []
    fastest = [min(timed, key=lambda one: one.ms or 0.0) for timed in sizes.values()]
    winners = Counter(f"{best.cell} on {best.backend}" for best in fastest)
    counts = [f"{name} in {count}" for name, count in winners.most_common()]
    return [f"Of {len(sizes)} sizes{place} the fastest is {listed(counts)}."]
