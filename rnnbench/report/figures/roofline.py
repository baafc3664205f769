"""Is it arithmetic, memory, or neither? What a contestant reaches, under the roof measured on its device.

Williams, Waterman & Patterson (2009), "Roofline: an insightful visual performance model for multicore architectures".
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rnnbench.report.figures.contestants import Marks, direct_labels
from rnnbench.report.figures.style import GREY, canvas, plain_log_axis, plain_number, save
from rnnbench.report.statistics import CROWD
from rnnbench.report.tables.timing import rate
from rnnbench.report.timings import SETTINGS, SIZES, Timed

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Roof(NamedTuple):
    """FLOP/s of a large product, and bytes/s of a large copy, both measured."""

    gemm: float
    copy: float

    def at(self, intensity: float) -> float:
        """The FLOP/s that so many FLOPs a byte allow."""
        return min(self.gemm, intensity * self.copy)


class Point(NamedTuple):
    """FLOPs a byte; FLOP/s; FLOP/s where replayed as a CUDA graph."""

    intensity: float
    reached: float
    replayed: float | None


def point(one: Timed) -> Point | None:
    """Where a contestant stands; None without its FLOPs and bytes."""
    flops, traffic = (one.numbers.get(f"{one.main}_{what}") for what in ("flops", "bytes"))
    if not flops or not traffic or one.ms is None:
        return None
    reached = flops * one.numbers["tokens_per_second"]
    replay = one.numbers.get(f"replay_{one.main}_ms")
    return Point(flops / traffic, reached, reached * one.ms / replay if replay else None)


def roofline(found: Sequence[Timed], path: Path, formats: set[str]) -> list[Path]:
    """FLOP/s against FLOPs a byte at one size, a mark a contestant; hollow where replayed.

    Contestants of a cell stand side by side, though their FLOPs a byte are the same. Of many cells each cell's fastest
    contestant alone.

    Args:
        found: Of one device and number format, and so under one roof.
        path: Where to, without its suffix.
        formats: Of svg and png.

    Returns:
        The files; none where ceilings or FLOPs were not measured.
    """
    shown = [(one, at) for one in _fullest(found) if (at := point(one)) is not None]
    roofs = [roof for one, _ in shown if (roof := _roof(one)) is not None]
    if not roofs:
        return []
    roof = Roof(*(statistics.median(values) for values in zip(*roofs, strict=True)))
    crowd = len({one.cell for one, _ in shown}) >= CROWD
    if crowd:
        fastest = {one.cell: (one, at) for one, at in sorted(shown, key=lambda pair: pair[1].reached)}
        shown = [(one, at._replace(replayed=None)) for one, at in fastest.values()]
    marks = Marks.of((one.cell, str(one.backend)) for one, _ in shown)
    with canvas(width=8.4, height=6.0 if crowd else 4.8) as (figure, (axes,)):
        _draw_roof(axes, roof, [at for _, at in shown])
        step = 1.0 if crowd else (axes.get_xlim()[1] / axes.get_xlim()[0]) ** 0.016
        drawn: list[tuple[float, float, str, str]] = []
        for one, at in shown:
            look = marks.line(one.cell, str(one.backend)) | {"linestyle": "none", "markersize": 8}
            beside = [name for name in marks.styles if (one.cell, name) in {(o.cell, str(o.backend)) for o, _ in shown}]
            x = at.intensity * step ** (beside.index(str(one.backend)) - (len(beside) - 1) / 2)
            if at.replayed is not None:
                axes.plot([x, x], [at.reached / 1e9, at.replayed / 1e9], color=look["color"], linewidth=0.8)
                axes.plot(x, at.replayed / 1e9, **look, markerfacecolor="white")
            axes.plot(x, at.reached / 1e9, **look)
            drawn += [(x, value / 1e9, "", "") for value in (at.reached, at.replayed) if value is not None]
        size = ", ".join(f"{SETTINGS[name]} {shown[0][0].settings[name]}" for name in SIZES[:3])
        axes.set_title(f"How near to what the device can do? {size}")
        axes.set_xlabel("FLOPs of matrix products per byte that must be moved")
        axes.set_ylabel("GFLOP/s reached")
        marks.legend(axes, cells=False, lines=False)
        if any(at.replayed is not None for _, at in shown):
            axes.plot([], [], "o", color=GREY, markerfacecolor="white", label="replayed")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
        direct_labels(axes, [*_names(shown, marks), *drawn], 9 if crowd else 11)
        return save(figure, path, formats)


def _names(shown: Sequence[tuple[Timed, Point]], marks: Marks) -> list[tuple[float, float, str, str]]:
    """Each cell's name, at the highest of its contestants."""
    tops: dict[str, tuple[float, float]] = {}
    for one, at in shown:
        top = max(at.reached, at.replayed or 0.0) / 1e9
        tops[one.cell] = (at.intensity, max(top, tops.get(one.cell, (0.0, 0.0))[1]))
    return [(x, y, cell, marks.colors[cell]) for cell, (x, y) in tops.items()]


def _fullest(found: Sequence[Timed]) -> list[Timed]:
    """All contestants of the size at which most were timed; of several such the one of the most tokens, the longest."""
    sizes: dict[tuple[int, ...], list[Timed]] = {}
    for one in found:
        if one.ms is not None:
            sizes.setdefault(tuple(one.settings[name] for name in ("tokens", *SIZES)), []).append(one)
    return sizes[max(sizes, key=lambda size: (len(sizes[size]), size))] if sizes else []


def _roof(one: Timed) -> Roof | None:
    gemm, copy = (one.result.number(name) for name in ("gemm_flops_per_second", "copy_bytes_per_second"))
    return Roof(gemm, copy) if gemm and copy else None


def _draw_roof(axes: Axes, roof: Roof, points: Sequence[Point]) -> None:
    ridge = roof.gemm / roof.copy
    low = min(ridge, *(at.intensity for at in points)) / 2
    high = max(ridge, *(at.intensity for at in points)) * 2
    x = [low, ridge, high]
    axes.plot(x, [roof.at(value) / 1e9 for value in x], color=GREY, linewidth=2)
    axes.set_xscale("log", base=10)
    axes.set_xlim(low, high)
    plain_number(axes.xaxis)
    place: dict[str, Any] = {"textcoords": "offset points", "fontsize": 9, "color": GREY}
    axes.annotate(
        f"product {rate(roof.gemm, 'FLOP/s')}", (high, roof.gemm / 1e9), (-4, 5), ha="right", va="bottom", **place
    )
    axes.annotate(f"copy {rate(roof.copy, 'B/s')}", (low, roof.at(low) / 1e9), (4, -4), ha="left", va="top", **place)
    axes.set_yscale("log")
    reached = [value for at in points for value in (at.reached, at.replayed) if value is not None]
    axes.set_ylim(min(reached) / 2e9, roof.gemm * 2 / 1e9)
    plain_log_axis(axes)
