"""``rnnbench certify TARGET``: is the recurrent layer on this machine right?"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.cli.arguments import Parser, split_list
from rnnbench.errors import UserError, unknown

if TYPE_CHECKING:
    from rnnbench.conformance.certified import Row

_ABOUT = """Check anything that runs over time against float64: outputs, last states and every gradient, over a grid of
sizes, number formats and lengths; whole and in chunks, of unlike lengths, twice."""
_TARGETS = """torch:LSTM, torch:GRU, torch:RNN, torch:associative_scan, torch:associative_scan_pointwise, or torch:scan
(minutes: torch compiles it at each call); a cell, CELL/BACKEND or an external implementation; or FILE.py:NAME, a class
or a function of (input_size, hidden_size) that makes an nn.Module, which maps x (B, T, I), or x and a state, to y, or y
and the last state; or a function of (x, state, weights), with NAME_weights(input_size, hidden_size) in the same file;
NAME_reference, where there is one, is taken for right"""


def main(argv: Sequence[str]) -> int:
    """Print the worst of each quantity, write it all; status 1, and a line for each quantity that is wrong."""
    parser = Parser("certify", _ABOUT, "a JSON object, what is written to the file")
    parser.add_argument("target", metavar="TARGET", help=_TARGETS)
    parser.add_argument("--device", default="cpu", choices=["auto", "cpu", "cuda"], help="where it runs (cpu)")
    parser.add_argument("--dtypes", metavar="LIST", help="number formats by comma (float32,bfloat16,float64)")
    parser.add_argument("--lengths", metavar="LIST", help="time steps T by comma, in place of the preset's")
    parser.add_argument("--preset", default="quick", choices=["quick", "full"], help="sizes (quick)")
    parser.add_argument("--out", default="certify", metavar="FOLDER", help="for TARGET.json and TARGET.html (certify)")
    arguments = parser.parse_args(argv)
    lengths = _lengths(arguments.lengths)
    folder = Path(arguments.out)

    from rnnbench.conformance.certified import failures, worst
    from rnnbench.conformance.certify import CHECKS, DTYPES, certify, grid
    from rnnbench.conformance.targets import find_targets
    from rnnbench.report.page.certified import certified_page
    from rnnbench.runs import check_root, finite, write_atomic
    from rnnbench.system import machine
    from rnnbench.system.console import Console
    from rnnbench.throughput.contestant import implementations

    dtypes = list(DTYPES) if arguments.dtypes is None else split_list(arguments.dtypes)
    for name in dtypes:
        if name not in DTYPES:
            raise unknown("number format", name, DTYPES)
    machine.prepare()
    import torch

    device = machine.resolve_device(arguments.device)
    targets = find_targets(arguments.target, implementations(), torch.device(device))
    check_root(folder)
    with Console(stderr=True).status("starting", spinner="dots") as status:

        def progress(done: int, total: int, what: str) -> None:
            status.update(f"{what}, {done} of {total}")

        thorough = arguments.preset == "full" or lengths is not None
        rows, notes = certify(grid(targets, arguments.preset, lengths), dtypes, device, thorough, progress)
    wrong = failures(rows)
    result: dict[str, Any] = {
        "target": arguments.target,
        "ok": not wrong,
        "failures": wrong,
        "notes": notes,
        "settings": {"preset": arguments.preset, "lengths": lengths, "dtypes": dtypes, "device": device},
        "environment": {
            **machine.environment(device),
            **machine.facts(device),
            **machine.libraries(),
            **{target.package: version(target.package) for target in targets if target.package},
        },
        "checks": CHECKS,
        "worst": [row.plain() for row in worst(rows)],
        "rows": [row.plain() for row in rows],
    }
    result = finite(result)
    stem = re.sub(r"[^\w.()=-]+", "_", arguments.target)
    page = folder / f"{stem}.html"
    write_atomic(folder / f"{stem}.json", json.dumps(result).encode())
    write_atomic(page, certified_page(result).encode())
    if arguments.json:
        print(json.dumps(result))
    else:
        _show(arguments.target, rows, notes, page)
        print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


def _lengths(text: str | None) -> list[int] | None:
    if text is None:
        return None
    words = split_list(text)
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise UserError(f"--lengths must be positive numbers by comma, got {text!r}.")
    return [int(word) for word in words]


def _show(target: str, rows: Sequence[Row], notes: Sequence[str], page: Path) -> None:
    """The worst of each quantity, by number format, and where."""
    from rnnbench.cli.output import text_table
    from rnnbench.conformance.certified import worst
    from rnnbench.system.console import Console

    console = Console(highlight=False)
    for name in dict.fromkeys(row.implementation for row in rows):
        alike = [row for row in rows if row.implementation == name]
        dtypes = list(dict.fromkeys(row.dtype for row in alike))
        table = text_table("quantity", *dtypes, "worst at", "check", wrapped=("worst at",), right=dtypes)
        for row in worst(alike):
            figures = [
                max((one.figure for one in alike if (one.kind, one.dtype) == (row.kind, dtype)), default=None)
                for dtype in dtypes
            ]
            shown = ["" if figure is None else f"{figure:.2g}" for figure in figures]
            table.add_row(row.kind or "raised", *shown, str(row.size), row.check)
        sizes = len({row.size for row in alike})
        console.print(f"[bold]{name}[/]: {len(alike)} tensors compared at {sizes} sizes", soft_wrap=True)
        console.print(table)
    console.print("The largest error as a multiple of what is allowed: above 1 it is wrong.", soft_wrap=True)
    for note in notes:
        console.print(note, markup=False, soft_wrap=True)
    console.print(f"page: {page}", soft_wrap=True)
