"""Our panels as wandb-workspaces', and what workspace and report have in common."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from typing import Any

from rnnbench.errors import UserError
from rnnbench.report.dashboard.panels import Bars, FlowChart, Key, Line, Panel, Pictures, Scatter
from rnnbench.tracking.charts import FLOW_CHART


def libraries() -> tuple[Any, Any]:
    """wandb-workspaces' modules for workspaces and for reports.

    Raises:
        UserError: It is not installed.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    try:
        with warnings.catch_warnings():  # of its own use of pydantic
            warnings.simplefilter("ignore", DeprecationWarning)
            import wandb_workspaces.reports.v2 as wr
            import wandb_workspaces.workspaces as ws
    except ImportError:
        raise UserError(
            "dashboards need wandb-workspaces, which is not installed; pip install 'rnnbench[dashboards]'."
        ) from None
    return ws, wr


def filters(study: str) -> Any:
    """The runs of the study, its summary aside.

    Raises:
        UserError: The name has a character that W&B's filters, which are texts, cannot quote.
    """
    from wandb_workspaces import expr

    if not re.fullmatch(r"[\w .,+:@()-]+", study):
        raise UserError(
            f'W&B cannot filter by the study name "{study}"; rename its folder to letters, digits, - and _.'
        )
    return expr.And(expr.Metric("Group") == study, expr.Metric("JobType") != "summary")


def stable_id(*parts: str) -> str:
    """The same id for the same thing, so that the same study gives the same file."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def panel(one: Panel, layout: Any, *where: str) -> Any:
    """A panel of ours as one of W&B's.

    Args:
        one: Ours.
        layout: Its place, where it has one (in a report).
        where: What tells it from a panel of the same title elsewhere.
    """
    made = _panel(one)
    made._id = stable_id(type(one).__name__, one.title, *where)
    if layout is not None:
        made.layout = layout
    return made


def _panel(one: Panel) -> Any:
    _, wr = libraries()
    match one:
        case Line():
            # Below five seeds a standard deviation says little: the band is from the least to the largest.
            return wr.LinePlot(
                title=one.title,
                x=wr.Metric(one.x),
                y=[wr.Metric(name) for name in one.y],
                log_y=one.log_y or None,
                title_x={"step": "step", "tokens": "symbols seen"}[one.x],
                groupby_aggfunc="mean",
                groupby_rangefunc="minmax",
                smoothing_factor=0,
            )
        case Bars():
            return wr.BarPlot(title=one.title, metrics=list(one.metrics), groupby_aggfunc="mean",
                              groupby_rangefunc="minmax", max_bars_to_show=100)  # fmt: skip
        case Scatter():
            return wr.ScatterPlot(
                title=one.title, x=_axis(one.x), y=_axis(one.y), log_x=one.log_x or None, log_y=one.log_y or None
            )
        case FlowChart():
            return wr.CustomChart(
                query={"summaryTable": {"tableKey": f"{FLOW_CHART}_table"}},
                chart_name="wandb/lineseries/v0",
                chart_fields={"step": "step", "lineKey": "lineKey", "lineVal": "lineVal"},
                chart_strings={"title": one.title, "xname": one.x_title},
            )
        case Pictures():
            return wr.MediaBrowser(title=one.title, media_keys=list(one.media), num_columns=3)


def _axis(key: Key) -> Any:
    _, wr = libraries()
    return wr.Config(key.name) if key.place == "config" else wr.SummaryMetric(key.name)
