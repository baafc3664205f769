"""``rnnbench data list|info``: the data sets."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rnnbench.commands.arguments import Parser


def main(argv: Sequence[str]) -> int:
    """List the data sets, or look into one."""
    parser = Parser(prog="rnnbench data", description="The data sets.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|info", parser_class=Parser)
    lister = verbs.add_parser("list", help="all of them", prog="rnnbench data list")
    looker = verbs.add_parser("info", help="one of them: sizes, a sample, reference lines", prog="rnnbench data info")
    looker.add_argument("name", nargs="?", help="a data set's name")
    looker.add_argument("--path", help="your own text file, or a CSV of numbers")
    looker.add_argument("--column", help="the column of a CSV")
    for one in (lister, looker):
        one.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(argv)
    if arguments.verb == "list":
        return _list(arguments.json)
    from rnnbench.config import DataConfig
    from rnnbench.data.describe import info

    facts = info(DataConfig(name=arguments.name, path=arguments.path, column=arguments.column))
    if arguments.json:
        print(json.dumps(facts, ensure_ascii=False))
    else:
        width = max(map(len, facts))
        for key, value in facts.items():
            shown = f"{value:.5g}" if isinstance(value, float) else str(value)
            print(f"{key:<{width}}  {shown}")
    return 0


def _list(as_json: bool) -> int:
    from rnnbench.data.describe import listing

    rows = listing()
    if as_json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        here = "here" if row["here"] else "not installed"
        print(f"{row['name']:<16}{row['kind']:<11}{row['shape']:<14}{here}")
        print(f"{'':<16}{row['summary']}\n{'':<16}{row['origin']}; {row['licence']}")
    return 0
