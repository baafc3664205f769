"""The page as HTML: its frame, in which all is inside one file and nothing is asked of a network, and its tables."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from rnnbench.errors import UserError
from rnnbench.report.page.plot import DARK, Plot
from rnnbench.report.page.text import script
from rnnbench.report.tables.table import MISSING, Column, Row, Table

ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True)
class Section:
    """A part of the page. body: HTML, with all that is not ours escaped."""

    identity: str
    title: str
    body: str


def html_document(study: str, sections: Sequence[Section], plots: Sequence[Plot], runs: Any) -> str:
    """The whole file: the sections, the plots that `figures_html` has places for, in the same order, and `run_data`."""
    data = {"study": study, "dark": DARK, "plots": [plot.plain() for plot in plots], **runs}
    scripts = {name: asset(f"{name}.js") for name in ("tables", "figures", "page")}
    return html_frame(study, sections, {"data": script(data), "plotly": plotly(), **scripts})


def html_frame(title: str, sections: Sequence[Section], scripts: Mapping[str, str] | None = None) -> str:
    """The frame with its sections; and with its scripts, by their place in it, where it has any."""
    name = html.escape(title)
    shown = [section for section in sections if section.body]
    nav = "".join(f'<a href="#{section.identity}">{section.title}</a>' for section in shown)
    body = "".join(
        f'<section id="{section.identity}" aria-labelledby="{section.identity}-h">'
        f'<h2 id="{section.identity}-h">{section.title}</h2>{section.body}</section>'
        for section in shown
    )
    parts = {"study": name, "nav": nav, "body": body, "style": asset("page.css")}
    empty = {"data": "{}", **dict.fromkeys(("plotly", "tables", "figures", "page"), "")}
    return Template(asset("page.html")).substitute(empty | parts | dict(scripts or {}))


def figures_html(plots: Sequence[Plot], first: int) -> str:
    """Places for some figures, each with its question and its note; the script draws them as they come into sight.

    first: the number of the first one among all of the page's.
    """
    parts = []
    for at, plot in enumerate(plots, first):
        wide = " wide" if plot.wide else ""
        note = f"<p>{html.escape(plot.note)}</p>" if plot.note else ""
        parts.append(
            f'<figure class="plot{wide}"><figcaption><h3 id="plot-{at}-h">{html.escape(html.unescape(plot.title))}</h3>'
            f'</figcaption><div class="canvas" id="plot-{at}" data-plot="{at}" role="group" '
            f'aria-labelledby="plot-{at}-h" style="min-height:{plot.height}px"></div>{note}</figure>'
        )
    return f'<div class="figures">{"".join(parts)}</div>' if parts else ""


@cache
def asset(name: str) -> str:
    """One of our own files."""
    return (ASSETS / name).read_text(encoding="utf-8")


@cache
def plotly() -> str:
    """plotly.js, whole, as it may stand in a ``<script>``.

    Raises:
        UserError: plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise UserError("the page's figures need plotly, which is not installed; "
                        "pip install 'rnnbench[dashboards]'.") from None  # fmt: skip
    return str(get_plotlyjs()).replace("</script", "<\\/script")


#: The number behind a column, where it has another name.
BEHIND = {"T": "seq_len", "reach": "final/hundredth_lag", "seeds": "done", "longest": "solved", "tried": "solved"}
#: Columns with few distinct entries that are worth a list to choose from.
CHOSEN = ("cell", "data", "T", "length", "shape", "backend", "dtype", "device", "status")
#: So many entries make a list too long to choose from.
CHOICES = 40
#: The first entry of a row is broken into lines on a narrow screen where it has more letters.
LONG = 16
#: A table of more rows than this scrolls by itself, its head staying on top.
TALL = 30


def html_table(table: Table, identity: str, title: str, links: Sequence[str] = ()) -> str:
    """A table under its title, with its notes and its caption.

    identity: its element's id. links: where the first entry of each row leads.
    """
    entry = html.escape
    chosen = set(_chosen(table))
    head = "".join(_head(column, column.key in chosen) for column in table.columns)
    rows = "".join(_row(table, row, links[at] if links else None) for at, row in enumerate(table.rows))
    references = "".join(_row(table, row, None) for row in table.references)
    foot = f'<tbody class="references">{references}</tbody>' if references else ""
    tall = " tall" if len(table.rows) > TALL else ""
    below = "".join(f"<li>{entry(note)}</li>" for _, note in table.notes)
    below = (f"<ul>{below}</ul>" if below else "") + (f"<p>{code(table.caption)}</p>" if table.caption else "")
    said = f"<p>{entry(table.title)}</p>" if table.title else ""
    return (
        f'<div class="table" id="{entry(identity)}"><h3 id="{entry(identity)}-title">{entry(title)}</h3>{said}'
        f'<div class="scroll{tall}" role="region" tabindex="0" aria-labelledby="{entry(identity)}-title">'
        f'<table class="sortable"><caption class="hidden">{entry(title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>{foot}</table></div>"
        f'<div class="below">{below}</div></div>'
    )


def code(text: str) -> str:
    """Escaped, with what stands between backticks as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text))


def _head(column: Column, chosen: bool) -> str:
    kind = ' class="words"' if column.left else ""
    return f'<th scope="col"{kind}{" data-choose" if chosen else ""}>{html.escape(column.title)}</th>'


def _row(table: Table, row: Row, link: str | None) -> str:
    cells = []
    for at, column in enumerate(table.columns):
        text = row.text.get(column.key, "")
        inner = html.escape(text)
        if link is not None and at == 0:
            inner = f'<a href="{html.escape(link)}">{inner}</a>'
        if column.key in row.bold:
            inner = f"<strong>{inner}</strong>"
        value = _value(row.raw, column.key, text)
        data = f' data-value="{value}"' if value else ""
        names = ["words"] * column.left + ["long"] * (at == 0 and len(text) > LONG)
        kind = f' class="{" ".join(names)}"' if names else ""
        cells.append(f'<th scope="row"{data}{kind}>{inner}</th>' if at == 0 else f"<td{data}{kind}>{inner}</td>")
    return f"<tr>{''.join(cells)}</tr>"


def _value(raw: Mapping[str, object], key: str, text: str) -> str:
    """The number to sort an entry by, as JavaScript reads it; "" where it is words or empty."""
    for name in (BEHIND.get(key, key), f"{key}_ms"):
        value = raw.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and text not in ("", MISSING):
            if math.isfinite(value):
                return f"{value:.10g}"
            return "" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    number = re.match(r"-?\d[\d\u202f]*(\.\d+)?(e-?\d+)?", text.replace("−", "-"))
    return number.group().replace("\u202f", "") if number and key not in raw else ""


def _chosen(table: Table) -> list[str]:
    """The columns worth a list: between two and `CHOICES` distinct entries, and some entry more than once."""
    out = []
    for column in table.columns:
        distinct = {row.text.get(column.key, "") for row in table.rows}
        if column.key in CHOSEN and 1 < len(distinct) <= CHOICES and len(distinct) < len(table.rows):
            out.append(column.key)
    return out
