"""How contestants look wherever they are drawn: colour by cell, line and marker by backend, two legends in one."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from rnnbench.report.figures.style import GREY, looks
from rnnbench.report.statistics import cell_rank
from rnnbench.report.timings import backend_rank

#: The same for a backend everywhere; an unknown one has one of the rest.
FIXED: dict[str, tuple[str, Any]] = {
    "plain": ("v", (0, (1, 1.2))),
    "loop": ("o", (0, (4, 2))),
    "torch": ("s", "-"),
    "nn": ("D", (0, (6, 1.5, 1, 1.5))),
    "scan": ("^", "-"),
    "window": ("p", "-"),
    "graph": ("P", (0, (8, 2))),
    "compile": ("X", (0, (8, 2, 1, 2))),
    "torchrecurrent": ("d", (0, (2, 2))),
    "flashrnn": ("*", (0, (3, 1, 1, 1))),
    "fla": ("<", (0, (3, 1, 1, 1, 1, 1))),
    "mamba_ssm": (">", (0, (5, 1))),
    "accelerated_scan": ("h", (0, (1, 2))),
}
#: Where a colour is a backend's, as a row says which cell: the same everywhere, too.
COLORS = {
    "plain": "#000000", "loop": "#CC79A7", "torch": "#0072B2", "nn": "#56B4E9", "scan": "#E69F00", "window": "#7F7F7F",
    "graph": "#009E73", "compile": "#D55E00", "torchrecurrent": "#CC79A7", "flashrnn": "#D55E00", "fla": "#009E73",
    "mamba_ssm": "#56B4E9", "accelerated_scan": "#7F7F7F",
}  # fmt: skip
REST: tuple[tuple[str, Any], ...] = (("8", "-."), ("H", "--"), ("x", ":"))
#: Of one contestant at several settings the first has its own marker and the others these, on the same kind of line.
VARIANTS = ("+", "1", "|", "2", "x", "3")

#: Where a name may stand: right or left, up or down, the likeliest first; farther out last.
AROUND = (
    (0, 1), (1, 0), (1, 1), (-1, 1), (1, -1), (0, -1), (-1, 0), (-1, -1), (0, 2.6), (2, 2), (-2, 2), (2, -2), (-2, -2)
)  # fmt: skip


def backend_color(contestant: str) -> str:
    """The colour of a backend, or of another's code, with what else its name says: ``torch, float16``."""
    name = contestant.split(",", 1)[0].split(" ", 1)[0]
    return COLORS.get(name) or list(COLORS.values())[zlib.crc32(name.encode()) % 8]


@dataclass(frozen=True)
class Marks:
    """Colours by cell; marker and line style by contestant (a backend, with what else tells it apart)."""

    colors: dict[str, str]
    styles: dict[str, tuple[str, Any]]

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Marks:
        """For pairs of a cell and a contestant."""
        cells, contestants = (list(dict.fromkeys(names)) for names in zip(*pairs, strict=True))
        rest = iter(REST * len(contestants))
        of_backend, styles = dict[str, tuple[str, Any]](), dict[str, tuple[str, Any]]()
        for name in sorted(contestants, key=backend_rank):
            backend = name.split(",", 1)[0]
            marker, linestyle = of_backend.setdefault(backend, FIXED.get(backend) or next(rest))
            free = ((one, linestyle) for one in (marker, *VARIANTS) if (one, linestyle) not in styles.values())
            styles[name] = next(free, (marker, linestyle))
        styles_of = looks(cells)
        return cls({cell: styles_of[cell].color for cell in sorted(cells, key=cell_rank)}, styles)

    def line(self, cell: str, contestant: str) -> dict[str, Any]:
        """Keyword arguments of ``Axes.plot``."""
        marker, linestyle = self.styles[contestant]
        return {"color": self.colors[cell], "marker": marker, "linestyle": linestyle}

    def legend(self, axes: Axes, *, cells: bool = True, lines: bool = True) -> None:
        """Nothing drawn, but a label for each cell and each contestant; ``lines``: with line styles."""
        for cell, color in self.colors.items() if cells else ():
            axes.plot([], [], color=color, linewidth=4, label=cell)
        for contestant, (marker, linestyle) in self.styles.items():
            axes.plot([], [], color=GREY, marker=marker, linestyle=linestyle if lines else "none", label=contestant)


def direct_labels(axes: Axes, points: Sequence[tuple[float, float, str, str]], size: float = 9) -> None:
    """Names beside their points, above or right of them first, where neither another name nor a point is in the way.

    A name that finds no space is left out; the first in the list find theirs first. Once the axes' limits are final.

    points: x, y, name, colour; without a name it is in the way of the others' alone. size: of the letters, in points.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # settles where the axes are
    pixel = figure.dpi / 72
    spots = [tuple(axes.transData.transform((x, y))) for x, y, _, _ in points]
    taken = [Bbox.from_extents(x - 4 * pixel, y - 4 * pixel, x + 4 * pixel, y + 4 * pixel) for x, y in spots]
    inside = axes.get_window_extent()
    for (x, y), (at_x, at_y, name, color) in zip(spots, points, strict=True):
        if not name:
            continue
        text = axes.text(at_x, at_y, name, color=color, fontsize=size, ha="left", va="bottom")
        width, height = text.get_window_extent().width, text.get_window_extent().height
        for right, up in AROUND:
            left = x + 6 * pixel * right - width * (1 - right / max(abs(right), 1)) / 2
            low = y + 6 * pixel * up - height * (1 - up / max(abs(up), 1)) / 2
            box = Bbox.from_bounds(left, low, width, height)
            within = inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
            if within and not box.count_overlaps(taken):
                taken.append(box)
                place = axes.transData.inverted().transform((left, low))
                text.set_position((float(place[0]), float(place[1])))
                break
        else:
            text.remove()
