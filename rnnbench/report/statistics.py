"""Runs that differ only by their seed, together: their scores, curves and verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rnnbench.config.values import canonical
from rnnbench.intervals import known_median
from rnnbench.probes.curve import Judgement, Verdict, judge
from rnnbench.report.results import Result
from rnnbench.report.significance import Estimate, estimate

#: Settings that a figure may be drawn along, and what they are called on an axis.
SEQ_LEN, TRUNCATE = "data.seq_len", "optim.truncate"
SYMBOLS = {SEQ_LEN: "T", TRUNCATE: "K"}
#: What runs of one group may differ in.
SEEDS = ("seed", "data_seed")
#: From so many lines on, a figure over length is a tangle.
CROWD = 9
#: The plain cells, in the order in which every table and legend has them; others follow by name.
CELL_ORDER = ("rnn", "lstm", "gru")


@dataclass(frozen=True)
class Group:
    """Runs that differ only by their seed."""

    cell: str  # label of the cell
    data: str  # label of the data
    length: int  # the value of the setting that figures are drawn along: T, or K where truncations are compared
    # what else tells this group from others of the same cell, data and length: dotted name to value
    extras: tuple[tuple[str, Any], ...]
    results: tuple[Result, ...]  # all of its runs, whatever became of them
    axis: str = SEQ_LEN  # the setting that is the length, a key of `SYMBOLS`

    @property
    def done(self) -> tuple[Result, ...]:
        """The runs whose metrics count."""
        return tuple(result for result in self.results if result.done)

    @property
    def symbol(self) -> str:
        """What the length is called: T, or K."""
        return SYMBOLS[self.axis]

    @property
    def place(self) -> str:
        """``T = 64``."""
        return f"{self.symbol} = {self.length}"

    @property
    def series(self) -> str:
        """The name of the line it belongs to in a figure over lengths: the cell's label, and what else varies."""
        return ", ".join([self.cell, *(f"{short_name(name)}={value}" for name, value in self.extras)])

    def counting(self, name: str) -> tuple[Result, ...]:
        """The runs whose metric or curve of that name counts.

        What was measured at initialisation (``init/…``) a later divergence, or a lack of memory or time, takes nothing
        from; all else counts of the runs that are done.
        """
        return tuple(r for r in self.results if r.done or (name.startswith("init/") and r.status != "failed"))

    def values(self, metric: str) -> list[float]:
        """The metric of each run that counts and has it."""
        return numbers(self.counting(metric), metric)

    def curves(self, name: str) -> list[NDArray[np.float64]]:
        """The curve of each run that counts and has it."""
        return [curve for result in self.counting(name) if (curve := result.curve(name)) is not None]

    @property
    def crossed(self) -> bool:
        """Do runs share a seed of weights or of order with others, so that they are no independent samples?"""
        return any(len({r.seeds[side] for r in self.results}) < len(self.results) for side in (0, 1))

    def estimate(self, metric: str) -> Estimate | None:
        """Mean and interval of a metric over the runs that count; None where none has it.

        Of runs whose seeds are crossed the mean alone: the table of variances says how far to trust it.
        """
        out = estimate(self.values(metric))
        return out if out is None or not self.crossed else Estimate(out.values, out.mean)

    def median(self, metric: str) -> float | None:
        """Median over the runs that count: what a lag needs, which may lie beyond those measured for a seed."""
        return median_of(self.values(metric))

    def context_horizon(self) -> tuple[float | None, float | None]:
        """The median context beyond which a longer one is worth nothing, and the longest that was read.

        A run's may be as long as the longest one: beyond it nothing is known, so that it counts as infinite.
        """
        values, ends = [], []
        for result in self.done:
            if (value := result.number("final/context_horizon")) is not None:
                lengths = result.curve("final/context_lengths")
                ends.append(math.inf if lengths is None else float(lengths[-1]))
                values.append(value if value < ends[-1] else math.inf)
        return median_of(values), median_of(ends)

    def judgement(self, when: Literal["init", "final"]) -> Judgement | None:
        """Decades and verdict of the gradient-flow curves of the runs that count."""
        return judge(self.curves(f"{when}/gradient_flow"))

    def verdict(self, when: Literal["init", "final"]) -> Verdict | None:
        """The verdict alone."""
        judgement = self.judgement(when)
        return None if judgement is None else judgement.verdict


def numbers(results: Iterable[Result], metric: str) -> list[float]:
    """The metric of each run that has it."""
    return [value for result in results if (value := result.number(metric)) is not None]


def median_of(values: Sequence[float]) -> float | None:
    """The median, as `known_median` has it; None of no values."""
    return known_median(values) if values else None


