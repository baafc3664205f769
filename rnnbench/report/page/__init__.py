"""A study as one HTML file: words, tables, interactive figures, and a page a run; it opens without a network."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from rnnbench.report.page.document import Section, figures_html, html_document, html_table, plotly
from rnnbench.report.page.plot import Plot
from rnnbench.report.page.runs import routes, run_data, runs_table, source_html
from rnnbench.report.page.summary import summary
from rnnbench.report.page.task_plots import solvable_plots, tasks_plot
from rnnbench.report.page.timing_plots import timing_plots
from rnnbench.report.page.training_plots import training_plots
from rnnbench.report.panels import panels
from rnnbench.report.results import Result
from rnnbench.report.tables.comparisons import AGAINST, COMPARISONS, EFFECTS, VARIANCE
from rnnbench.report.tables.solvable import searched
from rnnbench.report.tables.table import Table
from rnnbench.report.tables.tasks import many_tasks, task_results
from rnnbench.report.task_families import data_sets
from rnnbench.report.timings import Timed
from rnnbench.runs import write_atomic

NAME = "report.html"


def write_page(
    study: str, results: Sequence[Result], timed: Sequence[Timed], tables: Sequence[Table], out: Path
) -> Path:
    """Write a study's page, whole or not at all, as ``report.html`` in an existing folder.

    timed: timings of all studies that are reported together: quality is drawn against their speed.

    Raises:
        UserError: plotly is not installed.
        StorageError: The disk is full, or refuses.
    """
    plotly()  # before any work is done
    folders = {result.folder for result in results}
    of_study = [one for one in timed if one.result.folder in folders]
    blocks = _plots(results, timed)
    plots = [plot for _, members in blocks for plot in members]
    figures, first = "", 0
    for heading, members in blocks:
        figures += (f'<h3 class="block">{html.escape(heading)}</h3>' if heading else "") + figures_html(members, first)
        first += len(members)
    links = [f"#run/{route}" for route in routes(results)]
    quiet = '<p class="scriptless">The figures and the runs\' own pages need JavaScript; the tables do not.</p>'
    sections = [
        Section("summary", "Summary", _words(summary(results, of_study, tables))),
        Section("tables", "Tables", "".join(html_table(one, f"table-{one.name}", _title(one)) for one in tables)),
        Section("figures", "Figures", quiet + figures if figures else ""),
        Section("runs", "Runs", html_table(runs_table(results), "table-runs", "Every run", links)),
        Section("source", "What produced this", source_html(results, tables)),
    ]
    target = out / NAME
    write_atomic(target, html_document(study, sections, plots, run_data(results)).encode("utf-8"))
    return target


def _plots(results: Sequence[Result], timed: Sequence[Timed]) -> list[tuple[str, list[Plot]]]:
    """Figures in blocks, each with its heading: panel by panel searches, tasks or data sets, timings."""
    blocks: list[tuple[str, list[Plot]]] = []
    for panel in panels(results):
        train = [result for result in panel.results if result.kind == "train"]
        if panel.search:
            searches, train = searched(train)
            blocks.append((panel.title, solvable_plots(searches)))
        if many_tasks(train):
            blocks.append((panel.title, tasks_plot(task_results(train))))
        else:
            sets = data_sets(train)
            for kind, data, members in sets:
                heading = " ".join(filter(None, (panel.title, data if len(sets) > 1 else "")))
                blocks.append((heading, training_plots(kind, members, timed, panel.axis)))
        folders = {result.folder for result in panel.results}
        blocks.append((panel.title, timing_plots([one for one in timed if one.result.folder in folders])))
    return [(heading, plots) for heading, plots in blocks if plots]


def _words(parts: Sequence[tuple[str, Sequence[str]]]) -> str:
    """A paragraph, then what is said of each data set as a list below its name."""
    out: list[str] = []
    for heading, points in parts:
        if not out:
            out.append(f"<p>{html.escape(' '.join(points))}</p>")
            continue
        out.append(f"<h3>{html.escape(heading)}</h3>" if heading else "")
        out.append("<ul>" + "".join(f"<li>{html.escape(point)}</li>" for point in points) + "</ul>")
    return f'<div class="prose">{"".join(out)}</div>'


def _title(table: Table) -> str:
    """What a table is called here, by its name."""
    titles = {
        "solvable": "The longest T that can be learnt", "tasks": "All tasks", "gradients": "How far gradients reach",
        "timing": "Timings of training", "decoding": "Timings of decoding", "speedup": "Speed-ups along the sweep",
        "decoding_speedup": "Speed-ups of decoding", "scaling": "How the time grows",
        "decoding_scaling": "How a token's time grows",
        "text": "Text", "series": "Time series", "labels": "Labels", "adding": "Adding", "memory": "Memory",
        "music": "Music", "sequences": "Sequence to sequence",
    }  # fmt: skip
    name, _, panel = table.name.partition("-")
    title = titles.get(name, name.replace("_", " ").capitalize())
    if table.part:
        words = {COMPARISONS: "which cell is better than which", EFFECTS: "what the length changes",
                 VARIANCE: "what moves a score", AGAINST: "one cell against each other"}  # fmt: skip
        title, panel = f"{title}: {words[table.part]}", panel.removeprefix(table.part).removeprefix("-")
    return f"{title} ({panel})" if panel else title
