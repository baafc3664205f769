"""``rnnbench train``: one Run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.cli.arguments import Parser, add_fields, add_output_options
from rnnbench.config import Run
from rnnbench.config.plain import folder_name, read_yaml
from rnnbench.config.run import merge, nested
from rnnbench.errors import UserError, told
from rnnbench.system.machine import check_at_once

if TYPE_CHECKING:
    from rnnbench.data.source import Source


def main(argv: Sequence[str]) -> int:
    """Parse a Run, train it, print what came out; status 1 where it was found to have failed before."""
    run, options = parse(argv)
    if options["print_config"]:
        import yaml

        print(yaml.safe_dump(run.to_dict(), sort_keys=False), end="")
        return 0
    import signal

    from rnnbench.runs.run_directory import read_result
    from rnnbench.system import signals

    with signals.armed(signal.SIGINT, signal.SIGTERM):
        try:
            result = _train(run, options)
        except signals.Stopped as stopped:
            where = f" at step {stopped.step}" if stopped.step is not None else ""
            print(f"rnnbench: interrupted{where}; the same command resumes it.", file=sys.stderr)
            return stopped.status
    if not result:  # one of torchrun's processes that is not the first
        return 0
    folder = Path(options["out"]) / options["study"] / run.id
    if options["json"]:
        print(json.dumps(read_result(folder)))
    else:
        show(result, folder)
    return 0 if result["status"] in ("done", "diverged") else 1  # a divergence is a result too


def _train(run: Run, options: dict[str, Any]) -> dict[str, Any]:
    """Train with a word on the terminal on how far it is."""
    from rich.markup import escape

    from rnnbench.runs import Busy, check_root
    from rnnbench.system.console import Console
    from rnnbench.tracking import mode_from_environment

    root = Path(options["out"])
    check_root(root)
    from rnnbench.training import train

    console = Console(stderr=True)
    label = escape(run.label)  # a file's name may look like rich's markup
    with console.status(f"{label}: starting", spinner="dots") as status:

        def progress(done: int, total: int, what: str) -> None:
            status.update(f"{label}: {what}, step {done} of {total}")

        try:
            return train(
                run, root, options["study"], mode_from_environment(options["wandb"]), progress, options["threads"],
                micro_batches=options["micro_batches"], devices=options["devices"],
                look=None if options["json"] else _show_data,
            )  # fmt: skip
        except Busy as error:
            raise UserError(f"{error}; wait for it, or change the seed.") from None
        except Exception as error:
            from rnnbench.throughput.memory import out_of_memory

            if not out_of_memory(error):
                raise
            parts = f"--micro_batches {2 * options['micro_batches']}"
            raise UserError(f"not enough memory ({told(error)}); try {parts}, or a smaller run.") from None


def _show_data(source: Source) -> None:
    """Of a user's file: how it was read, and what looks wrong, before it is trained on."""
    from rnnbench.cli.output import sections
    from rnnbench.data.check import findings

    if notes := findings(source):
        print("\n".join(sections(notes)), flush=True)


def show(result: dict[str, Any], folder: Path) -> None:
    """The result of one run, for a person."""
    from rich.markup import escape
    from rich.table import Table

    from rnnbench.catalog import data_set
    from rnnbench.report.references import not_better
    from rnnbench.report.task_families import TASK_FAMILIES
    from rnnbench.system.console import Console

    console = Console(highlight=False)
    environment = result["environment"]
    if result["status"] not in ("done", "diverged"):
        what = f"{result['id']} {result['status']}: {result.get('error', '')}; `rnnbench runs rm` has it tried anew."
        console.print(what, markup=False, soft_wrap=True)
        return
    console.print(
        f"[bold]{escape(result['id'])}[/]  {result['status']}  in {result['seconds']:.1f} s  "
        f"(backend {environment['backend']}, {environment['device_name']}, {environment['threads']} thread)"
    )
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in result["metrics"].items():
        table.add_row(key, f"{value:.6g}" if isinstance(value, float) else str(value))
    console.print(table)
    if result["status"] == "diverged":
        verdict: str | None = (
            "diverged: a loss is not finite, or the training part's clearly larger than before training"
        )
    else:
        verdict = not_better(TASK_FAMILIES[data_set(result["run"]["data"]["name"]).kind], result["metrics"])
    for line in filter(None, (verdict, f"in {folder}")):
        console.print(line, markup=False, soft_wrap=True)


def parse(argv: Sequence[str]) -> tuple[Run, dict[str, Any]]:
    """Command-line flags over a ``--config`` file over the defaults, as a Run and the options that are not its part.

    Raises:
        UserError: anything that is not a Run.
    """
    parser = Parser("train", "Train one run and measure it.", "result.json instead of a table", cell=True,
                    usage="rnnbench train [--OPTION VALUE …]")  # fmt: skip
    parser.add_argument("--config", metavar="FILE", help="a YAML file with (part of) a Run; flags go first")
    parser.add_argument("--print_config", action="store_true", help="print the Run as YAML and stop")
    parser.add_argument("--study", default="single", help="folder below the runs folder, and W&B group (single)")
    parser.add_argument("--threads", type=int, default=1, help="intra-op threads (1)")
    parser.add_argument("--devices", type=int, default=1, help="GPUs (on a CPU: processes) that share every batch (1)")
    parser.add_argument(
        "--micro_batches", type=int, default=1, help="parts of a batch to take in turn, where memory is short (1)"
    )
    add_output_options(parser)
    parser.add_argument(
        "--cell", metavar="NAME", default=argparse.SUPPRESS,
        help="see `rnnbench cells`, or FILE.py:CLASS of yours; its options: --cell.OPTION VALUE (lstm)",
    )  # fmt: skip
    add_fields(parser, Run, "", skip=("cell",))
    values = vars(parser.parse_args(argv))
    config, *names = ("config", "print_config", "study", "threads", "devices", "micro_batches", "json", "out", "wandb")
    below, options = _read_config(values.pop(config)), {name: values.pop(name) for name in names}
    for count in ("threads", "devices", "micro_batches"):
        if options[count] < 1:
            raise UserError(f"--{count} must be at least 1, got {options[count]}.")
    check_at_once("--threads", options["threads"])
    folder_name(options["study"], "--study")
    return Run.from_dict(merge(below, nested(values))), options


def _read_config(name: str | None) -> dict[str, Any]:
    """The values in the file named by ``--config``, which must make a Run.

    Or written out there, ``--config={"data": {"seq_len": 16}}``, as an agent of W&B's sweeps hands them over.
    """
    if name is None:
        return {}
    import yaml

    inline = name.lstrip().startswith("{")
    try:
        values = read_yaml(name if inline else Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the config {name}: {getattr(error, 'strerror', None) or error}.") from None
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f" (line {place.line + 1})" if place is not None else ""
        why = getattr(error, "problem", None) or str(error)
        raise UserError(f"the config {name} is not YAML{where}: {why}.") from None
    values = {} if values is None else values
    Run.from_dict(values)
    return dict(values)
