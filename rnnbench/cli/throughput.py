"""``rnnbench throughput``: how fast cells run here, on which implementation, and how far from the device's ceilings."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.cli.arguments import Parser, add_fields, add_output_options, cell_list, split_list
from rnnbench.config.timing import Timing
from rnnbench.errors import UserError

if TYPE_CHECKING:
    from rnnbench.system.console import Console

#: The folder of the runs folder for what was timed from the command line.
STUDY = "throughput"
SIZES = {"seq_len": "length T", "batch_size": "sequences B at once", "hidden_size": "width H"}
#: Fields of a `Timing` that have flags of their own, or none.
SPECIAL = (*SIZES, "cells", "backends", "what", "warmup")


def main(argv: Sequence[str]) -> int:
    """Measure each size, print the tables; status 1 where nothing could be timed."""
    about = "Time cells on every backend that can run them, each after a correctness check."
    parser = Parser("throughput", about, "a JSON list, the result of each size")
    parser.add_argument("--cell", help='by comma, options in brackets: "gru,lstm(forget_bias=3)" (rnn,lstm,gru)')
    parser.add_argument("--backend", help="backends and externals by comma, or all; else those that auto chooses from")
    parser.add_argument("--decode", action="store_true", help="time one symbol after the other, the state handed on")
    for name, what in SIZES.items():
        parser.add_argument(f"--{name}", help=f"{what}, or several by comma ({getattr(Timing, name)})")
    add_fields(parser, Timing, "", skip=SPECIAL)
    add_output_options(parser)
    arguments = vars(parser.parse_args(argv))
    as_json, root, wandb = (arguments.pop(name) for name in ("json", "out", "wandb"))
    root, jobs = Path(root), _jobs(arguments)

    from rnnbench.runs import check_root

    check_root(root)
    results = _measured(jobs, root, wandb)
    timed = any(key.endswith("_ms") for result in results for key in result["metrics"])
    if as_json:
        print(json.dumps(results))
    else:
        _show(jobs if timed else [], root, results)
    return 0 if timed else 1


def _jobs(arguments: dict[str, Any]) -> list[Timing]:
    """One for each size."""
    sizes = {name: arguments.pop(name) for name in SIZES}
    cells, backends, decode = (arguments.pop(name) for name in ("cell", "backend", "decode"))
    if cells is not None:
        arguments["cells"] = cell_list(cells)
    if backends is not None:
        arguments["backends"] = split_list(backends)
    if decode:
        arguments["what"] = "decoding"
        sizes["batch_size"] = sizes["batch_size"] or "1"
    chosen = {name: _sizes(name, text) for name, text in sizes.items() if text is not None}
    return [
        Timing.from_dict(arguments | dict(zip(chosen, values, strict=True)))
        for values in itertools.product(*chosen.values())
    ]


def _sizes(name: str, text: str) -> list[int]:
    words = split_list(text)
    if not all(word.isdecimal() for word in words):
        raise UserError(f"--{name} must be a positive number, or several by comma, got {text!r}.")
    return [int(word) for word in words]


def _measured(jobs: Sequence[Timing], root: Path, wandb: str | None) -> list[dict[str, Any]]:
    from rnnbench.runs import Busy, finite
    from rnnbench.system.console import Console
    from rnnbench.throughput.measure import measure
    from rnnbench.tracking import mode_from_environment

    results = []
    with Console(stderr=True).status("starting", spinner="dots") as status:
        for job in jobs:

            def progress(done: int, total: int, what: str, job: Timing = job) -> None:
                status.update(f"{job.label}: {what}, {done} of {total}")

            try:
                result = measure(job, root, STUDY, mode_from_environment(wandb), progress)
            except Busy as error:
                raise UserError(f"{error}; wait for it, or change the seed.") from None
            results.append(finite(result))
    return results


def _show(jobs: Sequence[Timing], root: Path, results: Sequence[dict[str, Any]]) -> None:
    from rnnbench.report.results import read
    from rnnbench.report.tables.training import tables
    from rnnbench.report.tables.writers import rich_table
    from rnnbench.system.console import Console

    console = Console()
    for table in tables(read([root / STUDY / job.id for job in jobs])) if jobs else ():
        console.print(rich_table(table, console.width))
        console.print()
    _explain(console, results)
    console.print(f"runs folder: {root / STUDY}", highlight=False, soft_wrap=True)


def _explain(console: Console, results: Sequence[dict[str, Any]]) -> None:
    """What ran, and what did not and why; each once, however many sizes there are."""
    ran: dict[str, str] = {}
    refused: dict[str, dict[str, None]] = {}
    for result in results:
        for key, value in result["metrics"].items():
            name, _, what = key.rpartition("/")
            if what == "kernels" and f"{name}/refused" not in result["metrics"]:
                ran[name] = value
            elif what == "refused":
                refused.setdefault(value, {})[name] = None
    lines = [f"{name} ran {kernels}" for name, kernels in ran.items()]
    lines += [f"not timed: {', '.join(names)}: {reason}" for reason, names in refused.items()]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print()
