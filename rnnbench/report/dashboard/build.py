"""A study's W&B workspace and report: made from its runs, and written as files without a network."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr

from rnnbench.errors import UserError
from rnnbench.report.dashboard.panels import SPEED, Key, PanelSection, logged_config, logged_keys, sections, stable_id
from rnnbench.report.figures.style import looks
from rnnbench.report.results import Result, read
from rnnbench.report.statistics import group
from rnnbench.report.tables.training import tables as training_tables
from rnnbench.report.tables.writers import markdown
from rnnbench.report.task_families import TASK_FAMILIES
from rnnbench.runs import friendly

#: Nested groups beyond these are a tangle: the cell, the length, and two settings more.
LEVELS = 4
#: A table of more lines than these (comparisons, pair by pair) is left to `rnnbench report`.
LINES = 60
#: A report is 24 units wide: three panels a line.
WIDTH, HEIGHT, ACROSS = 8, 6, 3
#: What is written: the workspace and the report as W&B takes them, and the report's words.
WORKSPACE, REPORT, PAGE = "workspace.json", "report.json", "report.md"


@dataclass(frozen=True)
class Dashboard:
    """What workspace and report are made from; the study is W&B's group."""

    study: str
    results: tuple[Result, ...]
    keys: frozenset[Key]
    #: Config keys by which runs are grouped: the cell first, then what else varies but the seed.
    grouping: tuple[str, ...]
    #: A colour for each group, which is the values of the grouping's keys as W&B writes them.
    colors: dict[tuple[str, ...], str]
    sections: tuple[PanelSection, ...]

    @property
    def title(self) -> str:
        """Of the report; W&B allows 128 characters."""
        return f"rnnbench {self.study}"[:128]


def read_dashboard(folder: Path) -> Dashboard:
    """A study's dashboard from its folder of runs.

    Raises:
        UserError: It is not a folder, holds no finished run, or runs of several studies; or no wandb-workspaces.
    """
    results = read([folder])
    studies = sorted({result.study for result in results})
    if len(studies) > 1:
        some = ", ".join(studies[:4]) + (" …" if len(studies) > 4 else "")
        raise UserError(f"{folder} holds {len(studies)} studies ({some}); give the folder of one of them.")
    train = [result for result in results if result.kind == "train"]
    keys, grouping, kinds = logged_keys(results), _grouping(train), _kinds(results)
    panels = sections(kinds, [result.seq_len for result in results], keys)
    return Dashboard(studies[0], tuple(results), keys, grouping, _colors(train, grouping), panels)


def _kinds(results: Sequence[Result]) -> list[str]:
    """The families of the tasks that are trained on."""
    trained = {result.data_set.kind for result in results if result.kind == "train"}
    return [kind for kind in TASK_FAMILIES if kind in trained]


def _grouping(train: Sequence[Result]) -> tuple[str, ...]:
    """cell_label, dataset, seq_len, and the other settings in which groups differ; for timings the length."""
    if not train:
        return ("seq_len",)
    names = ["cell_label"]
    names += [name for name in ("dataset", "seq_len") if len({logged_config(r).get(name) for r in train}) > 1]
    extras = {name for g in group(train) for name, _ in g.extras if not name.startswith("environment.")}
    return tuple((names + sorted(extras - {"data.name", "data.path", "data.seq_len"}))[:LEVELS])


def _colors(train: Sequence[Result], grouping: Sequence[str]) -> dict[tuple[str, ...], str]:
    """A cell's own colour, lighter and lighter for its groups, the last of them (the longest T) in full."""
    colors: dict[tuple[str, ...], str] = {}
    for cell, look in looks([result.cell for result in train]).items():
        configs = [logged_config(result) for result in train if result.cell == cell]
        paths = sorted({tuple(config.get(name) for name in grouping) for config in configs}, key=_sortable)
        for index, path in enumerate(paths):
            share = 1.0 if len(paths) == 1 else 0.4 + 0.6 * index / (len(paths) - 1)
            parts = (int(look.color[at : at + 2], 16) for at in (1, 3, 5))
            lighter = "#" + "".join(f"{round(255 - share * (255 - part)):02X}" for part in parts)
            colors[tuple(v if isinstance(v, str) else json.dumps(v, default=str) for v in path)] = lighter
    return colors


