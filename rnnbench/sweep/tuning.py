"""A learning rate for each cell and setting: the same grid and as many trials for all, chosen on validation.

Cells change places with the learning rate, so a comparison at one rate compares cells at their distance from it. Four
steps: `tuning_study` tries the grid, with seeds that the study itself does not use; `choose` takes for each group of
runs that differ by their seeds alone the rate with the best validation; where a choice is at the grid's edge,
`extended` makes the grid longer, for all groups; `tuned_study` is the study at the rates chosen.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.config import CellConfig, OptimConfig, ProbeConfig, Run
from rnnbench.config.plain import DEEPEST, at_most
from rnnbench.errors import UserError
from rnnbench.runs.study_files import read_rates, setting_of
from rnnbench.sweep.study import Job, Results, Study, study_folders
from rnnbench.sweep.wandb_sweep import flat, varying

#: Factors of two from half the default rate upwards. With 0.6 M characters of KJV at T = 16, 64 and 256 the best rates
#: of rnn, lstm and gru lay at 8e-3 and 1.6e-2, inside; a factor of two off cost up to 0.13 bits, more than the gated
#: cells differ by. Long trainings want smaller ones: a choice at an edge is flagged.
GRID = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2)
#: A grid is not extended beyond these.
LEAST, MOST = 1e-5, 1.0
#: Where the seeds of trials begin: what was chosen on a seed is not tested on it.
FIRST_SEED = 1000
#: The validation metrics that decide, of which less is better; the first that a run has counts.
METRICS = ("val/bpc", "val/error", "val/mse", "val/nll")
#: Nothing is measured in a trial but its score.
UNPROBED = ProbeConfig(gradient_flow=False)


@dataclass(frozen=True)
class TunedRate:
    """The result of the trials for the runs that differ by their seed alone.

    Args:
        group: Names the group; the same for its trials and for its runs.
        about: What tells it from the other groups, by dotted key: the cell, and of the rest no more than is needed.
        config: A run of it as nested plain values, without seed and learning rate.
        metric: The metric that decided.
        scores: By learning rate, rising: the metric's mean over the trials that were done; None where none was.
        lost: By learning rate: how many of its trials diverged, failed, or did not fit into memory or time.
        trials: Trials of each learning rate.
        lr: The rate chosen: of those with the fewest trials lost, the one with the best score. Where all trials are
            lost it is the middle of the grid.
        at_edge: It is the smallest or the largest, so a better one may lie outside.
    """

    group: str
    about: Mapping[str, Any]
    config: Mapping[str, Any]
    metric: str
    scores: Mapping[float, float | None]
    lost: Mapping[float, int]
    trials: int
    lr: float
    at_edge: bool

    @property
    def label(self) -> str:
        """``lstm, data.seq_len 64``: as a line of text has it."""
        return ", ".join(str(value) if key == "cell" else f"{key} {value}" for key, value in self.about.items())

    @property
    def found(self) -> bool:
        """Whether any trial was done; else nothing chose the learning rate."""
        return any(score is not None for score in self.scores.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values that JSON can write, to be kept beside the results."""
        rates = [{"lr": lr, "score": s, "lost": self.lost[lr], "trials": self.trials} for lr, s in self.scores.items()]
        return {
            "about": dict(self.about), "lr": self.lr, "at_edge": self.at_edge, "found": self.found,
            "metric": self.metric, "rates": rates, "config": dict(self.config),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, group: str, values: Mapping[str, Any]) -> TunedRate:
        """The inverse of `to_dict`, for the group of that name."""
        rates = values["rates"]
        return cls(
            group, values["about"], values["config"], values["metric"], {one["lr"]: one["score"] for one in rates},
            {one["lr"]: one["lost"] for one in rates}, rates[0]["trials"], values["lr"], values["at_edge"],
        )  # fmt: skip


def tuning_study(study: Study, preset: str, grid: Sequence[float] = GRID, seeds: int = 1) -> Study:
    """The trials: every distinct run of the preset apart from seeds and learning rate, at every rate of the grid.

    Args:
        preset: The study's; the trials' study has that one alone.
        grid: Learning rates, at least two.
        seeds: Trials of each rate.

    Raises:
        UserError: The study has timings or a search, or the grid is too short.
    """
    rates = sorted(set(grid))
    if len(rates) < 2 or not all(0 < lr < math.inf for lr in rates):
        raise UserError(f"a grid of learning rates must be two or more positive numbers, got {list(grid)}.")
    if seeds < 1:
        raise UserError(f"there must be at least one tuning seed, got {seeds}.")
    at_most(DEEPEST, **{"the number of tuning seeds": seeds})
    runs = _runs(study, preset)
    taken = {seed for run in runs for seed in (run.seed, run.order_seed)}
    free = [seed for seed in range(FIRST_SEED, FIRST_SEED + seeds + len(taken)) if seed not in taken][:seeds]
    trials = [
        dataclasses.replace(at_rate(run, lr), seed=seed, data_seed=None, probes=UNPROBED)
        for run in (members[0] for members in _groups(runs).values())
        for lr in rates
        for seed in free
    ]
    question = f"Which learning rate serves each group of {study.name} ({preset}) best on the validation part?"
    return Study(f"{study.name}-lr", question, {preset: lambda: trials})


def choose(tuning: Study, preset: str, results: Results) -> list[TunedRate]:
    """The learning rate of each group, in the order of the study.

    Args:
        tuning: A study by `tuning_study`.

    Raises:
        UserError: A trial has no result, or one that was done no validation score: rates would not have had equal
            chances.
    """
    groups = _groups(_runs(tuning, preset))
    missing = [run.id for runs in groups.values() for run in runs if run.id not in results]
    if missing:
        raise UserError(
            f"{len(missing)} trials of {tuning.name} have no result, {missing[0]} for one; "
            "sweep again until none is missing."
        )
    about = _distinguished([runs[0] for runs in groups.values()])
    return [_choice(name, runs, one, results) for (name, runs), one in zip(groups.items(), about, strict=True)]


