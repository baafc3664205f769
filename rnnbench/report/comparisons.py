"""Who is better than whom, and how sure is it? Pairs of cells, compared seed by seed; without torch.

Seeds are paired across cells (the same order of the data), so a difference is taken seed by seed. Of each pair: the
interquartile mean of the differences with its bootstrap interval; the two-sided paired t-test, corrected after Holm
(1979) over all pairs of the study; and the probability of improvement (Agarwal et al. 2021), P(X < Y) + ½ P(X = Y) over
all pairs of a run of the one with a run of the other, a lost run being worse than any that is done. A rank test in the
t-test's place could not reach 0.05 with five seeds: its least p is 2/2⁵ = 0.0625.

Where the runs know their losses on blocks of the test text, the difference has a second interval, over blocks: how far
it might have come out otherwise on another text of the same kind, the trained models being what they are.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnbench.report.estimates import INTERVAL_SEEDS, iqm, stratified_bootstrap
from rnnbench.report.kinds import Score
from rnnbench.report.statistics import Group, data_settings, rank
from rnnbench.report.text_blocks import difference_by_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Up to so many cells every pair is compared; of more, the best with each other one.
EVERY_PAIR = 4


@dataclass(frozen=True)
class Comparison:
    """A pair of cells, or of variants of them, on the same data.

    Args:
        data: Label of the data, with its settings where they vary.
        seq_len: T; None: over all lengths at once.
        better: The series with the better score.
        other: The one with the worse.
        pairs: Seeds that both have done.
        difference: By how much the one is better: the interquartile mean over seeds, never signed by the score.
        low: The lower end of its 95 % bootstrap interval over seeds.
        high: The upper end.
        p: Of the paired t-test, after Holm's correction over the study's comparisons of that metric.
        probability: That a run of the better one beats a run of the other; lost runs lose.
        probability_low: The lower end of its 95 % interval, bootstrapped within each T.
        probability_high: The upper end.
        text: The 95 % interval of the difference over blocks of the test text; None where it was not recorded.
    """

    data: str
    seq_len: int | None
    better: str
    other: str
    pairs: int
    difference: float
    low: float
    high: float
    p: float
    probability: float
    probability_low: float
    probability_high: float
    text: tuple[float, float] | None

    @property
    def sure(self) -> bool:
        """Whether chance alone is an unlikely reason: p < 0.05 after the correction."""
        return self.p < 0.05


def compare(groups: Sequence[Group], score: Score) -> list[Comparison]:
    """Every pair of cells that five seeds have in common, T by T and, of several T, over all; the best ones first.

    Args:
        groups: Of one kind of task.
        score: What to compare by.
    """
    found: list[Comparison] = []
    by_data: dict[str, dict[int, dict[str, Group]]] = {}
    for g in groups:
        settings = ", ".join(f"{name.rsplit('.', 1)[-1]}={value}" for name, value in data_settings(g))
        label = f"{g.data}, {settings}" if settings else g.data
        by_data.setdefault(label, {}).setdefault(g.seq_len, {})[g.series] = g
    for data, by_length in by_data.items():
        for length, members in sorted(by_length.items()):
            order = sorted(members, key=lambda series: rank(members[series], score.key))
            found += _pairs(data, length, order, [members], score)
        everywhere = [s for s in next(iter(by_length.values())) if all(s in some for some in by_length.values())]
        if len(by_length) > 1:
            order = sorted(everywhere, key=lambda s: _over_all(s, by_length.values(), score))
            found += _pairs(data, None, order, list(by_length.values()), score)
    corrected = holm([one.p for one in found])
    return [dataclasses.replace(one, p=p) for one, p in zip(found, corrected, strict=True)]


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected after Holm (1979): the k-th smallest of m times m − k, never smaller than one before it."""
    out, most = [0.0] * len(p), 0.0
    for k, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        most = max(most, min(1.0, (len(p) - k) * p[index]))
        out[index] = most
    return out


