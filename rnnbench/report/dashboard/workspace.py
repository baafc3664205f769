"""A study's workspace: its runs in groups, its panels in sections."""

from __future__ import annotations

from typing import Any

from rnnbench.report.dashboard.panels import SPEED
from rnnbench.report.dashboard.translate import filters, libraries, panel, stable_id
from rnnbench.report.dashboard.view import View
from rnnbench.report.task_families import TASK_FAMILIES


def workspace(view: View, entity: str, project: str) -> Any:
    """The workspace, not saved anywhere.

    Args:
        view: The study.
        entity: Whose project; "" where it is not known yet.
        project: W&B's project.
    """
    ws, _ = libraries()
    made = ws.Workspace(
        entity=entity,
        project=project,
        name=f"rnnbench {view.study}",
        sections=[
            ws.Section(
                name=section.name,
                panels=[panel(one, None, section.name) for one in section.panels],
                is_open=index < 2,
                layout_settings=ws.SectionLayoutSettings(columns=3, rows=2),
            )
            for index, section in enumerate(view.sections)
        ],
        settings=ws.WorkspaceSettings(
            x_axis="step" if view.logged.has("history", "step") else "Step",  # W&B's own: timings have no history
            max_runs=min(max(len(view.colors), 10), 100),
        ),
        runset_settings=ws.RunsetSettings(
            filters=filters(view.study),
            groupby=[ws.Config(name) for name in view.grouping],
            order=[ws.Ordering(ws.Metric("Name"), ascending=True)],
            pinned_columns=_columns(view),
            group_colors={path[0] if len(path) == 1 else ws.GroupPath(*path): c for path, c in view.colors.items()},
        ),
    )
    made._internal_runset_id = stable_id("runs", view.study)
    return made


def spec(made: Any) -> dict[str, Any]:
    """The workspace as W&B stores it."""
    plain: dict[str, Any] = made._to_model().spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return plain


def view_name(study: str) -> str:
    """W&B's name of the workspace: always the same for a study, so that a second push finds the first one's."""
    return f"nw-{stable_id('workspace', study)[:11]}-v"


def _columns(view: View) -> list[str]:
    """Of the table of runs: what tells them apart, how good, how far, how fast."""
    kinds = {result.data_set.kind for result in view.results if result.kind == "train"}
    figures = [kind.primary.key for name, kind in TASK_FAMILIES.items() if name in kinds] + [
        "final/hundredth_lag",
        SPEED,
        "status",
    ]
    return [
        "run:displayName",
        *(f"config:{name.replace('.', '.value.', 1) if '.' in name else f'{name}.value'}" for name in view.grouping),
        *(f"summary:{name}" for name in dict.fromkeys(figures) if view.logged.has("summary", name)),
    ]
