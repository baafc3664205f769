"""Who is better than whom, are they equivalent, and how sure is it? Between cells, and along a length; without torch.

Of each pair: the difference of the means with its 95 % interval, the p of Welch's test (of the paired t-test where the
runs of a seed share batches and initial weights), that of equivalence within the score's margin, and the probability of
improvement (Agarwal et al. 2021). Both p are corrected after Holm (1979) over all pairs of one table, the family. Only
what may be ranked is compared (`rnnbench.report.fairness`).

Where the runs know their losses on blocks of the test text, the difference has a second interval, over blocks: how far
it might have come out otherwise on another text of the same kind, the trained models being what they are.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rnnbench.report.estimates import INTERVAL_SEEDS
from rnnbench.report.fairness import rates_reason, same_start, unranked
from rnnbench.report.significance import Difference, holm, paired, probability_of_improvement, welch
from rnnbench.report.statistics import Group, data_settings, rank
from rnnbench.report.task_families import Score
from rnnbench.report.text_blocks import TextSpread, difference_by_text

#: Up to so many cells every pair is compared; of more, the best with each other one.
EVERY_PAIR = 4
#: A p below this decides.
LEVEL = 0.05

Verdict = Literal["better", "equivalent", "better, within the margin", "undecided", "the other lost runs"]


@dataclass(frozen=True)
class Comparison:
    """A pair of cells, of variants of them, or of lengths of one, on the same data.

    Args:
        data: Label of the data, with its settings where they vary.
        place: Where: ``T = 64``; "all" over all lengths at once, and of two lengths the cell.
        length: The length; None where it is not one.
        better: The series, or the length, with the better score; one that lost runs is never it.
        other: The one with the worse.
        seeds: Runs of the one and of the other that are done.
        lost: Runs of the one and of the other that are not; what is left is no sign of equality.
        difference: By how much the one is better, and how sure that is; its p values are Holm's.
        probability: That a run of the better one beats a run of the other; lost runs lose.
        probability_low: The lower end of its 95 % interval.
        probability_high: The upper end.
        text: The same difference over blocks of the test text; None where it was not recorded.
    """

    data: str
    place: str
    length: int | None
    better: str
    other: str
    seeds: tuple[int, int]
    lost: tuple[int, int]
    difference: Difference
    probability: float
    probability_low: float
    probability_high: float
    text: TextSpread | None

    @property
    def sure(self) -> bool:
        """Whether chance alone is an unlikely reason for the difference."""
        return self.difference.p < LEVEL

    @property
    def verdict(self) -> Verdict:
        """What the two tests come to; nothing where what is left of the other's runs scores better."""
        if self.difference.mean < 0:
            return "the other lost runs"
        same = not any(self.lost) and self.difference.p_equivalent is not None and self.difference.p_equivalent < LEVEL
        if self.sure:
            return "better, within the margin" if same else "better"
        return "equivalent" if same else "undecided"


def compare(groups: Sequence[Group], score: Score) -> list[Comparison]:
    """Every pair of cells with five seeds each, length by length and, of several, over all; the best ones first.

    Args:
        groups: Of one kind of task.
        score: What to compare by.
    """
    found: list[Comparison] = []
    for data, by_length in _by_data(groups).items():
        fair = {length: members for length, members in by_length.items() if unranked([*members.values()]) is None}
        for length, members in sorted(fair.items()):
            order = sorted(members, key=lambda series: rank(members[series], score.key))
            found += _pairs(data, next(iter(members.values())).place, length, order, [members], score)
        if len(by_length) > 1 and len(fair) == len(by_length):
            strata = list(fair.values())
            everywhere = [series for series in strata[0] if all(series in some for some in strata)]
            order = sorted(everywhere, key=lambda s: _over_all(s, strata, score))
            found += _pairs(data, "all", None, order, strata, score)
    return _corrected(found)


def effects(groups: Sequence[Group], score: Score) -> list[Comparison]:
    """Each series at each length against the same at the longest one: what a length changes.

    Lost runs, rates that were not chosen alike, crossed seeds, and fewer than five seeds leave a pair out.
    """
    found: list[Comparison] = []
    for data, by_length in _by_data(groups).items():
        lengths = sorted(by_length)
        for series, longest in by_length[lengths[-1]].items():
            for length in lengths[:-1]:
                own = by_length[length].get(series)
                if own is not None and _whole(own, longest) and rates_reason([own, longest]) is None:
                    first, second = sorted((own, longest), key=lambda g: rank(g, score.key))
                    one = _tested(data, series, None, [(first, second)], score, (first.place, second.place))
                    found += [one] if one is not None else []
    return _corrected(found)


