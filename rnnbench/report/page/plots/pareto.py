"""Quality against speed, with the cells that none beats in both."""

from __future__ import annotations

from collections.abc import Sequence

from rnnbench.report.figures.pareto import LEAST, TITLE, UNRANKED, best_choices, choices
from rnnbench.report.figures.style import GREY, Look, looks
from rnnbench.report.page.plots.plot import Plot, Trace, axis, safe, trace
from rnnbench.report.statistics import CROWD, Group
from rnnbench.report.task_families import TaskFamily
from rnnbench.report.timings import Timed

#: Scores that span so many times the best one need a logarithmic axis.
WIDE = 20


def pareto(kind: TaskFamily, groups: Sequence[Group], timed: Sequence[Timed]) -> Plot | None:
    """The score against tokens a second; one cell's lengths are joined. None where more than cells and T is compared.

    timed: timings at hand, which are better than what the runs measured of themselves.
    """
    found = [] if groups[0].extras else choices(groups, timed, kind.primary.key)
    if len(found) < LEAST:
        return None
    best, reason = best_choices(found)
    front = trace(
        "beaten by none in both", [found[i].speed for i in best], [found[i].score.mean for i in best],
        Look(GREY, "o", "-"), "lines",
    )  # fmt: skip
    front["line"] = {"color": GREY, "width": 7, "shape": "hv"}
    front["opacity"] = 0.35
    data: list[Trace] = [front] if best else []
    named = len({one.group.cell for one in found}) >= CROWD
    for cell, look in looks([one.group.cell for one in found]).items():
        own = [one for one in found if one.group.cell == cell]
        line = trace(cell, [round(one.speed) for one in own], [one.score.mean for one in own], look)
        line["line"] = line["line"] | {"width": 1}
        line["customdata"] = [f"{one.group.place}" for one in own]
        line["hovertemplate"] = "%{customdata}: %{y}, %{x} tokens/s"
        if named:  # colours come back
            line |= {"mode": "lines+markers+text", "text": [safe(cell), *[""] * (len(own) - 1)], "showlegend": False}
            line |= {"textposition": "top center", "textfont": {"size": 10}, "cliponaxis": False}
        data.append(line)
    note = "Speed: as the runs themselves measured it."
    if (source := found[0].timed) is not None:
        settings = source.settings
        note = (
            f"Speed: a training step by the fastest certified backend in {source.result.study}, "
            f"H {settings['hidden_size']}, {settings['dtype']}, on {settings['device']}."
        )
    if missing := len(groups) - len(found):
        note += f" {missing} of {len(groups)} are left out: they lost runs, or have no such time."
    note += f" {reason[0].upper()}{reason[1:]}." if reason else ""
    x = axis("tokens per second: faster to the right", type="log")
    scores = [one.score.mean for one in found]
    wide = {"type": "log"} if 0 < WIDE * min(scores) < max(scores) else {}
    y = axis(f"{kind.unit}, less is better", **wide)
    return Plot(TITLE if best else UNRANKED, tuple(data), x, y, note)
