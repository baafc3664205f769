"""Does the gradient's reach at initialisation predict the longest solvable T? A point a cell, a panel a task."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rnnbench.report.figures.style import GREY, canvas, looks, plain_number, save
from rnnbench.report.tables.solvable import Solvable, predicts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: In points: a name's width by letter and its height, and half a marker.
LETTER, LINE, MARK = 4.6, 9.5, 3.5


def solvable_figure(found: Sequence[Solvable], folder: Path, formats: set[str]) -> list[Path]:
    """Log-log, the bracket as a bar; at the right edge what is beyond the lags measured; open triangles where all tried
    or none was solved.
    """
    known = [one for one in found if one.reach is not None and one.reach > 0 and not one.broken]
    if not known:
        return []
    tasks = {data: correlation for data, correlation in predicts(found).items() if data in {one.data for one in known}}
    styles = looks([one.cell for one in found])
    with canvas(len(tasks), width=6.6 * len(tasks), height=5.2) as (figure, panels):
        figure.suptitle("Does the gradient's reach at initialisation predict the longest solvable T?", weight="bold")
        for axes, (data, correlation) in zip(panels, tasks.items(), strict=True):
            own = [one for one in known if one.data == data]
            edge = max((one.lags or 0.0 for one in own), default=1.0)
            places = []
            for one in own:
                assert one.reach is not None
                x, y = min(one.reach, edge), one.found.middle
                look, open_ended = styles[one.cell], one.found.failed is None or one.found.solved is None
                mark = look.marker if not open_ended else "^" if one.found.failed is None else "v"
                axes.plot(x, y, mark, color=look.color, markerfacecolor="none" if open_ended else look.color)
                if one.found.solved is not None and one.found.failed is not None:
                    axes.plot([x, x], [one.found.solved, one.found.failed], color=look.color, linewidth=1.0, alpha=0.6)
                places.append((x, y, one.cell, look.color))
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.margins(x=0.12, y=0.2)
            axes.set_title(data.replace("_", " "), pad=24)
            above: dict[str, Any] = {"xycoords": "axes fraction", "xytext": (0, 5), "textcoords": "offset points"}
            axes.annotate("\n".join(textwrap.wrap(correlation.text(), 110)), (0, 1), **above, fontsize=8, color=GREY)
            axes.set_xlabel("lag at which the gradient is down to 1/100, untrained")
            axes.set_ylabel("longest solvable T")
            plain_number(axes.xaxis)
            plain_number(axes.yaxis)
            if any(math.isinf(one.reach or 0.0) for one in own):
                axes.axvline(edge, color=GREY, linestyle=(0, (4, 3)), linewidth=0.9, zorder=0)
                beside: dict[str, Any] = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points"}
                axes.annotate(f"≥ {edge:g}", (edge, 1.0), (4, -11), **beside, fontsize=8.5, color=GREY)
            _name(axes, places)
        note = "bars: from the last T solved to the first failed; △: all T tried were solved; ▽: not even the smallest"
        figure.supxlabel(note, fontsize=8.5, color=GREY)
        return save(figure, folder / "reach_predicts", formats)


def _name(axes: Axes, places: Sequence[tuple[float, float, str, str]]) -> None:
    """Each point's name beside it, right where there is room, moved up as far as it has to be to lie on no other."""
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]  # before it a panel does not know its size
    scale = 72 / axes.figure.dpi
    points = {place: axes.transData.transform(place[:2]) * scale for place in places}
    taken = [(across - MARK, across + MARK, up) for across, up in points.values()]
    for place in sorted(places, key=lambda place: (place[1], place[0])):
        (x, y, name, color), (across, up) = place, map(float, points[place])
        left, height = across + 2 * MARK, up
        right = left + LETTER * len(name)
        side: tuple[float, Literal["left", "right"]] = (2 * MARK, "left")
        if right > axes.bbox.x1 * scale:  # no room there
            left, right, side = across - 2 * MARK - LETTER * len(name), across - 2 * MARK, (-2 * MARK, "right")
        while any(abs(height - other) < LINE and a < right and left < b for a, b, other in taken):
            height += 1.0
        taken.append((left, right, height))
        how: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8, "color": color}
        axes.annotate(name, (x, y), (side[0], height - up), ha=side[1], **how)
