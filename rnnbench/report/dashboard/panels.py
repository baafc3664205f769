"""The panels of a study's dashboard: W&B's own, of them those whose every key some run of the study has logged."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Literal, NamedTuple

import wandb_workspaces.reports.v2 as wr

from rnnbench.report.results import Result
from rnnbench.report.statistics import flat
from rnnbench.report.task_families import TASK_FAMILIES, TaskFamily
from rnnbench.tracking.mirror import FLOW_CHART, HEAT_MAP, flat_keys

#: history: logged at a step. summary: the last or final value. config: dotted. media: pictures. table: a chart's rows.
Place = Literal["run", "history", "summary", "config", "media", "table"]
#: What W&B knows of every run by itself.
BUILT_IN = frozenset({"group", "jobType", "name", "displayName", "state", "createdAt", "_step", "_runtime", "tags"})
SPEED = "throughput/tokens_per_second"


class Key(NamedTuple):
    """Something that a panel, a filter or a group can refer to."""

    place: Place
    name: str


def logged_keys(results: Sequence[Result]) -> frozenset[Key]:
    """All keys that at least one of these runs logs to W&B; those of a run that was cut off are what it got to."""
    keys = {Key("run", name) for name in BUILT_IN}
    for result in results:
        steps = {name for row in result.history() for name in row}
        final = {name for name, value in result.metrics.items() if value is not None}
        keys |= {Key("history", name) for name in steps}
        keys |= {Key("summary", name) for name in steps | final | ({"status"} if result.kind == "train" else set())}
        keys |= {Key("config", name) for name in logged_config(result)}
        curves = result.curve_names if result.kind == "train" else frozenset()
        if curves & {"init/gradient_flow", "final/gradient_flow"}:
            keys.add(Key("table", f"{FLOW_CHART}_table"))
        along = result.curve("along/step") if "along/gradient_flow" in curves else None
        if along is not None and len(along) > 1:
            keys.add(Key("media", HEAT_MAP))
    return frozenset(keys)


def logged_config(result: Result) -> dict[str, Any]:
    """A run's W&B config under dotted keys."""
    return flat({**result.run, **flat_keys(result.study, result.run)})


def stable_id(*parts: str) -> str:
    """The same id for the same thing, so that the same study gives the same file."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


class WandbPanel(NamedTuple):
    """One of W&B's panels, and the keys that it refers to."""

    kind: str
    title: str
    keys: frozenset[Key]
    plot: Any

    def at(self, *place: str, layout: Any = None) -> Any:
        """A copy for one place: its names make the panel's id; a layout only in a report."""
        plot = copy.copy(self.plot)
        plot._id = stable_id(self.kind, self.title, *place)
        if layout is not None:
            plot.layout = layout
        return plot


class PanelSection(NamedTuple):
    """Panels under one heading. about: a sentence on how to read them."""

    name: str
    about: str
    panels: tuple[WandbPanel, ...]


def _line(title: str, metric: str, x: str = "step", log_y: bool | None = None) -> WandbPanel:
    """A metric against the step or the tokens; the band is the range of the seeds, too few for a standard deviation."""
    plot = wr.LinePlot(
        title=title,
        x=wr.Metric(x),
        y=[wr.Metric(metric)],
        log_y=log_y,
        title_x={"step": "step", "tokens": "symbols seen"}[x],
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
        smoothing_factor=0,
    )
    return WandbPanel("Line", title, frozenset({Key("history", x), Key("history", metric)}), plot)


def _bars(title: str, *metrics: str) -> WandbPanel:
    """Final values, a bar a group of runs."""
    plot = wr.BarPlot(
        title=title, metrics=list(metrics), groupby_aggfunc="mean", groupby_rangefunc="minmax", max_bars_to_show=100
    )
    return WandbPanel("Bars", title, frozenset(Key("summary", name) for name in metrics), plot)


def _scatter(title: str, x: Key, metric: str, log_x: bool = True, log_y: bool | None = None) -> WandbPanel:
    """A point a run: a final value against a setting or another final value."""
    across = wr.Config(x.name) if x.place == "config" else wr.SummaryMetric(x.name)
    plot = wr.ScatterPlot(title=title, x=across, y=wr.SummaryMetric(metric), log_x=log_x, log_y=log_y)
    return WandbPanel("Scatter", title, frozenset({x, Key("summary", metric)}), plot)


def _flow_chart(title: str) -> WandbPanel:
    """The gradient-flow curves that each run logs as a chart, all runs' in one."""
    table = f"{FLOW_CHART}_table"
    plot = wr.CustomChart(
        query={"summaryTable": {"tableKey": table}},
        chart_name="wandb/lineseries/v0",
        chart_fields={"step": "step", "lineKey": "lineKey", "lineVal": "lineVal"},
        chart_strings={"title": title, "xname": "lag k"},
    )
    return WandbPanel("FlowChart", title, frozenset({Key("table", table)}), plot)


def _pictures(title: str, name: str) -> WandbPanel:
    plot = wr.MediaBrowser(title=title, media_keys=[name], num_columns=3)
    return WandbPanel("Pictures", title, frozenset({Key("media", name)}), plot)


