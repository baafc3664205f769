"""What the runs of a study log to W&B, told from the ledger: the mirror sends just that."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rnnbench.report.results import Result
from rnnbench.report.statistics import flat
from rnnbench.report.task_families import TASK_FAMILIES, TaskFamily
from rnnbench.tracking.charts import FLOW_CHART, HEAT_MAP
from rnnbench.tracking.mirror import flat_keys

#: history: logged at a step. summary: the last or final value. config: dotted. media: pictures. table: a chart's rows.
Place = Literal["run", "history", "summary", "config", "media", "table"]
#: What W&B knows of every run by itself.
BUILT_IN = frozenset({"group", "jobType", "name", "displayName", "state", "createdAt", "_step", "_runtime", "tags"})


class Key(NamedTuple):
    """Something that a panel, a filter or a group can refer to."""

    place: Place
    name: str


@dataclass(frozen=True)
class Logged:
    """All keys that at least one run of a study logs."""

    keys: frozenset[Key]

    def has(self, place: Place, *names: str) -> bool:
        """Are all of them logged?"""
        return all(Key(place, name) in self.keys for name in names)

    def names(self, place: Place, prefix: str = "") -> list[str]:
        """What is logged there and begins so, sorted."""
        return sorted(key.name for key in self.keys if key.place == place and key.name.startswith(prefix))


def logged(results: Sequence[Result]) -> Logged:
    """The keys that these runs log; those of a run that was cut off are what it got to."""
    keys = {Key("run", name) for name in BUILT_IN}
    for result in results:
        steps = {name for row in result.history() for name in row}
        final = {name for name, value in result.metrics.items() if value is not None}
        keys |= {Key("history", name) for name in steps}
        keys |= {Key("summary", name) for name in steps | final | ({"status"} if result.kind == "train" else set())}
        keys |= {Key("config", name) for name in flat({**result.run, **flat_keys(result.study, result.run)})}
        curves = result.curve_names if result.kind == "train" else frozenset()
        if curves & {"init/gradient_flow", "final/gradient_flow"}:
            keys.add(Key("table", f"{FLOW_CHART}_table"))
        along = result.curve("along/step") if "along/gradient_flow" in curves else None
        if along is not None and len(along) > 1:
            keys.add(Key("media", HEAT_MAP))
    return Logged(frozenset(keys))


def config_value(result: Result, name: str) -> Any:
    """What a run's W&B config has under a dotted key; None where it has nothing."""
    return flat({**result.run, **flat_keys(result.study, result.run)}).get(name)


def study_name(results: Sequence[Result], folder: Path) -> str:
    """The study that all of these runs are of, which is W&B's group.

    Raises:
        UserError: They are of several.
    """
    from rnnbench.errors import UserError

    names = sorted({result.study for result in results})
    if len(names) > 1:
        some = ", ".join(names[:4]) + (" …" if len(names) > 4 else "")
        raise UserError(f"{folder} holds {len(names)} studies ({some}); give the folder of one of them.")
    return names[0]


#: The x axes; what probes log says the step alone.
STEP, TOKENS = "step", "tokens"
SPEED = "throughput/tokens_per_second"


@dataclass(frozen=True)
class Line:
    """History metrics against step or tokens."""

    title: str
    y: tuple[str, ...]
    x: str = STEP
    log_y: bool = False

    @property
    def keys(self) -> set[Key]:
        """What it refers to."""
        return {Key("history", name) for name in (self.x, *self.y)}


@dataclass(frozen=True)
class Bars:
    """Summary metrics, a bar a group of runs."""

    title: str
    metrics: tuple[str, ...]

    @property
    def keys(self) -> set[Key]:
        """What it refers to."""
        return {Key("summary", name) for name in self.metrics}


@dataclass(frozen=True)
class Scatter:
    """A point a run: a summary metric against a setting or another summary metric; both axes may be logarithmic."""

    title: str
    x: Key
    y: Key
    log_x: bool = False
    log_y: bool = False

    @property
    def keys(self) -> set[Key]:
        """What it refers to."""
        return {self.x, self.y}


@dataclass(frozen=True)
class FlowChart:
    """The gradient-flow curves that each run logs as a chart, all runs' in one."""

    title: str
    x_title: str

    @property
    def keys(self) -> set[Key]:
        """What it refers to."""
        return {Key("table", f"{FLOW_CHART}_table")}


@dataclass(frozen=True)
class Pictures:
    """Pictures, one a run."""

    title: str
    media: tuple[str, ...]

    @property
    def keys(self) -> set[Key]:
        """What it refers to."""
        return {Key("media", name) for name in self.media}


Panel = Line | Bars | Scatter | FlowChart | Pictures


@dataclass(frozen=True)
class PanelSection:
    """Panels under one heading. about: a sentence on how to read them."""

    name: str
    about: str
    panels: tuple[Panel, ...]


