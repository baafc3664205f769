"""What a report says beside its panels: how much there is, the tables, how to read each section. Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from rnnbench.report.dashboard.panels import PanelSection
from rnnbench.report.dashboard.translate import filters, libraries, panel, stable_id
from rnnbench.report.dashboard.view import View

#: A table of more lines than these (comparisons, pair by pair) is left to `rnnbench report`.
LINES = 60


def title(view: View) -> str:
    """W&B allows 128 characters."""
    return f"rnnbench {view.study}"[:128]


def counts(view: View) -> str:
    """How many runs of what, and what became of them."""
    train = [result for result in view.results if result.kind == "train"]
    timings = [result for result in view.results if result.kind != "train"]
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
    lost = Counter(result.status for result in view.results if not result.done)
    if lost:
        parts.append(f"Not done: {', '.join(f'{count} {status}' for status, count in sorted(lost.items()))}.")
    named = ", ".join({"cell_label": "cell", "seq_len": "sequence length"}.get(name, name) for name in view.grouping)
    return " ".join([*parts, f"Grouped by {named}{'; the runs of a group differ by their seed' if train else ''}."])


def tables(view: View) -> list[str]:
    """The tables of `rnnbench report`, as Markdown."""
    from rnnbench.report.tables.training import tables as made
    from rnnbench.report.tables.writers import markdown

    return [markdown(table).strip() for table in made(view.results) if len(table.rows) <= LINES]


def markdown_page(view: View) -> str:
    """The report as a page to read without W&B; of the panels it has the titles."""
    parts = [f"# {title(view)}", counts(view), *tables(view)]
    for section in view.sections:
        parts += [f"## {section.name}", section.about, "\n".join(f"- {panel.title}" for panel in section.panels)]
    return "\n\n".join(parts) + "\n"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _listed(values: Iterable[Any]) -> str:
    found = sorted(set(values))
    return ", ".join(map(str, found)) if len(found) <= 6 else f"{found[0]} to {found[-1]}"


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
    blocks: list[Any] = [wr.P(counts(view)), wr.TableOfContents()]
    blocks += [wr.H1("tables"), *(wr.MarkdownBlock(text=text) for text in tables(view))]
    for section in view.sections:
        blocks += [wr.H1(section.name), wr.P(section.about), _grid(view, section, entity, project)]
    return wr.Report(
        entity=entity,
        project=project,
        title=title(view),
        description=f"Made by `rnnbench dashboard` from the study {view.study}.",
        blocks=blocks,
        width="fluid",
    )


def spec(made: Any) -> dict[str, Any]:
    """The report as W&B stores it."""
    plain: dict[str, Any] = made._to_model().spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return plain


def _grid(view: View, section: PanelSection, entity: str, project: str) -> Any:
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