def _sortable(path: tuple[Any, ...]) -> list[tuple[bool, float, str]]:
    """Numbers by size, before all else by name."""
    return [(False, float(v), str(v)) if isinstance(v, int | float) else (True, 0.0, str(v)) for v in path]


def workspace(dashboard: Dashboard, entity: str, project: str) -> Any:
    """W&B's workspace, not saved anywhere: the runs in groups, the panels in sections. entity: "" where not known."""
    built = ws.Workspace(
        entity=entity,
        project=project,
        name=f"rnnbench {dashboard.study}",
        sections=[
            ws.Section(
                name=section.name,
                panels=[panel.at(section.name) for panel in section.panels],
                is_open=index < 2,
                layout_settings=ws.SectionLayoutSettings(columns=3, rows=2),
            )
            for index, section in enumerate(dashboard.sections)
        ],
        settings=ws.WorkspaceSettings(
            x_axis="step" if Key("history", "step") in dashboard.keys else "Step",  # W&B's own: timings have no history
            max_runs=min(max(len(dashboard.colors), 10), 100),
        ),
        runset_settings=ws.RunsetSettings(
            filters=_filters(dashboard.study),
            groupby=[ws.Config(name) for name in dashboard.grouping],
            order=[ws.Ordering(ws.Metric("Name"), ascending=True)],
            pinned_columns=_columns(dashboard),
            group_colors={
                path[0] if len(path) == 1 else ws.GroupPath(*path): c for path, c in dashboard.colors.items()
            },
        ),
    )
    built._internal_runset_id = stable_id("runs", dashboard.study)
    # Always the same for a study, so that a second push finds the first one's.
    built._internal_name = f"nw-{stable_id('workspace', dashboard.study)[:11]}-v"
    return built


def _filters(study: str) -> Any:
    """The runs of the study, its summary aside.

    Raises:
        UserError: The name has a character that W&B's filters, which are texts, cannot quote.
    """
    if not re.fullmatch(r"[\w .,+:@()-]+", study):
        raise UserError(
            f'W&B cannot filter by the study name "{study}"; rename its folder to letters, digits, - and _.'
        )
    return expr.And(expr.Metric("Group") == study, expr.Metric("JobType") != "summary")


def _columns(dashboard: Dashboard) -> list[str]:
    """Of the table of runs: what tells them apart, how good, how far, how fast."""
    scores = [TASK_FAMILIES[kind].primary.key for kind in _kinds(dashboard.results)]
    numbers = dict.fromkeys([*scores, "final/hundredth_lag", SPEED, "status"])
    grouping = (name.replace(".", ".value.", 1) if "." in name else f"{name}.value" for name in dashboard.grouping)
    return [
        "run:displayName",
        *(f"config:{name}" for name in grouping),
        *(f"summary:{name}" for name in numbers if Key("summary", name) in dashboard.keys),
    ]


def report(dashboard: Dashboard, entity: str, project: str) -> Any:
    """W&B's report, not saved anywhere. entity: "" asks no server; the runs are the project's own."""
    blocks: list[Any] = [wr.P(counts(dashboard)), wr.TableOfContents(), wr.H1("tables")]
    blocks += [wr.MarkdownBlock(text=text) for text in tables(dashboard)]
    for section in dashboard.sections:
        blocks += [wr.H1(section.name), wr.P(section.about), _grid(dashboard, section, entity, project)]
    return wr.Report(
        entity=entity,
        project=project,
        title=dashboard.title,
        description=f"Made by `rnnbench dashboard` from the study {dashboard.study}.",
        blocks=blocks,
        width="fluid",
    )


