"""Which cells may be compared, who is better than whom, and how sure is it? Between cells, and along a length.

A cell against itself at another width, or at another learning rate, differs by as much as cells do among themselves. So
without equal weights, and a learning rate that was chosen for each in the same way, a table shows scores and does not
rank: no p, nothing in bold, no order.

Of each pair that may be ranked: the difference of the means with its 95 % interval, the p of Welch's test (of the
paired t-test where the runs of a seed share batches and initial weights), that of equivalence within the score's
margin, and the probability of improvement (Agarwal et al. 2021). Both p are corrected after Holm (1979) over all pairs
of one table. Where the runs know their losses on blocks of the test text, the difference has a second interval, over
blocks: how far it might have come out otherwise on another text of the same kind. Without torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rnnbench.report.results import Result
from rnnbench.report.significance import INTERVAL_SEEDS, Difference, holm, paired, probability_of_improvement, welch
from rnnbench.report.statistics import Group, by_place, data_settings, rank, short_name
from rnnbench.report.task_families import Score
from rnnbench.report.text_blocks import TextSpread, difference_by_text

#: Up to so many cells every pair is compared; of more, the best with each other one.
EVERY_PAIR = 4
#: A p below this decides.
LEVEL = 0.05
#: The largest count of matched weights over the smallest: each is within 2 % of what was asked for.
APART = 1.05

Verdict = Literal["better", "equivalent", "better, within the margin", "undecided", "the other lost runs"]


def unranked(groups: Sequence[Group]) -> str | None:
    """Why these are not ranked, in a few words; None where they may be, and of a single group.

    groups: Runs on the same data, at the same length.
    """
    if len({g.series for g in groups}) < 2:
        return None
    # Of a cell that lost runs to errors nothing is said; it is last, and the others may be ranked where there are two.
    several = [g for g in groups if sum(not result.broken for result in g.results) >= 2]
    if len(several) < 2 or any(len(g.results) < 2 for g in groups):
        return "one seed: no ranking"
    if any(g.crossed for g in groups):
        return "seeds of weights and order are crossed: no ranking"
    return _weights_reason(groups) or rates_reason(groups)


def unranked_anywhere(groups: Sequence[Group]) -> str | None:
    """The first reason at any length of any data; None where all may be ranked."""
    return next((reason for block in by_place(groups) if (reason := unranked(block)) is not None), None)


def rates_reason(groups: Sequence[Group]) -> str | None:
    """Why their learning rates do not allow a comparison; None where each was chosen, and all in the same way."""
    results = [result for g in groups for result in g.results]
    grids = set()
    for result in results:
        choice = result.choice
        if choice is None or not result.rate_chosen:
            same = len({one.rate for one in results}) == 1
            return f"{'one learning rate' if same else 'learning rates not chosen for each'}: no ranking"
        if choice.get("at_edge"):
            return "a learning rate at the edge of those tried: no ranking"
        grids.add(tuple((one["lr"], one["trials"]) for one in choice["rates"]))
    return "learning rates tried differ: no ranking" if len(grids) > 1 else None


def _weights_reason(groups: Sequence[Group]) -> str | None:
    """Of all runs, also those that are not done: a lost run had its weights, and one that was never built has none."""
    by_group = [[r.number("model/matched_parameters") for r in g.results] for g in groups]
    if any(g.done and set(counts) == {None} for g, counts in zip(groups, by_group, strict=True)):
        return "weights not recorded: no ranking"
    known = sorted(count for counts in by_group for count in counts if count is not None)
    if known and known[-1] > APART * known[0]:
        least, most = (f"{count / 1000:.0f} k" if count >= 1000 else f"{count:.0f}" for count in (known[0], known[-1]))
        return f"{least} to {most} weights: no ranking"
    return None


def same_start(one: Result, other: Result) -> bool:
    """Did two runs of one seed begin with the same weights and read the same batches? Then their scores are paired."""

    def decisive(result: Result) -> tuple[object, ...]:
        settings = {key: value for key, value in result.run.items() if key not in ("optim", "probes", "device")}
        return settings, result.environment.get("data_sha256")

    return decisive(one) == decisive(other)


@dataclass(frozen=True)
class Comparison:
    """A pair of cells, of variants of them, or of lengths of one, on the same data."""

    data: str  # label of the data, with its settings where they vary
    place: str  # ``T = 64``; "all" over all lengths at once, and of two lengths the cell
    length: int | None  # the length; None where it is not one
    better: str  # the series, or the length, with the better score; one that lost runs is never it
    other: str  # the one with the worse
    seeds: tuple[int, int]  # runs of the one and of the other that are done
    lost: tuple[int, int]  # runs of the one and of the other that are not; what is left is no sign of equality
    difference: Difference  # by how much the one is better, and how sure that is; its p values are Holm's
    probability: float  # that a run of the better one has a better score than a run of the other; lost runs lose
    probability_low: float  # the lower end of its 95 % interval
    probability_high: float  # the upper end
    text: TextSpread | None  # the same difference over blocks of the test text; None where it was not recorded

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


@dataclass(frozen=True)
class Unranked:
    """A pair on the same data at the same length that may not be ranked: how far apart it is, and why not."""

    data: str  # label of the data, with its settings where they vary
    place: str  # ``T = 64``
    length: int
    better: str  # the series with the better mean; one that lost runs is never it
    other: str  # the one with the worse
    seeds: tuple[int, int]  # runs of the one and of the other that are done
    difference: float | None  # of their means; None where one has no score
    reason: str  # a few words


def compare(groups: Sequence[Group], score: Score) -> list[Comparison]:
    """Every pair of cells with five seeds each, length by length and, of several, over all; the best ones first.

    groups: Of one task family.
    """
    out: list[Comparison | None] = []
    for data, by_length in _by_data(groups).items():
        fair = {n: members for n, members in sorted(by_length.items()) if unranked([*members.values()]) is None}
        strata: list[tuple[str, int | None, list[dict[str, Group]]]] = [
            (next(iter(members.values())).place, n, [members]) for n, members in fair.items()
        ]
        if len(by_length) > 1 and len(fair) == len(by_length):
            strata.append(("all", None, [fair[n] for n in by_length]))
        for place, length, blocks in strata:
            everywhere = [series for series in blocks[0] if all(series in block for block in blocks)]
            order = sorted(everywhere, key=lambda series: _over_all([block[series] for block in blocks], score))
            for i, better in enumerate(order if len(order) <= EVERY_PAIR else order[:1]):
                for worse in order[i + 1 :]:
                    pairs = [(block[better], block[worse]) for block in blocks]
                    out.append(_tested(data, place, length, pairs, score, (better, worse)))
    return _corrected(out)


def compare_with(groups: Sequence[Group], score: Score, mine: set[str]) -> list[Comparison | Unranked]:
    """Each series in ``mine`` with each other one, length by length, whether or not the pair may be ranked.

    groups: Of one task family.
    """
    out: list[Comparison | Unranked] = []
    for data, by_length in _by_data(groups).items():
        for length, members in sorted(by_length.items()):
            order = sorted(members, key=lambda series: rank(members[series], score.key))
            for one in (series for series in order if series in mine):
                for other in (series for series in order if series not in mine):
                    better, worse = sorted((one, other), key=order.index)
                    pair = members[better], members[worse]
                    reason = unranked(pair)
                    names = (better, worse)
                    tested = None if reason else _tested(data, pair[0].place, length, [pair], score, names)
                    out.append(tested or _untested(data, length, pair, score, names, reason or _FEW))
    corrected = iter(_corrected([one for one in out if isinstance(one, Comparison)]))
    return [next(corrected) if isinstance(one, Comparison) else one for one in out]


#: Why a pair that may be ranked is not tested.
_FEW = f"below {INTERVAL_SEEDS} seeds: no ranking"


def _untested(
    data: str, length: int, pair: tuple[Group, Group], score: Score, names: tuple[str, str], reason: str
) -> Unranked:
    means = [None if (estimate := g.estimate(score.key)) is None else estimate.mean for g in pair]
    difference = None if means[0] is None or means[1] is None else means[1] - means[0]
    seeds = (len(pair[0].done), len(pair[1].done))
    return Unranked(data, pair[0].place, length, *names, seeds, difference, reason)


def effects(groups: Sequence[Group], score: Score) -> list[Comparison]:
    """Each series at each length against the same at the longest one: what a length changes.

    Lost runs, rates that were not chosen alike, crossed seeds, and fewer than five seeds leave a pair out.
    """
    out: list[Comparison | None] = []
    for data, by_length in _by_data(groups).items():
        *lengths, last = sorted(by_length)
        for series, longest in by_length[last].items():
            for shorter in (by_length[length].get(series) for length in lengths):
                if shorter is not None and _whole(shorter, longest) and rates_reason([shorter, longest]) is None:
                    pair = sorted((shorter, longest), key=lambda g: rank(g, score.key))
                    names = (pair[0].place, pair[1].place)
                    out.append(_tested(data, series, None, [(pair[0], pair[1])], score, names))
    return _corrected(out)


def _by_data(groups: Sequence[Group]) -> dict[str, dict[int, dict[str, Group]]]:
    """Groups by the data with their settings, the length, and the series."""
    out: dict[str, dict[int, dict[str, Group]]] = {}
    for g in groups:
        label = ", ".join([g.data, *(f"{short_name(name)}={value}" for name, value in data_settings(g))])
        out.setdefault(label, {}).setdefault(g.length, {})[g.series] = g
    return out


def _corrected(tested: Sequence[Comparison | None]) -> list[Comparison]:
    """Holm over all pairs, both kinds of p by themselves."""
    pairs = [one for one in tested if one is not None]
    p = holm([one.difference.p for one in pairs])
    same = iter(holm([e for one in pairs if (e := one.difference.p_equivalent) is not None]))
    out = []
    for one, corrected in zip(pairs, p, strict=True):
        equivalent = None if one.difference.p_equivalent is None else next(same)
        out.append(replace(one, difference=replace(one.difference, p=corrected, p_equivalent=equivalent)))
    return out


def _over_all(groups: Sequence[Group], score: Score) -> tuple[bool, float]:
    """Sorts by the mean over lengths, those that lost a run last."""
    ranks = [rank(g, score.key) for g in groups]
    return any(lost for lost, _ in ranks), math.fsum(value for _, value in ranks)


def _tested(
    data: str,
    place: str,
    length: int | None,
    pairs: Sequence[tuple[Group, Group]],
    score: Score,
    names: tuple[str, str],
) -> Comparison | None:
    """One pair, at a length or at several; None where one of the two has fewer than five seeds at some length."""
    samples = [_by_seed([pair[side] for pair in pairs], score) for side in (0, 1)]
    values = [[sample[seeds] for seeds in sorted(sample)] for sample in samples]
    if min(map(len, values)) < INTERVAL_SEEDS or not all(map(math.isfinite, values[0] + values[1])):
        return None
    as_pairs = samples[0].keys() == samples[1].keys() and all(_same_start(*pair) for pair in pairs)
    begun = [{r.seeds for pair in pairs for r in pair[side].results} for side in (0, 1)]
    lost = [[math.inf] * len(seeds - sample.keys()) for seeds, sample in zip(begun, samples, strict=True)]
    return Comparison(
        data, place, length, *names, (len(values[0]), len(values[1])), (len(lost[0]), len(lost[1])),
        (paired if as_pairs else welch)(values[0], values[1], score.margin),
        *probability_of_improvement(values[0] + lost[0], values[1] + lost[1]),
        difference_by_text(pairs) if score.key == "test/bpc" else None,
    )  # fmt: skip


def _by_seed(groups: Sequence[Group], score: Score) -> dict[tuple[int, int], float]:
    """By the seeds of weights and order the mean over the groups: a seed's runs at several lengths are one sample."""
    scores = [{r.seeds: value for r in g.done if (value := r.number(score.key)) is not None} for g in groups]
    shared = set.intersection(*(set(one) for one in scores))
    return {seeds: math.fsum(one[seeds] for one in scores) / len(scores) for seeds in shared}


def _whole(*groups: Group) -> bool:
    """Has no run been lost, and are its runs independent samples?"""
    return all(len(g.done) == len(g.results) and not g.crossed for g in groups)


def _same_start(one: Group, other: Group) -> bool:
    by_seed = {r.seeds: r for r in other.done}
    return all(r.seeds in by_seed and same_start(r, by_seed[r.seeds]) for r in one.done)
