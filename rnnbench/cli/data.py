"""``rnnbench data list|info|check|fetch``: the data sets, and files of the user's."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from rnnbench.cli.arguments import Parser
from rnnbench.cli.output import print_rows
from rnnbench.config.yaml_files import read_scalar
from rnnbench.errors import UserError, unknown

if TYPE_CHECKING:
    from rnnbench.data.series.windows import SeriesData
    from rnnbench.data.text.streams import TextData
    from rnnbench.system.console import Console

#: What the leak test says where it finds nothing.
NO_LEAK = "none: with other val and test parts, training batches, vocabulary and scaler stay what they are"


def main(argv: Sequence[str]) -> int:
    """List the data sets, look into one, check a file, download; status 1 for a leak, 2 where a download failed."""
    parser = Parser(prog="rnnbench data", description="The data sets.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|info|check|fetch", parser_class=Parser)
    lister = verbs.add_parser("list", help="all of them", prog="rnnbench data list")
    looker = verbs.add_parser("info", help="one of them: sizes, a sample, reference lines", prog="rnnbench data info")
    looker.add_argument("name", nargs="?", default=argparse.SUPPRESS, help="a data set's name")
    checker = verbs.add_parser(
        "check", help="a file of yours: what is read, what looks wrong", prog="rnnbench data check"
    )
    checker.add_argument("path", nargs="?", default=argparse.SUPPRESS, metavar="FILE", help="a text or a table")
    checker.add_argument("--png", metavar="FILE", help="where the picture goes; NAME-check.png here where not given")
    for one in (looker, checker):
        _add_data_options(one)
    for one in (lister, looker, checker):
        one.add_argument("--json", action="store_true", help="print JSON")
    fetcher = verbs.add_parser("fetch", help="download one of them, or all", prog="rnnbench data fetch")
    fetcher.add_argument("name", help="a data set's name, a file's, or all")
    arguments = vars(parser.parse_args(argv))
    verb = arguments.pop("verb")
    if verb == "list":
        return _list(arguments["json"])
    if verb == "fetch":
        return _fetch(arguments["name"])
    if verb == "check":
        return _check(arguments.pop("json"), arguments.pop("png"), arguments)
    return _info(arguments.pop("json"), arguments)


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    """What decides a data set, as `rnnbench train` calls it, and without the ``data.`` too."""
    from docstring_parser import parse

    from rnnbench.config import DataConfig, check_value

    hints = get_type_hints(DataConfig)
    for told in parse(DataConfig.__doc__ or "").params:
        name = told.arg_name

        def read(text: str, hint: Any = hints[name], name: str = f"data.{name}") -> Any:
            with suppress(UserError):
                return check_value(text, hint, name)
            return check_value(read_scalar(name, text), hint, name)

        said = (told.description or "").replace("\n", " ")
        option: dict[str, Any] = {"dest": name, "type": read, "default": argparse.SUPPRESS, "help": said}
        if hints[name] is bool:
            option |= {"nargs": "?", "const": True, "metavar": "true|false"}
        parser.add_argument(f"--{name}", f"--data.{name}", **option)


def _info(as_json: bool, values: dict[str, Any]) -> int:
    from rnnbench.cli.output import lines
    from rnnbench.config import DataConfig
    from rnnbench.data.describe import about, info

    data = DataConfig(**values)
    if as_json:
        print(json.dumps(info(data)))
        return 0
    told, source = about(data)
    print("\n".join(lines(told)), flush=True)  # the references may take their time
    print("\n".join(lines({"references": source.references()})))
    return 0


def _check(as_json: bool, png: str | None, values: dict[str, Any]) -> int:
    """What `rnnbench.data.check.check` found, on one screen, and a picture."""
    if "path" not in values:
        raise UserError("data check needs a file of yours: rnnbench data check FILE.")
    from rnnbench.cli.output import sections
    from rnnbench.config import DataConfig
    from rnnbench.data.check import check

    data = DataConfig(**values)
    found, source = check(data)
    path = Path(png or f"{data.label}-check.png")
    if as_json:
        print(json.dumps({**found, "picture": _draw(source, path)}))
    else:
        print("\n".join(sections({**found, "leaks": found["leaks"] or [NO_LEAK]})), flush=True)
        print("\n".join(sections({"looks wrong": [], "picture": [_draw(source, path)]})))
    return 1 if found["leaks"] else 0


def _draw(source: SeriesData | TextData, path: Path) -> str:
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
        item = DATA_SETS[name]
        if not item.files:
            raise UserError(f'data set "{name}" has nothing to download: {item.origin}.')
        files = item.files
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


def _list(as_json: bool) -> int:
    from rnnbench.data.describe import listing

    print_rows(listing(), show, as_json)
    return 0


def show(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """What is to be had, and whether it is here; below, what each is, where it comes from and its licence."""
    from rich.table import Table
    from rich.text import Text

    from rnnbench.data.download.files import megabytes

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("data set", "kind", "shape", "download", "here"):
        table.add_column(name, no_wrap=name != "here")
    notes = Table(box=None, header_style="bold", pad_edge=False)
    notes.add_column("data set", no_wrap=True)
    notes.add_column("what it is, where it comes from, its licence")
    for row in rows:
        size = megabytes(row["download_bytes"]) if row["download_bytes"] else ""
        table.add_row(*map(Text, (row["name"], row["kind"], row["shape"], size, row["to_do"] or "here")))
        notes.add_row(
            Text(row["name"]), Text.assemble(row["summary"], "\n", (f"{row['origin']}; {row['licence']}", "dim"))
        )
    console.print(table)
    console.print()
    console.print(notes)
