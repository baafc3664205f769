"""How a cell looks: its own colour, marker and line style, the same in every figure and whatever stands beside it.

The colours are Okabe & Ito's (2008), which a colour-blind reader can tell apart. There are fewer of them than cells, so
cells share one, those that are seldom compared where possible; then their markers and line styles differ.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench.report.statistics import cell_name, cell_rank

#: A name of matplotlib's, or (offset, (on, off, …)) in points.
LineStyle = str | tuple[int, tuple[float, ...]]

#: The plain cells have a colour each that no other cell has.
FIXED = {"rnn": ("#D55E00", "s"), "lstm": ("#0072B2", "o"), "gru": ("#009E73", "^")}
#: The others' colours, and the markers that go with them first.
OTHERS = (("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"), ("#7F7F7F", "X"), ("#000000", "*"))
#: Of the cells of one colour the first has the first of these, and so on; so have the variants of one cell.
LINES: tuple[LineStyle, ...] = ("-", "--", ":", "-.", (0, (7, 1.5, 1, 1.5, 1, 1.5)), (0, (9, 4)))
#: Cells by colour, in the order of `OTHERS`.
CELLS = (
    ("mingru", "gla", "mgu", "slstm", "cornn", "lstm_peephole"),
    ("lru", "janet", "deltanet", "minlstm", "lem", "lstm_layernorm"),
    ("mamba", "rglru", "ugrnn", "lstm_cifg", "indrnn", "qrnn"),
    ("transformer", "irnn", "sru", "gru_v1", "exprnn", "hgrn"),
    ("mlstm", "s4d", "minimal_rnn", "tcn", "antisymmetric"),
)
#: Markers of cells that are not ours: no cell of ours has one of them.
STRANGE = ("p", "<", "d", ">", "h")


@dataclass(frozen=True)
class Look:
    """How a line is drawn."""

    color: str
    marker: str
    linestyle: LineStyle

    def line(self) -> dict[str, Any]:
        """Keyword arguments of ``Axes.plot``."""
        return {"color": self.color, "marker": self.marker, "linestyle": self.linestyle}


def _table() -> dict[str, Look]:
    """Every cell of ours: no two have the same colour and marker, or the same colour and line style."""
    found = {name: Look(color, marker, LINES[0]) for name, (color, marker) in FIXED.items()}
    markers = [*(marker for _, marker in OTHERS), "8"]
    for index, names in enumerate(CELLS):
        for tier, name in enumerate(names):
            marker = markers[-1] if tier == len(OTHERS) else markers[(index + tier) % len(OTHERS)]
            found[name] = Look(OTHERS[index][0], marker, LINES[tier])
    return found


TABLE = _table()


def looks(series: Sequence[str]) -> dict[str, Look]:
    """A look for each line: the cell's own; its variants, in one figure, differ by their line style.

    A cell that is not ours has a colour that follows from its name, unless another stranger in the figure has it.

    Args:
        series: Labels that begin with the cell's name: lstm, ``lstm(forget_bias=3)``, ``lstm, lr=0.01``.
    """
    names = sorted({cell_name(label) for label in series})
    own = {name: TABLE[name] for name in names if name in TABLE}
    strangers: dict[str, Look] = {}
    for name in names:
        if name not in own:
            strangers[name] = _stranger(name, strangers.values())
    seen: dict[str, int] = {}
    out = {}
    for label in sorted(set(series), key=cell_rank):
        name = cell_name(label)
        look = own.get(name) or strangers[name]
        variant = seen.setdefault(name, 0)
        out[label] = Look(look.color, look.marker, LINES[(LINES.index(look.linestyle) + variant) % len(LINES)])
        seen[name] += 1
    return out


def _stranger(name: str, beside: Collection[Look]) -> Look:
    """From the name's checksum on, the first look whose colour is free, else the first that is free, else the first."""
    every = [
        Look(color, marker, LINES[tier]) for tier, marker in enumerate(STRANGE) for color, _ in OTHERS
    ]  # fmt: skip
    start = zlib.crc32(name.encode()) % len(every)
    turned = every[start:] + every[:start]
    colors = {look.color for look in beside}
    free = [look for look in turned if look not in beside]
    return next((look for look in turned if look.color not in colors), (free or turned)[0])