def probability_of_improvement(strata: Sequence[tuple[Sequence[float], Sequence[float]]]) -> float:
    """P(X < Y) + ½ P(X = Y) of runs drawn from (X, Y), the mean over strata; an infinite score is a lost run's."""
    import numpy as np

    return float(_improvement(*(np.asarray(sample, dtype=np.float64) for pair in strata for sample in pair)))


def _over_all(series: str, lengths: Iterable[dict[str, Group]], score: Score) -> tuple[bool, float]:
    """Sorts by the mean over lengths, those that lost a run last."""
    ranks = [rank(members[series], score.key) for members in lengths]
    return any(lost for lost, _ in ranks), math.fsum(value for _, value in ranks)


def _pairs(
    data: str, length: int | None, order: Sequence[str], strata: Sequence[dict[str, Group]], score: Score
) -> list[Comparison]:
    """Of series sorted from the best on."""
    lead = len(order) if len(order) <= EVERY_PAIR else 1
    out = []
    for i, better in enumerate(order[:lead]):
        for other in order[i + 1 :]:
            pairs = [(members[better], members[other]) for members in strata]
            if (one := _comparison(data, length, better, other, pairs, score)) is not None:
                out.append(one)
    return out


def _comparison(
    data: str, length: int | None, better: str, other: str, groups: Sequence[tuple[Group, Group]], score: Score
) -> Comparison | None:
    """None where fewer than five seeds have done both at every length."""
    by_seed = [(_by_seed(one, score), _by_seed(two, score)) for one, two in groups]
    seeds = set.intersection(*({*one} & {*two} for one, two in by_seed))
    sign = -1 if score.more_is_better else 1
    # Of a seed the mean over lengths: its runs at several lengths are no independent witnesses.
    differences = [
        sign * math.fsum(two[seed] - one[seed] for one, two in by_seed) / len(by_seed) for seed in sorted(seeds)
    ]
    if len(differences) < INTERVAL_SEEDS or not all(map(math.isfinite, differences)):
        return None
    low, high = stratified_bootstrap([differences])
    strata = [tuple(_with_lost(g, score) for g in pair) for pair in groups]
    improvement = probability_of_improvement([(one, two) for one, two in strata])
    ends = stratified_bootstrap([sample for pair in strata for sample in pair], _improvement)
    text = difference_by_text(groups) if score.key == "test/bpc" else None
    difference = iqm(differences)
    return Comparison(
        data, length, better, other, len(differences), difference, low, high, _paired_t(differences), improvement,
        *ends, text,
    )  # fmt: skip


def _by_seed(g: Group, score: Score) -> dict[int, float]:
    return {int(r.run.get("seed", 0)): value for r in g.done if (value := r.number(score.key)) is not None}


def _with_lost(g: Group, score: Score) -> list[float]:
    """The scores so signed that less is better, infinite where a run was lost."""
    sign = -1 if score.more_is_better else 1
    values = [r.number(score.key) if r.done else None for r in g.results]
    return [math.inf if value is None else sign * value for value in values]


def _paired_t(differences: Sequence[float]) -> float:
    """The two-sided p of the paired t-test; equal differences are certain, or, of no size, none at all."""
    from scipy.stats import ttest_1samp

    if max(differences) - min(differences) <= 1e-12 * max(map(abs, differences)):
        return 0.0 if any(differences) else 1.0
    return float(ttest_1samp(differences, 0.0).pvalue)


def _improvement(*samples: NDArray[Any]) -> NDArray[Any]:
    """X₁, Y₁, X₂, Y₂, …, each (…, n) → (…): the mean over the pairs of P(X < Y) + ½ P(X = Y)."""
    import numpy as np

    shares = []
    for x, y in zip(samples[::2], samples[1::2], strict=True):
        first, second = x[..., :, None], y[..., None, :]
        shares.append(((first < second) + 0.5 * (first == second)).mean((-2, -1)))
    mean: NDArray[Any] = np.mean(shares, axis=0)
    return mean