def _by_data(groups: Sequence[Group]) -> dict[str, dict[int, dict[str, Group]]]:
    """Groups by the data with their settings, the length, and the series."""
    out: dict[str, dict[int, dict[str, Group]]] = {}
    for g in groups:
        settings = ", ".join(f"{name.rsplit('.', 1)[-1]}={value}" for name, value in data_settings(g))
        label = f"{g.data}, {settings}" if settings else g.data
        out.setdefault(label, {}).setdefault(g.length, {})[g.series] = g
    return out


def _corrected(found: Sequence[Comparison]) -> list[Comparison]:
    """Holm over the family, both kinds of p by themselves."""
    differences = [one.difference for one in found]
    p = holm([one.p for one in differences])
    same = iter(holm([one.p_equivalent for one in differences if one.p_equivalent is not None]))
    out = []
    for one, corrected in zip(found, p, strict=True):
        equivalent = None if one.difference.p_equivalent is None else next(same)
        difference = dataclasses.replace(one.difference, p=corrected, p_equivalent=equivalent)
        out.append(dataclasses.replace(one, difference=difference))
    return out


def _over_all(series: str, lengths: Iterable[dict[str, Group]], score: Score) -> tuple[bool, float]:
    """Sorts by the mean over lengths, those that lost a run last."""
    ranks = [rank(members[series], score.key) for members in lengths]
    return any(lost for lost, _ in ranks), math.fsum(value for _, value in ranks)


def _pairs(
    data: str, place: str, length: int | None, order: Sequence[str], strata: Sequence[dict[str, Group]], score: Score
) -> list[Comparison]:
    """Of series sorted from the best on."""
    lead = len(order) if len(order) <= EVERY_PAIR else 1
    out = []
    for i, better in enumerate(order[:lead]):
        for other in order[i + 1 :]:
            pairs = [(members[better], members[other]) for members in strata]
            if (one := _tested(data, place, length, pairs, score, (better, other))) is not None:
                out.append(one)
    return out


def _tested(
    data: str,
    place: str,
    length: int | None,
    groups: Sequence[tuple[Group, Group]],
    score: Score,
    names: tuple[str, str],
) -> Comparison | None:
    """None where one of the two has fewer than five seeds at some length."""
    samples = [_by_seed([pair[side] for pair in groups], score) for side in (0, 1)]
    if min(map(len, samples)) < INTERVAL_SEEDS or not all(
        map(math.isfinite, (*samples[0].values(), *samples[1].values()))
    ):
        return None
    test: Callable[..., Difference] = welch
    values = [list(sample.values()) for sample in samples]
    if samples[0].keys() == samples[1].keys() and all(_same_start(*pair) for pair in groups):
        test, values = paired, [[sample[seed] for seed in sorted(sample)] for sample in samples]
    begun = [{r.seeds for pair in groups for r in pair[side].results} for side in (0, 1)]
    lost = [[math.inf] * len(seeds - sample.keys()) for seeds, sample in zip(begun, samples, strict=True)]
    probability = probability_of_improvement(values[0] + lost[0], values[1] + lost[1])
    text = difference_by_text(groups) if score.key == "test/bpc" else None
    return Comparison(
        data, place, length, *names, (len(values[0]), len(values[1])), (len(lost[0]), len(lost[1])),
        test(*values, score.margin), *probability, text,
    )  # fmt: skip


def _by_seed(groups: Sequence[Group], score: Score) -> dict[tuple[int, int], float]:
    """By the seeds of weights and order the mean over the groups; of the scores that are compared less is better.

    The runs of a seed at several lengths are no independent witnesses.
    """
    found = [{r.seeds: value for r in g.done if (value := r.number(score.key)) is not None} for g in groups]
    shared = set.intersection(*(set(one) for one in found))
    return {seeds: math.fsum(one[seeds] for one in found) / len(found) for seeds in sorted(shared)}


def _whole(*groups: Group) -> bool:
    """Has no run been lost, and is each an independent witness?"""
    return all(len(g.done) == len(g.results) and not g.crossed for g in groups)


def _same_start(one: Group, other: Group) -> bool:
    by_seed = {r.seeds: r for r in other.done}
    return all(r.seeds in by_seed and same_start(r, by_seed[r.seeds]) for r in one.done)
