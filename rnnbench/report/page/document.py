"""The page's frame: one HTML file, its style, scripts and data inside, which asks nothing of a network."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rnnbench.errors import UserError
from rnnbench.report.page.plots.plot import DARK, Plot
from rnnbench.report.page.text import script

ASSETS = Path(__file__).parent / "assets"
#: Whatever a run's name or error may hold: nothing is fetched, nothing is sent.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


@dataclass(frozen=True)
class Section:
    """A part of the page. body: HTML, with all that is not ours escaped."""

    identity: str
    title: str
    body: str


def html_document(study: str, sections: Sequence[Section], plots: Sequence[Plot], runs: Any) -> str:
    """The whole file.

    Args:
        study: Its name.
        sections: In the order of reading.
        plots: Those that `figures_html` has made room for, in the same order.
        runs: `runs.run_data`.
    """
    name = html.escape(study)
    shown = [section for section in sections if section.body]
    nav = "".join(f'<a href="#{section.identity}">{section.title}</a>' for section in shown)
    body = "".join(
        f'<section id="{section.identity}" aria-labelledby="{section.identity}-h">'
        f'<h2 id="{section.identity}-h">{section.title}</h2>{section.body}</section>'
        for section in shown
    )
    data = {"study": study, "dark": DARK, "plots": [plot.plain() for plot in plots], **runs}
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name} · rnnbench</title>
<style>{asset("page.css")}</style>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<header><div class="bar">
<a class="brand" href="#summary">{name}</a>
<nav aria-label="Sections">{nav}</nav>
<button type="button" id="theme" hidden>dark</button>
</div></header>
<main id="content" tabindex="-1">
<div id="study"><h1>{name}</h1>{body}</div>
<article id="run" aria-label="A run" hidden></article>
</main>
<footer><p>Made by rnnbench. All of this page is in this one file.</p></footer>
<script type="application/json" id="data">{script(data)}</script>
<script>{plotly()}</script>
<script>{asset("tables.js")}</script>
<script>{asset("figures.js")}</script>
<script>{asset("page.js")}</script>
</body>
</html>
"""


def figures_html(plots: Sequence[Plot], first: int) -> str:
    """Room for some figures, each with its question and its note; the script draws them as they come into sight.

    first: the place of the first one among all of the page's.
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
