"""What is reported of each task family: its scores, what they are called, and its reference lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rnnbench.report.results import Result
from rnnbench.report.significance import INTERVAL_SEEDS, Estimate
from rnnbench.report.tables.table import MISSING, number, with_points, with_range


@dataclass(frozen=True)
class Score:
    """A measured column."""

    key: str  # the metric's name
    title: str  # of the column
    importance: int  # as `Column.importance`
    more_is_better: bool = False  # most scores are errors; for this one larger is better
    share: bool = False  # of all answers, between 0 and 1
    # two cells whose scores differ by less are equivalent; None where nobody has said what is little
    margin: float | None = None

    @property
    def metric(self) -> str:
        """The last part of its key: bpc, mse_x4."""
        return self.key.rsplit("/", 1)[-1]

    def show(self, value: float | None) -> str:
        """A share to three decimals, another number to four digits."""
        return f"{value:.3f}" if self.share and value is not None and 0.0005 <= value <= 1 else number(value)

    def text(self, estimate: Estimate | None, points: bool) -> str:
        """The mean with its interval; below five seeds alone, or with each seed's value."""
        if estimate is None:
            return MISSING
        if estimate.interval is not None:
            return with_range(estimate.mean, *estimate.interval)
        few = len(estimate.values) < INTERVAL_SEEDS
        return with_points(estimate.mean, estimate.values, self.show) if points and few else self.show(estimate.mean)


@dataclass(frozen=True)
class TaskFamily:
    """Tasks that are scored alike."""

    scores: tuple[Score, ...]  # the columns; by the first, of which less is better, models are compared
    unit: str  # what the first one is called on an axis
    # what its reference lines (metrics ``reference/NAME_METRIC``) are called, from weak to strong
    references: dict[str, str]
    baselines: tuple[str, ...]  # those of them that know nothing of the inputs, or only repeat them
    # what a reader must know, by the key of a column or the name of a reference that it explains
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def primary(self) -> Score:
        """The score by which models are compared."""
        return self.scores[0]

    @property
    def drawn(self) -> dict[str, str]:
        """The references that a figure shows: a uniform guess is far from all else."""
        return {name: label for name, label in self.references.items() if name != "uniform"}


def _longer(metric: str, share: bool) -> tuple[Score, ...]:
    """The same score on sequences 2, 4 and 16 times as long as those trained on."""
    return tuple(Score(f"test/{metric}_x{k}", f"{metric} at {k}T", 3, share=share) for k in (2, 4, 16))


_LONGER = "at 2T, 4T, 16T: tested on sequences so many times as long as those trained on."
_ERROR = "Error: the share of wrong answers among those that count."

#: By the name that the catalogue gives them, in the order of a report.
TASK_FAMILIES: dict[str, TaskFamily] = {
    "text": TaskFamily(
        (
            Score("test/bpc", "test bpc", 0, margin=0.01),
            Score("test/bpc_stateless", "stateless bpc", 5),
            Score("test/perplexity", "perplexity", 4),
        ),
        "test bits per character",
        {
            "uniform": "uniform",
            "unigram": "unigram",
            "xz": "xz, conditional",
            "ngram_read": "n-gram on what was read",
            "ngram": "n-gram, Kneser–Ney",
        },
        ("unigram",),
        {
            "test/bpc_stateless": "Stateless: the state starts from zero every T characters; else it is carried on.",
            "xz": "xz and unigram read all of the train part, the models what the budget pays for; xz adapts on the "
            "test part.",
            "ngram": "n-gram: counts of the train part, its order chosen on validation; it does not adapt.",
            "ngram_read": "n-gram on what was read: counts of the same characters that the models were trained on.",
        },
    ),
    "series": TaskFamily(
        (Score("test/mse", "test mse", 0), Score("test/mae", "test mae", 2), Score("test/mase", "test mase", 3)),
        "test mean squared error",
        {"mean": "mean", "persistence": "persistence", "seasonal_naive": "seasonal naive", "ridge": "ridge regression"},
        ("mean", "persistence", "seasonal_naive"),
        {
            "test/mse": "mse and mae are of values standardised by the train part; mase is in units of its mean change "
            "from step to step.",
            "ridge": "Ridge regression reads the same window, its penalty chosen on validation.",
        },
    ),
    "labels": TaskFamily(
        (
            Score("test/error", "test error", 0, share=True, margin=0.01),
            Score("test/nll", "nll (nats)", 3),
            Score("test/accuracy", "accuracy", 6, more_is_better=True, share=True),
        ),
        "test error (share of wrong answers)",
        {
            "guess": "blind guess",
            "prior": "class frequencies",
            "majority": "majority class",
            "logistic": "logistic regression",
        },
        ("guess", "majority"),
        {"test/error": _ERROR},
    ),
    "adding": TaskFamily(
        (Score("test/mse", "test mse", 0), *_longer("mse", share=False)),
        "test mean squared error",
        {"guess": "guess the mean"},
        ("guess",),
        {"test/mse_x2": f"mse {_LONGER}"},
    ),
    "memory": TaskFamily(
        (
            Score("test/error", "test error", 0, share=True, margin=0.01),
            *_longer("error", share=True),
            Score("test/nll", "nll (nats)", 4),
        ),
        "test error (share of wrong answers)",
        {"guess": "blind guess", "shown": "guess among the values shown", "last_opened": "close what was opened last"},
        ("guess",),
        {"test/error": _ERROR, "test/error_x2": f"error {_LONGER}"},
    ),
    "music": TaskFamily(
        (Score("test/nll", "test nll", 0), Score("test/accuracy", "accuracy", 3, more_is_better=True, share=True)),
        "test nats per frame",
        {"marginals": "marginals", "markov": "Markov chain per key"},
        ("marginals",),
        {
            "test/nll": "nll: nats a frame, summed over its keys.",
            "test/accuracy": "Accuracy: keys rightly on, over those that are on in truth or answer.",
        },
    ),
    "sequences": TaskFamily(
        (
            Score("test/bpc", "test bpc", 0, margin=0.01),
            Score("test/sequence_error", "sequence error", 1, share=True),
            Score("test/chrf", "chrF", 2, more_is_better=True, share=True),
        ),
        "test bits per character",
        {
            "uniform": "uniform",
            "unigram": "unigram",
            "prior": "best without the source",
            "ngram": "n-gram, Kneser–Ney",
            "copy": "the source, copied",
        },
        ("unigram", "prior"),
        {
            "test/bpc": "bpc: of the target, its end included, each character given the true ones before it.",
            "test/sequence_error": "Sequence error: the share of decoded targets that are not exactly right.",
            "test/chrf": "chrF: character n-gram F-score of what is decoded; more is better.",
            "ngram": "The n-gram reads the target alone, not the source.",
        },
    ),
}


def data_sets(train: Iterable[Result]) -> list[tuple[str, str, list[Result]]]:
    """Training runs by task family and data set, in the order of `TASK_FAMILIES`: (family, data's label, its runs)."""
    sets: dict[tuple[str, str], list[Result]] = {}
    for result in train:
        sets.setdefault((result.data_set.kind, result.data), []).append(result)
    order = list(TASK_FAMILIES)
    return [(*key, sets[key]) for key in sorted(sets, key=lambda key: (order.index(key[0]), key[1]))]
