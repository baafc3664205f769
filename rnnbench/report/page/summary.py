"""A study in a few sentences, each made from its numbers and none claiming more than they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rnnbench.report.page.summary_training import training_sentences
from rnnbench.report.page.text import counted, distinct, listed
from rnnbench.report.page.timing_plots import by_kind
from rnnbench.report.panels import panels
from rnnbench.report.results import LOST, Result
from rnnbench.report.significance import Correlation
from rnnbench.report.statistics import group
from rnnbench.report.tables.comparisons import COMPARISONS, EFFECTS
from rnnbench.report.tables.solvable import Solvable, predicts, searched
from rnnbench.report.tables.table import Table, number
from rnnbench.report.tables.tasks import TaskResult, many_tasks, short, task_results
from rnnbench.report.task_families import TASK_FAMILIES, data_sets
from rnnbench.report.timings import SETTINGS, TRIED, SweptSetting, Timed, differing, in_words, sweep


def summary(results: Sequence[Result], timed: Sequence[Timed], made: Sequence[Table]) -> list[tuple[str, list[str]]]:
    """What there is to say, as (heading, points of a sentence or two each).

    Args:
        results: Of one study.
        timed: Its own timings.
        made: Its tables, which know the verdicts.
    """
    out = [("", [_extent(results), *_lost(results)])]
    for panel in panels(results):
        train = [result for result in panel.results if result.kind == "train"]
        if panel.search:
            found, train = searched(train)
            out.append(("The longest that can be learnt", solvable_sentences(found)))
        if many_tasks(train):
            out.append(("All tasks", task_sentences(task_results(train))))
            continue
        sets = data_sets(train)
        for kind, data, own in sets:
            rows = {table.name: table.rows for table in made}
            verdicts = [str(row.raw.get("final/verdict") or "") for row in rows.get(f"{kind}{panel.ending}", ())
                        if row.raw.get("data") == data]  # fmt: skip
            tests, changes = (
                [row.raw for row in rows.get(f"{kind}-{part}{panel.ending}", ())
                 if str(row.raw.get("data")).split(", ")[0] == data]
                for part in (COMPARISONS, EFFECTS)
            )  # fmt: skip
            said = training_sentences(TASK_FAMILIES[kind], group(own, panel.axis), verdicts, tests, changes)
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
        cells = distinct(str(c if isinstance(c, str) else c.get("name", c)) for r in results for c in r.run["cells"])
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
        own = [result for result in lost if result.status == status]
        if own:
            where = Counter(f"{r.cell} at T = {r.seq_len}" if r.kind == "train" else r.id for r in own)
            places = [f"{n} × {at}" if n > 1 else at for at, n in where.most_common()]
            out.append(f"{len(own)} {words} ({listed(places, 4)})")
    one = out[0].removeprefix(f"{len(lost)} ")
    what = f"{len(lost)} of {len(results)} {one}" if len(out) == 1 else f"{len(lost)} of {len(results)} were lost: "
    sentence = what + ("; ".join(out) if len(out) > 1 else "") + "."
    sentence += " They count in the denominator, not in a score."
    errors = Counter(str(result.error).splitlines()[0] for result in lost if result.error)
    told = [f"{error.rstrip('.')}{f' ({count} times)' if count > 1 else ''}" for error, count in errors.most_common(2)]
    return [sentence, *([f"What they said: {'; '.join(told)}."] if told else [])]


def task_sentences(tasks: Sequence[TaskResult]) -> list[str]:
    """How many tasks were learnt at all, and where a simple line is still ahead."""
    known = [task for task in tasks if task.baseline is not None]
    beaten = [task for task in known if task.baseline and task.baseline[0] in task.beaten(task.best)]
    missed = [task.label for task in known if task not in beaten]
    out = []
    if known:
        rest = f"; not so on {listed(missed)}" if missed else ""
        out.append(f"On {len(beaten)} of {counted(len(known), 'task')} the best cell beats the baseline's line{rest}.")
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


def solvable_sentences(found: Sequence[Solvable]) -> list[str]:
    """Task by task who came farthest, and whether the gradient's reach before training had told."""
    out = []
    for data, correlation in predicts(found).items():
        own = [one for one in found if one.data == data]
        far = max(one.found.solved or 0 for one in own)
        best = [one.cell for one in own if (one.found.solved or 0) == far and far]
        none = [one.cell for one in own if one.found.solved is None]
        name = data.replace("_", " ")
        said = []
        if best:
            more = ", the longest tried" if any(one.found.failed is None for one in own if one.cell in best) else ""
            verb = "learns" if len(best) == 1 else "learn"
            said.append(f"{name.capitalize()}: {listed(best, 8)} {verb} it over T = {far}{more}.")
        if none:
            said.append(f"Not even over the shortest T tried: {listed(none, 12)}.")
        said.append(f"How far gradients reach before training says {_telling(correlation)}: {correlation.text()}.")
        out.append(" ".join(said))
    return out


def _telling(found: Correlation) -> str:
    """What a rank correlation comes to, judged by its interval alone."""
    if found.low is None or found.high is None or found.low <= 0 <= found.high:
        return "nothing sure about how far a cell comes"
    return "something about how far a cell comes" + (", the wrong way round" if found.high < 0 else "")


def timing_sentences(found: Sequence[Timed]) -> list[str]:
    """Sentences on one study's timings, each device and number format for itself."""
    kinds = by_kind(found)
    out = []
    for (decoding, dtype, device), own in kinds.items():
        known = [one for one in own if one.ms is not None]
        swept = sweep(own)
        place = f" ({dtype}, {device})" if len(kinds) > 1 else ""
        if swept is not None:
            out += _ends(known, swept, decoding, place)
        else:
            out += _shapes(known, decoding, place)
    refused = Counter(next(words for words in TRIED if one.refused and one.refused.startswith(words))
                      for one in found if one.refused and one.refused.startswith(TRIED))  # fmt: skip
    if refused:
        told = [f"{count} ({words})" for words, count in refused.items()]
        out.append(f"Tried but not timed: {listed(told)}.")
    return out


def _ends(known: Sequence[Timed], swept: SweptSetting, decoding: bool, place: str) -> list[str]:
    """The fastest and the slowest at the smallest and at the largest size."""
    out = []
    head = SETTINGS[swept.name]
    for value in dict.fromkeys((swept.values[0], swept.values[-1])):
        own = [one for one in known if swept.of(one) == value]
        if len(own) > 1:
            out.append(_race(own, f"At {head} = {value}{place}", decoding))
    return out


def _race(own: Sequence[Timed], where: str, decoding: bool) -> str:
    ordered = sorted(own, key=lambda one: one.ms or 0.0)
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
        ((label, own),) = sizes.items()
        return [_race(own, f"At {label}{place}" if label else f"Here{place}", decoding)] if len(own) > 1 else []
    winners = Counter(f"{best.cell} on {best.backend}"
                      for own in sizes.values() for best in [min(own, key=lambda one: one.ms or 0.0)])  # fmt: skip
    told = [f"{name} in {count}" for name, count in winners.most_common()]
    return [f"Of {len(sizes)} sizes{place} the fastest is {listed(told)}."]
