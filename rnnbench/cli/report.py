"""``rnnbench report RUNS``: tables, figures and pages from the run directories alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rnnbench.cli.arguments import Parser
from rnnbench.errors import unknown

#: Names that stand for several formats.
SEVERAL = {"figures": {"svg", "png", "pdf"}, "all": {"md", "csv", "tex", "html", "svg", "png", "pdf"}}


def main(argv: Sequence[str]) -> int:
    """Read, print, write; or, with --check, read and compare."""
    parser = Parser(
        "report", "Tables, figures and pages of finished runs.", "the tables, or what --check found, as JSON"
    )
    parser.add_argument("runs", nargs="+", type=Path, help="a runs folder, a study's folder or single runs' folders")
    parser.add_argument(
        "--format",
        type=_formats,
        help="what to write: some of md,csv,tex,html,svg,png,pdf,figures,all (default: all but pdf; html, the page, "
        "only if plotly is installed)",
    )
    parser.add_argument("--out", type=Path, help="where to write (default: a folder report/ beside each study's runs)")
    parser.add_argument("--check", action="store_true", help="write nothing: do the tables there say what the runs do?")
    parser.add_argument("--against", metavar="CELL", help="compare this cell, yours say, with each other one")
    arguments = parser.parse_args(argv)
    if arguments.check:
        return _check(arguments.runs, arguments.out, arguments.json, arguments.against)

    from rnnbench.report import report, usual
    from rnnbench.runs import finite
    from rnnbench.system.console import Console

    formats = usual() if arguments.format is None else arguments.format
    console = None if arguments.json else Console()
    shown = report(arguments.runs, formats, arguments.out, console, arguments.against)
    if arguments.json:
        print(json.dumps(finite(shown)))
    return 0


def _formats(text: str) -> set[str]:
    out: set[str] = set()
    for name in text.split(","):
        if name not in SEVERAL["all"] | {*SEVERAL}:
            raise unknown("format", name, [*sorted(SEVERAL["all"]), *SEVERAL])
        out |= SEVERAL.get(name, {name})
    return out


def _check(runs: list[Path], out: Path | None, as_json: bool, against: str | None) -> int:
    """One line for each difference; 1 where there is one."""
    from rnnbench.report.compose import check

    checked = check(runs, out, against)
    differences = [difference for wrong in checked.values() for difference in wrong]
    if as_json:
        print(json.dumps({str(path): wrong for path, wrong in checked.items()}))
        return 1 if differences else 0
    for difference in differences:
        print(difference)
    count = f"{len(differences)} difference{'s' * (len(differences) > 1)}"
    verdict = count if differences else "every cell is what the runs give"
    print(f"{len(checked)} tables on disk: {verdict}.")
    return 1 if differences else 0
