"""``rnnbench data list|info|check|fetch``: the data sets, and files of the user's."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.cli.arguments import Parser, add_fields
from rnnbench.cli.output import lines, print_rows, sections, text_table
from rnnbench.config import DataConfig, from_dict
from rnnbench.errors import UserError, unknown

if TYPE_CHECKING:
    from rnnbench.system.console import Console

#: What the leak test says where it finds nothing.
NO_LEAK = "none: with other val and test parts, training batches, vocabulary and scaler stay what they are"


def main(argv: Sequence[str]) -> int:
    """List the data sets, look into one, check a file, download; status 1 for a leak, 2 where a download failed."""
    parser = Parser("data", "The data sets.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|info|check|fetch")
    verbs.add_parser("list", help="all of them", json="JSON")
    info = verbs.add_parser("info", help="one of them: sizes, a sample, baselines", json="JSON")
    check = verbs.add_parser("check", help="a file of yours: what is read, what looks wrong", json="JSON")
    check.add_argument("--png", metavar="FILE", help="where the picture goes; NAME-check.png here where not given")
    for one, name, about in ((info, "name", "a data set's name"), (check, "path", "a text or a table")):
        one.add_argument(f"data.{name}", nargs="?", default=argparse.SUPPRESS, metavar=name.upper(), help=about)
        add_fields(one, DataConfig, "", "data.")
    fetch = verbs.add_parser("fetch", help="download one of them, or all")
    fetch.add_argument("name", help="a data set's name, a file's, or all")
    arguments = vars(parser.parse_args(argv))
    if arguments["verb"] == "fetch":
        return _fetch(arguments["name"])
    if arguments["verb"] == "list":
        from rnnbench.data.describe import listing

        print_rows(listing(), show, arguments["json"])
        return 0
    values = {key.partition(".")[2]: value for key, value in arguments.items() if key.startswith("data.")}
    data = from_dict(DataConfig, values, "data.")
    if arguments["verb"] == "check":
        return _check(data, arguments["json"], arguments["png"])
    return _info(data, arguments["json"])


def _info(data: DataConfig, as_json: bool) -> int:
    from rnnbench.data.describe import about, info

    if as_json:
        print(json.dumps(info(data)))
        return 0
    facts, source = about(data)
    print("\n".join(lines(facts)), flush=True)  # the references may take their time
    print("\n".join(lines({"references": source.references()})))
    return 0


def _check(data: DataConfig, as_json: bool, png: str | None) -> int:
    """What `rnnbench.data.check.check` found, on one screen, and a picture."""
    if data.path is None:
        raise UserError("data check needs a file of yours: rnnbench data check FILE.")
    from rnnbench.data.check import check

    facts, source = check(data)
    path = Path(png or f"{data.label}-check.png")
    if as_json:
        print(json.dumps({**facts, "picture": _draw(source, path)}))
    else:
        print("\n".join(sections({**facts, "leaks": facts["leaks"] or [NO_LEAK]})), flush=True)
        print("\n".join(sections({"looks wrong": [], "picture": [_draw(source, path)]})))
    return 1 if facts["leaks"] else 0


def _draw(source: Any, path: Path) -> str:
    """The file's picture, by its `SeriesData` or `TextData`; returns where it is."""
    from rnnbench.data.series.windows import SeriesData
    from rnnbench.report.figures.user_data import draw_series, draw_symbols

    try:
        return str(draw_series(source, path) if isinstance(source, SeriesData) else draw_symbols(source, path))
    except OSError as error:
        raise UserError(
            f"the picture {str(path)!r} cannot be written ({error.strerror}); say where with --png."
        ) from None


def _fetch(name: str) -> int:
    from rnnbench.catalog import DATA_SETS
    from rnnbench.data.download import fetch
    from rnnbench.data.download.files import FILES

    if name in DATA_SETS:
        files = DATA_SETS[name].files
        if not files:
            raise UserError(f'data set "{name}" has nothing to download: {DATA_SETS[name].origin}.')
    elif name in ("all", *FILES):
        files = tuple(FILES) if name == "all" else (name,)
    else:
        raise unknown("data set or file", name, ("all", *(n for n in DATA_SETS if DATA_SETS[n].files), *FILES))
    status = 0
    for file in files:
        try:
            print(fetch(file), flush=True)
        except UserError as error:  # the others may still come
            print(f"rnnbench: error: {error}", file=sys.stderr)
            status = 2
    return status


def show(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """What is to be had, and whether it is here; below, what each is, where it comes from and its licence."""
    from rich.text import Text

    from rnnbench.data.download.files import megabytes

    table = text_table("data set", "kind", "shape", "download", "here", wrapped=("here",), gap=1)
    about = "what it is, where it comes from, its licence"
    notes = text_table("data set", about, wrapped=(about,))
    for row in rows:
        size = megabytes(row["download_bytes"]) if row["download_bytes"] else ""
        table.add_row(*map(Text, (row["name"], row["kind"], row["shape"], size, row["to_do"] or "here")))
        source = (f"{row['origin']}; {row['licence']}", "dim")
        notes.add_row(Text(row["name"]), Text.assemble(row["summary"], "\n", source))
    console.print(table, "", notes, sep="\n")
