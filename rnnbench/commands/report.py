"""``rnnbench report RUNS``: tables and figures from the ledger alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rnnbench.commands.arguments import Parser

_FORMATS = {"md": {"md"}, "csv": {"csv"}, "tex": {"tex"}, "figures": {"png", "svg"}}


def main(argv: Sequence[str]) -> int:
    """Read, print, write."""
    parser = Parser(prog="rnnbench report", description="Tables and figures of finished runs.")
    parser.add_argument("runs", nargs="+", type=Path, help="a runs folder, a study's folder or single runs' folders")
    parser.add_argument("--format", default="all", choices=[*_FORMATS, "all"], help="what to write (default: all)")
    parser.add_argument("--out", type=Path, help="where to write (default: a folder report/ beside each study's runs)")
    parser.add_argument("--json", action="store_true", help="print the tables as JSON")
    arguments = parser.parse_args(argv)

    from rich.console import Console

    from rnnbench.ledger import finite
    from rnnbench.report import report

    formats = set().union(*_FORMATS.values()) if arguments.format == "all" else _FORMATS[arguments.format]
    shown = report(arguments.runs, formats, arguments.out, None if arguments.json else Console())
    if arguments.json:
        print(
            json.dumps(
                finite({study: {**item, "files": [str(f) for f in item["files"]]} for study, item in shown.items()})
            )
        )
    return 0
