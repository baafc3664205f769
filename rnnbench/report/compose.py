"""The report of each study: its tables in the terminal and on disk, its figures, a page with both; and their check."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.errors import UserError, unknown
from rnnbench.report.panels import panels
from rnnbench.report.results import Result, by_study, read
from rnnbench.report.statistics import group
from rnnbench.report.tables import writers
from rnnbench.report.tables.comparisons import AGAINST, named
from rnnbench.report.tables.solvable import searched
from rnnbench.report.tables.table import Row, Table
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
    paths: list[Path], formats: set[str], out: Path | None, console: Console | None, against: str | None = None
) -> dict[str, dict[str, Any]]:
    """Report every study below the given runs folders, studies' folders or runs' folders.

    Args:
        formats: What to write, of `FORMATS`; none writes nothing.
        out: Write into out/<study>/; None: into <study folder>/report/.
        console: Where the tables are printed; None prints nothing.
        against: A cell that is compared with each other one, in a table that is printed however long it is.

    Returns:
        {study: {"table": raw rows, "comparisons": those of pairs of cells, "files": paths of what was written}}; an
        infinity is "inf", as in result.json.
    """
    for name in sorted(formats - set(FORMATS)):
        raise unknown("format", name, FORMATS)
    everything = read(paths)
    if against is not None:
        _check_cell(everything, against)
    timed = timings([result for result in everything if result.kind == "timing"])
    answer: dict[str, dict[str, Any]] = {}
    for folder, results in by_study(everything).items():
        if folder.name in answer:
            raise UserError(f'two study folders are named "{folder.name}"; report one of them at a time.')
        study_tables = tables(results, against)
        target = _target(folder, out)
        with friendly(target):
            files = _write(folder.name, results, timed, study_tables, formats, target)
        if console is not None:
            for table in study_tables:
                if len(table.rows) <= LINES or table.part in ("", AGAINST):
                    console.print(writers.rich_table(table, console.width))
                    console.print()
            pages = [f"to open in a browser: {path}" for path in files if path.suffix == ".html"]
            for line in [f"tables and figures: {target}", *pages] if files else []:
                console.print(line, highlight=False, soft_wrap=True)
        answer[folder.name] = {
            "table": [_plain(row) for table in study_tables if not table.part for row in table.rows],
            "comparisons": [_plain(row) for table in study_tables if table.part for row in table.rows],
            "files": [str(path) for path in files],
        }
    return answer


def usual() -> set[str]:
    """What is written unless asked otherwise: all but PDF; the page only where its figures can be drawn."""
    return {*FORMATS} - {"pdf"} - ({"html"} if find_spec("plotly") is None else set())


def check(paths: list[Path], out: Path | None = None, against: str | None = None) -> dict[Path, list[str]]:
    """For each table file of the studies below some folders how it differs from what their results give, a line each.

    Headers and cells are compared; captions and footnotes are not, for they name the folder as one called it.

    out, against: As of `report`.
    """
    checked: dict[Path, list[str]] = {}
    for folder, results in by_study(read(paths)).items():
        target = _target(folder, out)
        on_disk = {path for suffix in WRITERS for path in target.glob(f"table*.{suffix}")}
        if not on_disk:
            continue
        study_tables = tables(results, against)
        suffixes = {path.suffix[1:] for path in on_disk}
        texts = {target / f"{_stem(t, study_tables)}.{s}": WRITERS[s](t) for t in study_tables for s in suffixes}
        for path in sorted(on_disk | {*texts}):
            if path not in texts:
                checked[path] = [f"{path}: the results give no such table"]
            elif path not in on_disk:
                checked[path] = [f"{path}: the results give it, but it is not there"]
            else:
                checked[path] = _differences(path, path.read_text(encoding="utf-8"), texts[path])
    if not checked:
        where = ", ".join(map(str, paths))
        raise UserError(f"no table on disk to check below {where}; write one by `rnnbench report`.")
    return checked


def _check_cell(results: Sequence[Result], cell: str) -> None:
    groups = group([result for result in results if result.kind == "train"])
    if not named(groups, cell):
        raise unknown("cell of these runs", cell, sorted({g.cell for g in groups}))
    if len({g.series for g in groups} - named(groups, cell)) == 0:
        raise UserError(f"there are runs of {cell} alone, and none to compare it with; train another cell.")


def _differences(path: Path, on_disk: str, from_results: str) -> list[str]:
    """A line for each cell that differs, or one on the rows where their number does."""
    old, new = _cells(on_disk, path.suffix), _cells(from_results, path.suffix)
    if len(old) != len(new):
        return [f"{path}: {len(old) - 1} rows on disk, {len(new) - 1} from the results"]
    out = []
    for number, (before, after) in enumerate(zip(old, new, strict=True)):
        for column, (one, two) in enumerate(zip_longest(before, after, fillvalue="nothing")):
            if one != two:
                name = new[0][column] if number and column < len(new[0]) else f"column {column + 1}"
                row = f"row {number} ({', '.join(after[:2])})" if number else "header"
                out.append(f'{path}: {row}, {name}: "{one}" on disk, "{two}" from the results')
    return out


def _cells(text: str, suffix: str) -> list[list[str]]:
    """The cells of a table file, its header first."""
    if suffix == ".csv":
        return list(csv.reader(io.StringIO(text)))
    if suffix == ".md":
        rows = [line[1:-1] for line in text.splitlines() if line.startswith("|") and not set(line) <= set("|:-")]
        return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)] for row in rows]
    rows = [line.removesuffix(r"\\") for line in text.splitlines() if line.endswith(r"\\")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)&", row)] for row in rows]


def _target(folder: Path, out: Path | None) -> Path:
    return folder / "report" if out is None else out / folder.name


def _stem(table: Table, study_tables: Sequence[Table]) -> str:
    """The name of a table's files, without their suffix."""
    alone = sum(not other.part for other in study_tables) == 1
    return "-".join(filter(None, ("table", table.part if alone else table.name)))


