"""The report of a ledger: for each study its tables in the terminal and on disk, its figures, and a page with both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.errors import UserError, unknown
from rnnbench.report.panels import panels
from rnnbench.report.results import Result, read
from rnnbench.report.statistics import group
from rnnbench.report.tables import writers
from rnnbench.report.tables.solvable import searched
from rnnbench.report.tables.table import Table
from rnnbench.report.tables.tasks import many_tasks, task_results
from rnnbench.report.tables.training import tables
from rnnbench.report.task_families import data_sets
from rnnbench.report.timings import Timed, timings
from rnnbench.runs import friendly

if TYPE_CHECKING:
    from rich.console import Console

FORMATS = ("md", "csv", "tex", "html", "svg", "png", "pdf")
FIGURES = {"svg", "png", "pdf"}
#: A table of more comparisons than these is not printed, only written.
LINES = 24
WRITERS = {"md": writers.markdown, "csv": writers.csv, "tex": writers.latex}


def report(
    paths: list[Path], formats: set[str], out: Path | None, console: Console | None
) -> dict[str, dict[str, Any]]:
    """Report every study below the given folders.

    Args:
        paths: Runs folders, studies' folders or runs' folders.
        formats: What to write, of `FORMATS`; none writes nothing.
        out: Write into out/<study>/; None: into <study folder>/report/.
        console: Where the tables are printed; None prints nothing.

    Returns:
        {study: {"table": raw rows, "comparisons": those of pairs of cells, "files": paths of what was written}}; an
        infinity is "inf", as in the ledger.

    Raises:
        UserError: An unknown format, no result at all, or two studies of the same name.
    """
    for name in sorted(formats - set(FORMATS)):
        raise unknown("format", name, FORMATS)
    studies: dict[Path, list[Result]] = {}
    everything = read(paths)
    timed = timings([result for result in everything if result.kind == "timing"])
    for result in everything:
        studies.setdefault(result.folder.parent, []).append(result)
    answer: dict[str, dict[str, Any]] = {}
    for folder, results in studies.items():
        if folder.name in answer:
            raise UserError(f'two study folders are named "{folder.name}"; report one of them at a time.')
        made = tables(results)
        target = folder / "report" if out is None else out / folder.name
        with friendly(target):
            files = _write(folder.name, results, timed, made, formats, target)
        if console is not None:
            for table in made:
                if len(table.rows) <= LINES or not table.part:
                    console.print(writers.rich_table(table, console.width))
                    console.print()
        if console is not None and files:
            console.print(f"tables and figures: {target}", highlight=False, soft_wrap=True)
            for page in [path for path in files if path.suffix == ".html"]:
                console.print(f"to open in a browser: {page}", highlight=False, soft_wrap=True)
        answer[folder.name] = {
            "table": _rows([table for table in made if not table.part]),
            "comparisons": _rows([table for table in made if table.part]),
            "files": [str(path) for path in files],
        }
    return answer


def usual() -> set[str]:
    """What is written unless asked otherwise: all but PDF; the page only where its figures can be drawn."""
    missing = {"pdf"} if find_spec("plotly") is not None else {"pdf", "html"}
    return {*FORMATS} - missing


def file_stem(table: Table, made: Sequence[Table]) -> str:
    """The name of a table's files, without their suffix; made: all tables of its study."""
    alone = sum(not other.part for other in made) == 1
    return "-".join(filter(None, ("table", table.part if alone else table.name)))


def _rows(made: Sequence[Table]) -> list[dict[str, Any]]:
    return [{name: _plain(value) for name, value in row.raw.items()} for table in made for row in table.rows]


def _write(
    study: str,
    results: Sequence[Result],
    timed: Sequence[Timed],
    made: Sequence[Table],
    formats: set[str],
    out: Path,
) -> list[Path]:
    if not formats:
        return []
    out.mkdir(parents=True, exist_ok=True)
    files = []
    for table in made:
        stem = file_stem(table, made)
        for name in [name for name in FORMATS if name in formats and name in WRITERS]:
            files.append(out / f"{stem}.{name}")
            files[-1].write_text(WRITERS[name](table), encoding="utf-8")
    drawn = _figures(results, timed, out, formats) if formats & FIGURES else []
    if "md" in formats:
        files.append(out / "report.md")
        files[-1].write_text(_markdown_page(study, made, drawn), encoding="utf-8")
    if "html" in formats:
        from rnnbench.report.page import write_page

        files.append(write_page(study, results, timed, made, out))
    return files + drawn


def _figures(results: Sequence[Result], timed: Sequence[Timed], out: Path, formats: set[str]) -> list[Path]:
    """Of each panel a figure of searches; a set for each data set, or two over all where they are many; timings.

    timed: of all studies reported together, for quality against speed.
    """
    from rnnbench.report.figures.attention_map import attention_figure
    from rnnbench.report.figures.pareto import pareto_figure
    from rnnbench.report.figures.reach_map import solvable_figure
    from rnnbench.report.figures.tasks import task_figures
    from rnnbench.report.figures.timing import timing_figures
    from rnnbench.report.figures.training import training_figures

    drawn: list[Path] = []
    decoded: list[Result] = []
    for panel in panels(results):
        train = [result for result in panel.results if result.kind == "train"]
        if panel.search:
            found, train = searched(train)
            drawn += solvable_figure(found, out, formats)
        if many_tasks(train):
            tasks = task_results(train)
            drawn += task_figures(tasks, out, formats)
            decoded += [result for task in tasks if task.data_set.kind == "sequences" for result in task.best.results]
        else:
            sets = data_sets(train)
            for kind, data, members in sets:
                suffix = panel.ending + (f"-{data}" if len(sets) > 1 else "")
                drawn += training_figures(kind, members, out, suffix, formats, panel.axis)
                if kind == "text":
                    path = out / f"pareto{suffix}"
                    drawn += pareto_figure(kind, group(members, panel.axis), timed, path, formats)
            decoded += [result for result in train if result.data_set.kind == "sequences"]
        timing = [result for result in panel.results if result.kind == "timing"]
        drawn += timing_figures(timing, out, formats, panel.ending)
    return drawn + attention_figure(decoded, out, formats)


def _markdown_page(study: str, made: Sequence[Table], drawn: Sequence[Path]) -> str:
    """Markdown with the tables and each figure once (SVG where there is one)."""
    chosen = {path.stem: path.name for path in sorted(drawn) if path.suffix != ".pdf"}  # .svg comes after .png
    parts = [f"# {study}", *map(writers.markdown, made)]
    parts += [f"![{stem.replace('_', ' ')}]({name})" for stem, name in chosen.items()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _plain(value: Any) -> Any:
    """JSON has no infinity and no NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
