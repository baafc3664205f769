"""What timings say: the fastest contestant at each end of a sweep, how far the slowest is behind, who was refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rnnbench.report.page.plots.timing import by_kind
from rnnbench.report.page.sentences import listed
from rnnbench.report.tables.table import number
from rnnbench.report.timings import SETTINGS, TRIED, Sweep, Timed, differing, in_words, sweep


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


def _ends(known: Sequence[Timed], swept: Sweep, decoding: bool, place: str) -> list[str]:
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