def _grid(dashboard: Dashboard, section: PanelSection, entity: str, project: str) -> Any:
    study, grouping = dashboard.study, dashboard.grouping
    runs = wr.Runset(
        entity=entity,
        project=project,
        name=study,
        filters=_filters(study),
        groupby=[f"config.{name}" for name in grouping],
        order=[wr.OrderBy("Name", ascending=True)],
    )
    runs._id = stable_id("runs", study, section.name)
    keys = [wr.Config(name) for name in grouping]
    panels = []
    for index, panel in enumerate(section.panels):
        row, column = divmod(index, ACROSS)
        layout = wr.Layout(x=WIDTH * column, y=HEIGHT * row, w=WIDTH, h=HEIGHT)
        panels.append(panel.at("report", section.name, layout=layout))
    return wr.PanelGrid(
        runsets=[runs],
        panels=panels,
        custom_run_colors={
            wr.RunsetGroup(study, tuple(map(wr.RunsetGroupKey, keys, path))): color
            for path, color in dashboard.colors.items()
        },
    )


def counts(dashboard: Dashboard) -> str:
    """How many runs of what, and what became of them."""
    train = [result for result in dashboard.results if result.kind == "train"]
    timings = [result for result in dashboard.results if result.kind != "train"]
    parts = []
    if train:
        seeds = {result.run.get("seed", 0) for result in train}
        parts.append(
            f"{_number(len(train), 'run')}: {_number(len({r.cell for r in train}), 'cell')}, "
            f"{_number(len({r.data for r in train}), 'data set')}, "
            f"sequence length {_listed(r.seq_len for r in train)}, {_number(len(seeds), 'seed')}."
        )
    if timings:
        parts.append(f"{_number(len(timings), 'timing')}, sequence length {_listed(r.seq_len for r in timings)}.")
    lost = Counter(result.status for result in dashboard.results if not result.done)
    if lost:
        parts.append(f"Not done: {', '.join(f'{count} {status}' for status, count in sorted(lost.items()))}.")
    named = ", ".join({"cell_label": "cell", "seq_len": "sequence length"}.get(n, n) for n in dashboard.grouping)
    return " ".join([*parts, f"Grouped by {named}{'; the runs of a group differ by their seed' if train else ''}."])


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _listed(lengths: Iterable[int]) -> str:
    distinct = sorted(set(lengths))
    return ", ".join(map(str, distinct)) if len(distinct) <= 6 else f"{distinct[0]} to {distinct[-1]}"


def tables(dashboard: Dashboard) -> list[str]:
    """The tables of `rnnbench report`, as Markdown."""
    return [markdown(table).strip() for table in training_tables(dashboard.results) if len(table.rows) <= LINES]


def spec(built: Any) -> dict[str, Any]:
    """A workspace or a report as W&B stores it."""
    plain: dict[str, Any] = built._to_model().spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return plain


def write(dashboard: Dashboard, entity: str, project: str, out: Path) -> list[Path]:
    """Workspace, report, and the report as a page to read without W&B; the same runs give the same bytes.

    Raises:
        UserError: The folder cannot be written, or W&B cannot filter by the study's name.
    """
    space = workspace(dashboard, entity, project)
    # Of no entity: with one, a server would be asked for the project's number, which W&B can do without.
    paper = report(dashboard, "", project)
    where = {"entityName": entity, "projectName": project}
    space_names = {"type": "project-view", "name": space._internal_name, "displayName": space.name}
    paper_names = {"type": "runs", "displayName": paper.title, "description": paper.description}
    parts = [f"# {dashboard.title}", counts(dashboard), *tables(dashboard)]
    for section in dashboard.sections:
        parts += [f"## {section.name}", section.about, "\n".join(f"- {panel.title}" for panel in section.panels)]
    texts = {
        WORKSPACE: _json({**space_names, **where, "spec": spec(space)}),
        REPORT: _json({**paper_names, **where, "spec": spec(paper)}),
        PAGE: "\n\n".join(parts) + "\n",
    }
    with friendly(out):
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (out / name).write_text(text, encoding="utf-8")
    return [out / name for name in texts]


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