def _plain(row: Row) -> dict[str, Any]:
    """A row's numbers for JSON, which has no infinity and no NaN."""
    plain = dict(row.raw)
    for name, value in plain.items():
        if isinstance(value, float) and not math.isfinite(value):
            plain[name] = None if math.isnan(value) else str(value)
    return plain


def _write(
    study: str,
    results: Sequence[Result],
    timed: Sequence[Timed],
    study_tables: Sequence[Table],
    formats: set[str],
    out: Path,
) -> list[Path]:
    if not formats:
        return []
    out.mkdir(parents=True, exist_ok=True)
    files = []
    for table in study_tables:
        for suffix in [suffix for suffix in WRITERS if suffix in formats]:
            files.append(out / f"{_stem(table, study_tables)}.{suffix}")
            files[-1].write_text(WRITERS[suffix](table), encoding="utf-8")
    drawn = _figures(results, timed, out, formats) if formats & FIGURES else []
    if "md" in formats:
        files.append(out / "report.md")
        files[-1].write_text(_markdown_page(study, study_tables, drawn), encoding="utf-8")
    if "html" in formats:
        from rnnbench.report.page import write_page

        files.append(write_page(study, results, timed, study_tables, out))
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
        train = panel.train
        if panel.search:
            searches, train = searched(train)
            drawn += solvable_figure(searches, out, formats)
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
        drawn += timing_figures(panel.timing, out, formats, panel.ending)
    return drawn + attention_figure(decoded, out, formats)


def _markdown_page(study: str, study_tables: Sequence[Table], drawn: Sequence[Path]) -> str:
    """Markdown with the tables and each figure once (SVG where there is one)."""
    chosen = {path.stem: path.name for path in sorted(drawn) if path.suffix != ".pdf"}  # .svg comes after .png
    parts = [f"# {study}", *map(writers.markdown, study_tables)]
    parts += [f"![{stem.replace('_', ' ')}]({name})" for stem, name in chosen.items()]
    return "\n\n".join(part.strip() for part in parts) + "\n"