def sections(kinds: Sequence[str], lengths: Sequence[int], logged: Logged) -> list[PanelSection]:
    """The sections that have a panel, in the order of the questions: how good, why, how fast, at what cost.

    Args:
        kinds: Of the tasks that the study trains on, names of `TASK_FAMILIES`.
        lengths: The sequence lengths that occur; against a single one nothing is drawn.
        logged: What its runs log.
    """
    several = len(set(lengths)) > 1
    speed_and_scores = [TASK_FAMILIES[kind].primary for kind in kinds]
    found = {
        "quality": (
            "Scores are drawn against the symbols seen. A group's line is the mean of its seeds, the band from the "
            "worst to the best of them.",
            [panel for kind in kinds for panel in _quality(TASK_FAMILIES[kind], logged, several)],
        ),
        "gradients": (
            "G(k) is the norm of the last loss's gradient with respect to the state k steps back. A lag beyond those "
            "measured has no point. Norms of the weights' gradient are taken before clipping.",
            _gradients(logged, several),
        ),
        "throughput": (
            "Runs that share a machine slow each other down: compare cells by the timings of `rnnbench throughput`, "
            "which take turns.",
            [
                Bars("training, symbols per second", (SPEED,)),
                Bars("milliseconds a training step", ("throughput/step_ms",)),
                *_against_length("training, symbols per second", SPEED, several),
                *(
                    Scatter(f"{score.title} against speed", _summary(SPEED), _summary(score.key), log_x=True)
                    for score in speed_and_scores
                ),
                Bars("floating-point operations a symbol", ("model/flops_per_token",)),
                *_timings(logged, "tokens_per_second", "symbols per second"),
            ],
        ),
        "system": (
            "Memory is the process's peak on a CPU and the allocator's on a GPU.",
            [
                Bars("peak memory, MiB", ("memory/peak_mib",)),
                *_against_length("peak memory, MiB", "memory/peak_mib", several),
                Bars("weights", ("model/parameters",)),
                Bars("numbers in the state", ("model/state_size",)),
                Bars("seconds of training", ("throughput/train_seconds",)),
                Bars("seconds of probing", ("probes/seconds",)),
                *_timings(logged, "peak_mib", "peak memory, MiB"),
            ],
        ),
    }
    kept = [PanelSection(name, about, _logged_ones(panels, logged)) for name, (about, panels) in found.items()]
    return [section for section in kept if section.panels]


def _logged_ones(panels: Iterable[Panel], logged: Logged) -> tuple[Panel, ...]:
    """Each once, those alone whose every key is logged."""
    return tuple(dict.fromkeys(panel for panel in panels if panel.keys <= logged.keys))


def _quality(kind: TaskFamily, logged: Logged, several: bool) -> list[Panel]:
    """The primary score while training and at the end, then the other scores."""
    score = kind.primary
    name = score.key.removeprefix("test/")
    losses = [key for key in (f"train/{name}", "train/bpc", "train/nll", "train/mse") if logged.has("history", key)]
    longer = tuple(f"{score.key}_x{k}" for k in (2, 4, 16) if logged.has("summary", f"{score.key}_x{k}"))
    panels: list[Panel] = [
        Line(f"validation {name}", (f"val/{name}",), TOKENS),
        *(Line(f"training {key.removeprefix('train/')}", (key,), TOKENS) for key in losses[:1]),
        Bars(score.title, (score.key,)),
        *_against_length(score.title, score.key, several),
    ]
    if longer:
        panels.append(Bars(f"{score.title} at 1, 2, 4, 16 times the length trained at", (score.key, *longer)))
    return panels + [Bars(other.title, (other.key,)) for other in kind.scores[1:] if other.key not in longer]


def _gradients(logged: Logged, several: bool) -> list[Panel]:
    panels: list[Panel] = [
        FlowChart("gradient flow at the start and at the end: log10 G(k)/G(0)", "lag k"),
        Pictures("gradient flow along training", (HEAT_MAP,)),
    ]
    for when, words in (("init", "at the start"), ("final", "after training")):
        panels += _against_length(f"gradient at 1/100 {words}, lags", f"{when}/hundredth_lag", several)
        panels.append(Bars(f"gradient at 1/100 {words}, lags", (f"{when}/hundredth_lag",)))
    panels += [
        Bars("effective horizon at the start and after training, steps", ("init/horizon", "final/horizon")),
        Bars("context that is made use of, symbols", ("final/context_horizon",)),
        Bars("largest Lyapunov exponent at the start and after training", ("init/lyapunov_1", "final/lyapunov_1")),
    ]
    return [
        *panels,
        *(Line(f"{_words(name)} along training", (name,)) for name in logged.names("history", "probe/")),
        Line("norm of the weights' gradient, mean", ("grad_norm/mean",), TOKENS, log_y=True),
        Line("norm of the weights' gradient, largest", ("grad_norm/max",), TOKENS, log_y=True),
        Bars("share of steps that were clipped", ("grad_norm/clipped_share",)),
        Line("learning rate", ("lr",)),
    ]


def _against_length(title: str, metric: str, several: bool) -> list[Panel]:
    """Against T, on two logarithmic axes but for a score, which has a logarithmic T alone; nothing of a single T."""
    if not several:
        return []
    score = metric.startswith("test/")
    return [Scatter(f"{title}, against T", Key("config", "seq_len"), _summary(metric), True, not score)]


def _timings(logged: Logged, figure: str, words: str) -> list[Panel]:
    """Of `rnnbench throughput`, whose one job times many contestants: a panel a cell, a bar a backend."""
    found = [name for name in logged.names("summary") if re.fullmatch(rf"[^/]+/[^/]+/{figure}", name)]
    by_cell = {cell: tuple(names) for cell, names in groupby(found, key=lambda name: name.split("/")[0])}
    return [Bars(f"{cell}, timed: {words}", names) for cell, names in by_cell.items()]


def _summary(name: str) -> Key:
    place: Place = "summary"
    return Key(place, name)


def _words(name: str) -> str:
    return name.removeprefix("probe/").replace("_", " ")
