"""A study's report: words and tables, then the workspace's panels, section by section."""

from __future__ import annotations

from typing import Any

from rnnbench.dashboard import words
from rnnbench.dashboard.sections import Section
from rnnbench.dashboard.translate import filters, libraries, panel, stable_id
from rnnbench.dashboard.view import View

#: A report is 24 units wide: three panels a line.
WIDTH, HEIGHT, ACROSS = 8, 6, 3


def document(view: View, entity: str, project: str) -> Any:
    """The report, not saved anywhere.

    Args:
        view: The study.
        entity: Whose project. With it a server is asked for the project's number; "" leaves the runs to be looked for
            in the report's own project.
        project: W&B's project.
    """
    _, wr = libraries()
    blocks: list[Any] = [wr.P(words.counts(view)), wr.TableOfContents()]
    blocks += [wr.H1("tables"), *(wr.MarkdownBlock(text=text) for text in words.tables(view))]
    for section in view.sections:
        blocks += [wr.H1(section.name), wr.P(section.about), _grid(view, section, entity, project)]
    return wr.Report(
        entity=entity,
        project=project,
        title=words.title(view),
        description=f"Made by `rnnbench dashboard` from the study {view.study}.",
        blocks=blocks,
        width="fluid",
    )


def spec(made: Any) -> dict[str, Any]:
    """The report as W&B stores it."""
    plain: dict[str, Any] = made._to_model().spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return plain


def _grid(view: View, section: Section, entity: str, project: str) -> Any:
    _, wr = libraries()
    runs = wr.Runset(
        entity=entity,
        project=project,
        name=view.study,
        filters=filters(view.study),
        groupby=[f"config.{name}" for name in view.grouping],
        order=[wr.OrderBy("Name", ascending=True)],
    )
    runs._id = stable_id("runs", view.study, section.name)
    group = [
        (wr.RunsetGroup(view.study, tuple(map(wr.RunsetGroupKey, map(wr.Config, view.grouping), path))), color)
        for path, color in view.colors.items()
    ]
    places = [divmod(index, ACROSS) for index in range(len(section.panels))]
    return wr.PanelGrid(
        runsets=[runs],
        panels=[
            panel(one, wr.Layout(x=WIDTH * column, y=HEIGHT * row, w=WIDTH, h=HEIGHT), "report", section.name)
            for one, (row, column) in zip(section.panels, places, strict=True)
        ],
        custom_run_colors=dict(group),
    )
