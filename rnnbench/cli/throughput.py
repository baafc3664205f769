"""``rnnbench throughput``: how fast cells run here, on which implementation, and how far from the device's ceilings."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from rnnbench.cli.arguments import Parser, add_output_options, cell_list, split_list
from rnnbench.errors import UserError

if TYPE_CHECKING:
    from rnnbench.config.timing import Timing
    from rnnbench.system.console import Console

#: The ledger's folder for what was timed from the command line.
STUDY = "throughput"


def main(argv: Sequence[str]) -> int:
    """Measure each size, print the tables; status 1 where nothing could be timed."""
    arguments = _parser().parse_args(argv)
    jobs = _jobs(arguments)
    root = Path(arguments.out)

    from rnnbench.runs import check_root

    check_root(root)
    results = _measured(jobs, root, arguments.wandb)
    if arguments.json:
        print(json.dumps(results))
    else:
        _show(jobs, root, results)
    return 0 if _timed(results) else 1


def _timed(results: Sequence[dict[str, Any]]) -> bool:
    return any(key.endswith("_ms") for result in results for key in result["metrics"])


def _parser() -> Parser:
    from rnnbench.config.timing import Dtype, Timing

    default = Timing()
    parser = Parser(
        prog="rnnbench throughput",
        description="Time cells on every backend that can run them, each held to a numerics certificate first.",
    )
    sizes = {"seq_len": "length T", "batch_size": "sequences B at once", "hidden_size": "width H"}
    parser.add_argument(
        "--cell", default="rnn,lstm,gru", help='by comma, options in brackets: "gru,lstm(forget_bias=3)" (%(default)s)'
    )
    parser.add_argument("--backend", help="backends and peers by comma, or all; else those that auto chooses from")
    for name, what in sizes.items():
        parser.add_argument(f"--{name}", help=f"{what}, or several by comma ({getattr(default, name)})")
    parser.add_argument("--input_size", type=int, help="width I of the input (H)")
    parser.add_argument("--num_layers", type=int, default=default.num_layers, help=f"layers ({default.num_layers})")
    parser.add_argument("--bidirectional", action="store_true", help="a second cell a layer reads backwards")
    parser.add_argument("--decode", action="store_true", help="time one symbol after the other, the state handed on")
    parser.add_argument("--dtype", default=default.dtype, choices=get_args(Dtype), help="number format (%(default)s)")
    parser.add_argument("--samples", type=int, default=default.samples, help=f"timed turns each ({default.samples})")
    parser.add_argument(
        "--seed",
        type=int,
        default=default.seed,
        help="of weights and inputs (0); another one times anew",
    )
    parser.add_argument("--device", default=default.device, choices=["auto", "cpu", "cuda"], help="where (auto)")
    parser.add_argument("--json", action="store_true", help="print a JSON list, the result of each size")
    add_output_options(parser)
    return parser


def _jobs(arguments: argparse.Namespace) -> list[Timing]:
    """One for each size."""
    from rnnbench.config.timing import Timing

    default = Timing(batch_size=1 if arguments.decode else Timing().batch_size)
    sizes = [_sizes(arguments, name, getattr(default, name)) for name in ("seq_len", "batch_size", "hidden_size")]
    return [
        Timing(
            cells=tuple(cell_list(arguments.cell)),
            backends=tuple(split_list(arguments.backend)) if arguments.backend is not None else (),
            seq_len=seq_len,
            batch_size=batch_size,
            hidden_size=hidden_size,
            input_size=arguments.input_size,
            num_layers=arguments.num_layers,
            bidirectional=arguments.bidirectional,
            samples=arguments.samples,
            dtype=arguments.dtype,
            what="decoding" if arguments.decode else "training",
            seed=arguments.seed,
            device=arguments.device,
        )
        for seq_len, batch_size, hidden_size in itertools.product(*sizes)
    ]


def _sizes(arguments: argparse.Namespace, name: str, default: int) -> list[int]:
    text = getattr(arguments, name)
    if text is None:
        return [default]
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
    if _timed(results):
        for table in tables(read([root / STUDY / job.id for job in jobs])):
            console.print(rich_table(table, console.width))
            console.print()
    _explain(console, results)
    console.print(f"ledger: {root / STUDY}", highlight=False, soft_wrap=True)


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