def short_name(setting: str) -> str:
    """The last part of a dotted name: lr of ``optim.lr``."""
    return setting.rsplit(".", 1)[-1]


def group(results: Iterable[Result], axis: str = SEQ_LEN) -> list[Group]:
    """Training runs by cell, data, length and whatever else varies among runs of the same three, over seeds.

    A setting that merely follows the length (a batch size that keeps B·T constant) is not an extra, nor is a learning
    rate that was chosen for each setting; a run at another rate than the chosen one stands apart.

    results: Of one panel. axis: The setting that is the length.
    """
    coarse: dict[tuple[str, str, int], list[tuple[Result, dict[str, Any]]]] = {}
    # Within one length all truncations are the same, unless one says all of T and another nothing.
    left_out = {*SEEDS, SEQ_LEN} if axis == SEQ_LEN else set(SEEDS)
    for result in results:
        settings = flat(canonical(result.run))  # 1 and 1.0 are one setting, and older results have both
        for name in ("device", "backend"):
            if (value := result.environment.get(name)) is not None:
                settings[f"environment.{name}"] = value
        if result.rate_chosen:
            settings["optim.lr"] = "chosen"
        settings = {name: v for name, v in settings.items() if name not in left_out and name.split(".")[0] != "cell"}
        # Where no truncation is set the gradient goes back over all of T.
        truncate = (result.run.get("optim") or {}).get("truncate") if axis == TRUNCATE else None
        length = result.seq_len if truncate is None else int(truncate)
        coarse.setdefault((result.cell, result.data, length), []).append((result, settings))
    extras = varying([settings for _, settings in members] for members in coarse.values())
    fine: dict[tuple[Any, ...], list[Result]] = {}
    for key, members in coarse.items():
        for result, settings in members:
            fine.setdefault((*key, tuple((name, settings.get(name)) for name in extras)), []).append(result)
    groups = [
        Group(cell, data, length, extra, tuple(sorted(members, key=lambda r: r.seeds)), axis)
        for (cell, data, length, extra), members in fine.items()
    ]
    return sorted(groups, key=lambda g: (g.data, g.length, cell_rank(g.cell), [_sortable(v) for _, v in g.extras]))


def data_settings(g: Group) -> tuple[tuple[str, Any], ...]:
    """What else than name and length tells its data from others in the study (data.horizon), the batch size aside."""
    return tuple((key, value) for key, value in g.extras if key.startswith("data.") and key != "data.batch_size")


def by_place(groups: Iterable[Group]) -> list[list[Group]]:
    """Groups that stand beside each other: on the same data, at the same length."""
    blocks: dict[tuple[Any, ...], list[Group]] = {}
    for g in groups:
        blocks.setdefault((g.data, g.length, data_settings(g)), []).append(g)
    return [*blocks.values()]


def crowded(groups: Sequence[Group]) -> bool:
    """Are there too many cells for lines in one figure? They are ranked then, in the figure and in the table."""
    return len({g.series for g in groups}) >= CROWD


def rank(g: Group, metric: str) -> tuple[bool, float]:
    """Sorts the best first, lower being better; those that lost runs come last, whatever the survivors scored."""
    score = g.estimate(metric)
    return len(g.done) < len(g.results), math.inf if score is None else score.mean


def varying(blocks: Iterable[list[dict[str, Any]]]) -> list[str]:
    """The names whose value is not the same throughout some block, sorted; a setting that some lack varies nothing."""
    names: set[str] = set()
    for settings in blocks:
        for name in {name for one in settings for name in one} - names:
            if len({repr(one[name]) for one in settings if name in one}) > 1:
                names.add(name)
    return sorted(names)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names: ``{"data": {"seq_len": 64}}`` → ``{"data.seq_len": 64}``."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            out |= flat(value, f"{prefix}{key}.")
        else:
            out[f"{prefix}{key}"] = tuple(map(str, value)) if isinstance(value, list) else value
    return out


def cell_name(label: str) -> str:
    """The cell's name at the beginning of a label: lstm of ``lstm(forget_bias=3)`` and of ``lstm, lr=0.01``."""
    return label.split("(", 1)[0].split(",", 1)[0]


def cell_rank(label: str) -> tuple[int, str]:
    """Sorts the plain cells first, a cell's variants behind it."""
    name = cell_name(label)
    return CELL_ORDER.index(name) if name in CELL_ORDER else len(CELL_ORDER), label


def _sortable(value: Any) -> tuple[int, float, str]:
    number = isinstance(value, int | float)
    return (0, float(value), "") if number else (1, 0.0, str(value))
