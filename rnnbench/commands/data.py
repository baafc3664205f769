"""``rnnbench data list|info|fetch``: the data sets."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, get_type_hints

from rnnbench.commands.arguments import Parser, read_scalar
from rnnbench.commands.listing import print_rows
from rnnbench.errors import UserError, unknown

if TYPE_CHECKING:
    from rnnbench.console import Console


def main(argv: Sequence[str]) -> int:
    """List the data sets, look into one, or download; status 2 where a download failed."""
    parser = Parser(prog="rnnbench data", description="The data sets.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|info|fetch", parser_class=Parser)
    lister = verbs.add_parser("list", help="all of them", prog="rnnbench data list")
    looker = verbs.add_parser("info", help="one of them: sizes, a sample, reference lines", prog="rnnbench data info")
    looker.add_argument("name", nargs="?", help="a data set's name")
    _add_data_options(looker)
    for one in (lister, looker):
        one.add_argument("--json", action="store_true", help="print JSON")
    fetcher = verbs.add_parser("fetch", help="download one of them, or all", prog="rnnbench data fetch")
    fetcher.add_argument("name", help="a data set's name, a file's, or all")
    arguments = vars(parser.parse_args(argv))
    verb = arguments.pop("verb")
    if verb == "list":
        return _list(arguments["json"])
    if verb == "fetch":
        return _fetch(arguments["name"])
    return _info(arguments.pop("json"), arguments)


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    """What decides a data set, as `rnnbench train` calls it, and without the ``data.`` too."""
    from docstring_parser import parse

    from rnnbench.config import DataConfig, check_value

    hints = get_type_hints(DataConfig)
    for told in parse(DataConfig.__doc__ or "").params:
        name = told.arg_name
        if name == "name":
            continue

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
    from rnnbench.commands.layout import lines
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


def _fetch(name: str) -> int:
    from rnnbench.data.catalog import DATASETS
    from rnnbench.data.download import fetch
    from rnnbench.data.download.files import FILES

    if name in DATASETS:
        item = DATASETS[name]
        if not item.files:
            raise UserError(f'data set "{name}" has nothing to download: {item.origin}.')
        files = item.files
    elif name in ("all", *FILES):
        files = tuple(FILES) if name == "all" else (name,)
    else:
        raise unknown("data set or file", name, ("all", *(n for n in DATASETS if DATASETS[n].files), *FILES))
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
