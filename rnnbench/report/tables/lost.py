"""Footnotes on the runs that are not done, each fate counted apart, and on what was special about those that are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rnnbench.report.results import LOST, Result

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
