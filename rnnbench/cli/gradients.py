"""``rnnbench gradients``: how far the gradients of cells reach, as a table, in the terminal and as a picture."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnnbench.cli.arguments import Parser, cell_list, split_list
from rnnbench.config import check_value
from rnnbench.config.plain import Length, Width
from rnnbench.errors import UserError

if TYPE_CHECKING:
    from rnnbench.probes.measured import Measured

#: What says which untrained models are measured, and what it is where it is not given.
UNTRAINED = {"cell": "rnn,lstm,gru", "init": "default", "hidden_size": 128, "seeds": 5, "data": "noise"}


def main(argv: Sequence[str]) -> int:
    """Measure, print, draw."""
    about = "How much of the last step's loss reaches each earlier state, and does it vanish?"
    parser = Parser("gradients", about, "a JSON object with every number and curve")
    parser.add_argument("--seq_len", type=int, help="length T, hence the largest lag (256; with --run the run's own)")
    parser.add_argument("--loss", choices=["last", "average"], default="last",
                        help="of the last step, or averaged over all: the mistake that hides vanishing")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("runs/gradients.svg"), help="the picture, .svg or .png "
                        "(%(default)s)")  # fmt: skip
    one = parser.add_argument_group("cells that nobody has trained yet")
    one.add_argument("--cell", help='names by comma, options in brackets: "gru,lstm(forget_bias=3)" (rnn,lstm,gru)')
    one.add_argument("--init", help="initialisations by comma, each for every cell (default)")
    one.add_argument("--hidden_size", type=int, help="width H (128)")
    one.add_argument("--seeds", type=int, help="how many draws of weights and noise (5)")
    one.add_argument("--data", help="noise, x ~ N(0, 1), or a data set's name (noise)")
    trained = parser.add_argument_group("finished runs, as they began and as they ended, on their own data")
    trained.add_argument("--run", help="their folders by comma; seeds of one run make one line")
    arguments = parser.parse_args(argv)
    _check(arguments)

    from rnnbench.report.figures.gradients import curves_figure
    from rnnbench.runs import finite, friendly
    from rnnbench.system import machine

    machine.prepare()
    rows = _measured(arguments)
    produced_by = _produced_by(arguments, rows)
    with friendly(arguments.out.parent):
        curves_figure(rows, arguments.out, produced_by)
    if arguments.json:
        answer = {"produced_by": produced_by, "rows": [row.plain() for row in rows], "file": str(arguments.out)}
        print(json.dumps(finite(answer)))
    else:
        _show(rows, produced_by, arguments.out)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be; fill in what was not given."""
    for name, value in UNTRAINED.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
        elif arguments.run is not None:
            raise UserError(f"--run says all of the model, so --{name} cannot; leave one of them out.")
    if arguments.seq_len is None and arguments.run is None:
        arguments.seq_len = 256
    if arguments.seq_len is not None and arguments.seq_len < 2:
        raise UserError(f"--seq_len must be at least 2, got {arguments.seq_len}: there is no lag below.")
    for name, kind in (("seq_len", Length), ("hidden_size", Width), ("seeds", Width)):
        if getattr(arguments, name) is not None:
            check_value(getattr(arguments, name), kind, f"--{name}")
    if arguments.out.suffix not in (".svg", ".png"):
        raise UserError(f"--out must end in .svg or .png, got {str(arguments.out)!r}.")
    if arguments.out.is_dir():
        raise UserError(f"--out {arguments.out} is a folder; give the picture another name.")


def _measured(arguments: argparse.Namespace) -> list[Measured]:
    """All rows; the folder of the picture is made once it is known that there will be one."""
    from rnnbench.runs import friendly
    from rnnbench.system.console import Console
    from rnnbench.training.gradients import measure_cells, measure_runs

    average = arguments.loss == "average"
    if arguments.run is not None:
        measured = measure_runs([Path(one) for one in split_list(arguments.run)], arguments.seq_len, average)
    else:
        measured = measure_cells(
            cell_list(arguments.cell), split_list(arguments.init), arguments.seq_len, arguments.hidden_size,
            arguments.seeds, arguments.data, average,
        )  # fmt: skip
    rows: list[Measured] = []
    with Console(stderr=True).status("measuring …") as status:
        for row in measured:
            if not rows:
                with friendly(arguments.out.parent):
                    arguments.out.parent.mkdir(parents=True, exist_ok=True)
            rows.append(row)
            status.update(f"measuring … {row.name} done")
    return rows


def _produced_by(arguments: argparse.Namespace, rows: Sequence[Measured]) -> str:
    """One line: data, sizes, seeds, loss and versions."""
    import torch

    from rnnbench.training.gradients import BATCH, NOISE

    lengths = ", ".join(map(str, sorted({row.seq_len for row in rows})))
    if arguments.run is not None:
        what, seeds = "each run's probe batch", ", ".join(str(count) for count in sorted({len(r.seeds) for r in rows}))
    else:
        what = f"{arguments.data}, B = {BATCH}, H = {arguments.hidden_size}"
        what = what.replace(NOISE, "white noise N(0, 1)", 1) if arguments.data == NOISE else what
        seeds = str(arguments.seeds)
    loss = "the loss at the last step" if arguments.loss == "last" else "the loss AVERAGED over all steps"
    threads = torch.get_num_threads()
    return (
        f"{what}, T = {lengths}, {seeds} seed{'s' if seeds != '1' else ''}, {loss}; "
        f"float64, torch {torch.__version__}, {threads} thread{'s' if threads > 1 else ''}."
    )


def _show(rows: Sequence[Measured], produced_by: str, file: Path) -> None:
    from rnnbench.probes.measured import mean_decades
    from rnnbench.report.figures.terminal import curves
    from rnnbench.report.tables.reach import gradient_table
    from rnnbench.report.tables.writers import rich_table
    from rnnbench.system.console import Console

    console = Console(highlight=False)
    plain = not (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    console.print(rich_table(gradient_table(rows, produced_by), console.width))
    console.print("\nlog10 G(k)/G(0): how much of the gradient is left k states back", style="bold")
    for line in curves({row.name: mean_decades(row.curves) for row in rows}, console.width, plain=plain):
        console.print(line)
    console.print(f"\nfigure: {file}", soft_wrap=True)