def tuned_study(study: Study, preset: str, choices: Sequence[TunedRate]) -> Study:
    """The study's own runs and seeds, each at the learning rate of its group.

    Raises:
        UserError: A run's group is not among the choices.
    """
    rates = {choice.group: choice.lr for choice in choices}
    _runs(study, preset)

    def tuned(run: Job) -> Run:
        assert isinstance(run, Run)
        if group(run) not in rates:
            raise UserError(f"no learning rate was chosen for {run.label}; choose from {study.name}'s own trials.")
        return at_rate(run, rates[group(run)])

    panels = [dataclasses.replace(panel, jobs=tuple(map(tuned, panel.jobs))) for panel in study.panels(preset)]
    name = study.name if study.tune is not None else f"{study.name}-tuned"
    return dataclasses.replace(study, name=name, presets={preset: lambda: panels})


def extended(grid: Sequence[float], choices: Sequence[TunedRate]) -> tuple[float, ...]:
    """The grid with a further rate at each end that a choice stands at; itself where none does, or at the limits."""
    rates = sorted(set(grid))
    chosen = {choice.lr for choice in choices if choice.found}
    # To six digits, as one writes it: an identity would see the rounding.
    below, above = (float(f"{one * one / two:.6g}") for one, two in ((rates[0], rates[1]), (rates[-1], rates[-2])))
    out = [below] if rates[0] in chosen and below >= LEAST else []
    return (*out, *rates, *([above] if rates[-1] in chosen and above <= MOST else []))


def known_choices(study: Study, preset: str, root: Path) -> list[TunedRate] | None:
    """The choices made before for every group of a preset: in the runs folder, or among the committed results.

    None where some are not known.
    """
    settings = {group(run): setting_of(run.to_dict()) for run in _runs(study, preset)}
    committed = [path for top in study_folders() for path in sorted(top.glob(f"results/*/{study.name}"))]
    for folder in (root / study.name, *committed):
        rates = read_rates(folder)
        if set(settings.values()) <= rates.keys():
            return [TunedRate.from_dict(name, rates[setting]) for name, setting in settings.items()]
    return None


def group(run: Run) -> str:
    """The name of the group of runs that differ by their seeds, learning rate and probes alone."""
    return dataclasses.replace(at_rate(run, OptimConfig.lr), probes=ProbeConfig()).replicates.id


def at_rate(run: Run, lr: float) -> Run:
    """The same run at another learning rate."""
    return dataclasses.replace(run, optim=dataclasses.replace(run.optim, lr=lr))


def _groups(runs: Sequence[Run]) -> dict[str, list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(group(run), []).append(run)
    return groups


def _runs(study: Study, preset: str) -> list[Run]:
    """The preset's runs, where learning rates can be chosen for them."""
    jobs = study.jobs(preset)
    runs = [job for job in jobs if isinstance(job, Run)]
    if len(runs) < len(jobs):
        raise UserError(f"{study.name} times contestants and trains nothing, so there is no learning rate to choose.")
    if study.follow_up is not None:
        raise UserError(
            f"{study.name} asks for later runs by the results of earlier ones; its learning rate cannot be chosen "
            "before, sweep it without."
        )
    if not runs:
        raise UserError(f"{study.name} has no runs in its preset {preset}; there is nothing to choose a rate for.")
    return runs


def _distinguished(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What tells each run from the others: a batch size that follows from the length adds nothing."""
    # Without a width that is solved for.
    rows = [flat(run) | ({} if run.model.parameters is None else {"model.hidden_size": None}) for run in runs]
    about: list[dict[str, Any]] = [{"cell": CellConfig.parse(row["cell"]).label} for row in rows]
    for key in varying(rows):
        finer = [{**one, key: row[key]} for one, row in zip(about, rows, strict=True)]
        if len({tuple(one.values()) for one in finer}) > len({tuple(one.values()) for one in about}):
            about = finer
    return about


def _choice(name: str, trials: Sequence[Run], about: Mapping[str, Any], results: Results) -> TunedRate:
    scores: dict[float, float | None] = {}
    lost: dict[float, int] = {}
    metric = ""
    rates = sorted({run.optim.lr for run in trials})
    for lr in rates:
        runs = [run for run in trials if run.optim.lr == lr]
        done = [score for run in runs if (score := _score(run, results[run.id])) is not None]
        metric = done[0][0] if done else metric
        scores[lr] = math.fsum(value for _, value in done) / len(done) if done else None
        lost[lr] = len(runs) - len(done)
    best = rates[(len(rates) - 1) // 2]
    if any(score is not None for score in scores.values()):
        best = min(rates, key=lambda lr: (lost[lr], math.inf if (score := scores[lr]) is None else score, lr))
    config = trials[0].to_dict()
    del config["seed"], config["data_seed"], config["probes"], config["optim"]["lr"]
    each = len(trials) // len(rates)
    return TunedRate(name, about, config, metric, scores, lost, each, best, best in (rates[0], rates[-1]))


def _score(run: Run, result: Mapping[str, Any]) -> tuple[str, float] | None:
    """The metric that decides, and its value; None of a trial that is lost."""
    if result["status"] != "done":
        return None
    name = next((name for name in METRICS if name in result["metrics"]), None)
    if name is None:
        raise UserError(f"the trial {run.id} has no validation score; give it a budget of at least one step.")
    value = result["metrics"][name]
    return (name, float(value)) if isinstance(value, int | float) and math.isfinite(value) else None
