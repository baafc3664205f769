"""Do the tables on disk still say what the ledger says? Each is made again and compared cell by cell."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path

from rnnbench.errors import UserError
from rnnbench.report.compose import WRITERS, file_stem
from rnnbench.report.results import Result, read
from rnnbench.report.tables.training import tables


def check(paths: list[Path], out: Path | None = None) -> dict[Path, list[str]]:
    """Compare every table file of the reports of the studies below some folders with what their ledgers give.

    Headers and cells are compared; captions and footnotes are not, for they name the folder as one called it.

    Args:
        paths: Runs folders, studies' folders or runs' folders.
        out: Where the reports lie, if not in <study folder>/report/: in out/<study>/.

    Returns:
        For each table file its differences, a line each; none of them means that it is right.

    Raises:
        UserError: No result below the folders, or no table on disk.
    """
    studies: dict[Path, list[Result]] = {}
    for result in read(paths):
        studies.setdefault(result.folder.parent, []).append(result)
    checked: dict[Path, list[str]] = {}
    for folder, results in studies.items():
        target = folder / "report" if out is None else out / folder.name
        if there := {path for suffix in WRITERS for path in target.glob(f"table*.{suffix}")}:
            checked |= _study(target, there, results)
    if not checked:
        raise UserError(
            f"no table on disk to check below {', '.join(map(str, paths))}; write one by `rnnbench report`."
        )
    return checked


def _study(target: Path, there: set[Path], results: Sequence[Result]) -> dict[Path, list[str]]:
    """Every table of a study in the formats that there are."""
    made = tables(results)
    suffixes = {path.suffix[1:] for path in there}
    texts = {target / f"{file_stem(table, made)}.{s}": WRITERS[s](table) for table in made for s in suffixes}
    found: dict[Path, list[str]] = {}
    for path in sorted(there | {*texts}):
        if path not in texts:
            found[path] = [f"{path}: the ledger gives no such table"]
        elif path not in there:
            found[path] = [f"{path}: the ledger gives it, but it is not there"]
        else:
            found[path] = _differences(path, path.read_text(encoding="utf-8"), texts[path])
    return found


def _differences(path: Path, kept: str, made: str) -> list[str]:
    """A line for each cell that differs, or one on the rows where their number does."""
    cells = CELLS[path.suffix]
    old, new = cells(kept), cells(made)
    if len(old) != len(new):
        return [f"{path}: {len(old) - 1} rows on disk, {len(new) - 1} from the ledger"]
    out = []
    for number, (before, after) in enumerate(zip(old, new, strict=True)):
        for column, (one, two) in enumerate(zip_longest(before, after, fillvalue="nothing")):
            if one != two:
                name = new[0][column] if number and column < len(new[0]) else f"column {column + 1}"
                row = f"row {number} ({', '.join(after[:2])})" if number else "header"
                out.append(f'{path}: {row}, {name}: "{one}" on disk, "{two}" from the ledger')
    return out


def _markdown_cells(text: str) -> list[list[str]]:
    rows = [line for line in text.splitlines() if line.startswith("|") and not set(line) <= set("|:-")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def _csv_cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def _latex_cells(text: str) -> list[list[str]]:
    rows = [line.removesuffix(r"\\") for line in text.splitlines() if line.endswith(r"\\")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)&", row)] for row in rows]


CELLS: dict[str, Callable[[str], Sequence[Sequence[str]]]] = {
    ".md": _markdown_cells,
    ".csv": _csv_cells,
    ".tex": _latex_cells,
}