def sections(kinds: Sequence[str], lengths: Sequence[int], keys: frozenset[Key]) -> tuple[PanelSection, ...]:
    """The sections that have a panel, of a study with tasks of these kinds, at these T, that logs these keys."""
    several = len(set(lengths)) > 1
    primaries = [TASK_FAMILIES[kind].primary for kind in kinds]
    quality = (
        "Scores are drawn against the symbols seen. A group's line is the mean of its seeds, the band from the "
        "worst to the best of them.",
        [panel for kind in kinds for panel in _quality(TASK_FAMILIES[kind], keys, several)],
    )
    gradients = (
        "G(k) is the norm of the last loss's gradient with respect to the state k steps back. A lag beyond those "
        "measured has no point. Norms of the weights' gradient are taken before clipping.",
        _gradients(keys, several),
    )
    throughput = (
        "Runs that share a machine slow each other down: compare cells by the timings of `rnnbench throughput`, "
        "which take turns.",
        [
            _bars("training, symbols per second", SPEED),
            _bars("milliseconds a training step", "throughput/step_ms"),
            *_against_length("training, symbols per second", SPEED, several),
            *(_scatter(f"{score.title} against speed", Key("summary", SPEED), score.key) for score in primaries),
            _bars("floating-point operations a symbol", "model/flops_per_token"),
            *_timings(keys, "tokens_per_second", "symbols per second"),
        ],
    )
    system = (
        "Memory is the process's peak on a CPU and the allocator's on a GPU.",
        [
            _bars("peak memory, MiB", "memory/peak_mib"),
            *_against_length("peak memory, MiB", "memory/peak_mib", several),
            _bars("weights", "model/parameters"),
            _bars("numbers in the state", "model/state_size"),
            _bars("seconds of training", "throughput/train_seconds"),
            _bars("seconds of probing", "probes/seconds"),
            *_timings(keys, "peak_mib", "peak memory, MiB"),
        ],
    )
    named = {"quality": quality, "gradients": gradients, "throughput": throughput, "system": system}
    kept = [PanelSection(name, about, _logged(panels, keys)) for name, (about, panels) in named.items()]
    return tuple(section for section in kept if section.panels)


def _logged(panels: Iterable[WandbPanel], keys: frozenset[Key]) -> tuple[WandbPanel, ...]:
    """Each once, those alone whose every key is logged."""
    return tuple({panel[:3]: panel for panel in panels if panel.keys <= keys}.values())


def _names(keys: frozenset[Key], place: Place) -> list[str]:
    return sorted(key.name for key in keys if key.place == place)


def _quality(kind: TaskFamily, keys: frozenset[Key], several: bool) -> list[WandbPanel]:
    """The primary score while training and at the end, then the other scores."""
    score = kind.primary
    losses = [name for name in (f"train/{score.metric}", "train/bpc", "train/nll", "train/mse")
              if Key("history", name) in keys]  # fmt: skip
    longer = [name for k in (2, 4, 16) if Key("summary", name := f"{score.key}_x{k}") in keys]
    panels = [
        _line(f"validation {score.metric}", f"val/{score.metric}", "tokens"),
        *(_line(f"training {name.removeprefix('train/')}", name, "tokens") for name in losses[:1]),
        _bars(score.title, score.key),
        *_against_length(score.title, score.key, several),
    ]
    if longer:
        panels.append(_bars(f"{score.title} at 1, 2, 4, 16 times the length trained at", score.key, *longer))
    return panels + [_bars(other.title, other.key) for other in kind.scores[1:] if other.key not in longer]


def _gradients(keys: frozenset[Key], several: bool) -> list[WandbPanel]:
    panels = [
        _flow_chart("gradient flow at the start and at the end: log10 G(k)/G(0)"),
        _pictures("gradient flow along training", HEAT_MAP),
    ]
    for when, words in (("init", "at the start"), ("final", "after training")):
        panels += _against_length(f"gradient at 1/100 {words}, lags", f"{when}/hundredth_lag", several)
        panels.append(_bars(f"gradient at 1/100 {words}, lags", f"{when}/hundredth_lag"))
    probed = [name for name in _names(keys, "history") if name.startswith("probe/")]
    return [
        *panels,
        _bars("effective horizon at the start and after training, steps", "init/horizon", "final/horizon"),
        _bars("context that is made use of, symbols", "final/context_horizon"),
        _bars("largest Lyapunov exponent at the start and after training", "init/lyapunov_1", "final/lyapunov_1"),
        *(_line(f"{name.removeprefix('probe/').replace('_', ' ')} along training", name) for name in probed),
        _line("norm of the weights' gradient, mean", "grad_norm/mean", "tokens", log_y=True),
        _line("norm of the weights' gradient, largest", "grad_norm/max", "tokens", log_y=True),
        _bars("share of steps that were clipped", "grad_norm/clipped_share"),
        _line("learning rate", "lr"),
    ]


def _against_length(title: str, metric: str, several: bool) -> list[WandbPanel]:
    """Against T, on two logarithmic axes but for a score, which has a logarithmic T alone; nothing of a single T."""
    log_y = None if metric.startswith("test/") else True
    return [_scatter(f"{title}, against T", Key("config", "seq_len"), metric, log_y=log_y)] if several else []


def _timings(keys: frozenset[Key], figure: str, words: str) -> list[WandbPanel]:
    """Of `rnnbench throughput`, whose one job times many contestants: a panel a cell, a bar a backend."""
    timed = [name for name in _names(keys, "summary") if re.fullmatch(rf"[^/]+/[^/]+/{figure}", name)]
    by_cell = groupby(timed, key=lambda name: name.split("/")[0])
    return [_bars(f"{cell}, timed: {words}", *names) for cell, names in by_cell]
