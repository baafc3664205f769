"""``rnnbench gradients``: how far the gradients of cells reach, as a table, in the terminal and as a picture."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnnbench.cli.arguments import Parser, cell_list, split_list
from rnnbench.config.parts import LONGEST, WIDEST
from rnnbench.config.plain import at_most
from rnnbench.errors import UserError

if TYPE_CHECKING:
    from rnnbench.probes.measured import Measured
    from rnnbench.system.console import Console

DEFAULT_OUT = Path("runs/gradients.svg")
#: What says which untrained models are measured, and what it is where it is not given.
UNTRAINED = {"cell": "rnn,lstm,gru", "init": "default", "hidden_size": 128, "seeds": 5, "data": "noise"}


def main(argv: Sequence[str]) -> int:
    """Measure, print, draw."""
    parser = Parser(
        prog="rnnbench gradients",
        description="How much of the last step's loss reaches each earlier state, and does it vanish?",
    )
    parser.add_argument("--seq_len", type=int, help="length T, hence the largest lag (256; with --run the run's own)")
    parser.add_argument("--loss", choices=["last", "average"], default="last",
                        help="of the last step, or averaged over all: the mistake that hides vanishing")  # fmt: skip
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help=f"the picture, .svg or .png ({DEFAULT_OUT})")
    parser.add_argument("--json", action="store_true", help="print a JSON object with every number and curve")
    one = parser.add_argument_group("cells that nobody has trained yet")
    one.add_argument(
        "--cell", help=f'names by comma, options in brackets: "gru,lstm(forget_bias=3)" ({UNTRAINED["cell"]})'
    )
    one.add_argument("--init", help="initialisations by comma, each for every cell (default)")
    one.add_argument("--hidden_size", type=int, help=f"width H ({UNTRAINED['hidden_size']})")
    one.add_argument("--seeds", type=int, help=f"how many draws of weights and noise ({UNTRAINED['seeds']})")
    one.add_argument("--data", help="noise, x ~ N(0, 1), or a data set's name (noise)")
    other = parser.add_argument_group("finished runs, as they began and as they ended, on their own data")
    other.add_argument("--run", help="their folders by comma; seeds of one run make one line")
    arguments = parser.parse_args(argv)
    _check(arguments)

    from rnnbench.system import machine

    machine.prepare()
    rows = _measured(arguments)
    produced_by = _produced_by(arguments, rows)

    from rnnbench.report.figures.gradients import curves_figure
    from rnnbench.runs import finite, friendly

    with friendly(arguments.out.parent):
        curves_figure(rows, arguments.out, produced_by)
    if arguments.json:
        answer = {"produced_by": produced_by, "rows": [row.plain() for row in rows], "file": str(arguments.out)}
        print(json.dumps(finite(answer)))
        return 0
    _show(rows, produced_by, arguments.out)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be; fill in what was not given."""
    given = [name for name in UNTRAINED if getattr(arguments, name) is not None]
    if arguments.run is not None and given:
        raise UserError(f"--run says all of the model, so --{given[0]} cannot; leave one of them out.")
    for name, value in UNTRAINED.items():
        if name not in given:
            setattr(arguments, name, value)
    if arguments.seq_len is None and arguments.run is None:
        arguments.seq_len = 256
    if arguments.seq_len is not None and arguments.seq_len < 2:
        raise UserError(f"--seq_len must be at least 2, got {arguments.seq_len}: there is no lag below.")
    for name in ("seeds", "hidden_size"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name} must be at least 1, got {getattr(arguments, name)}.")
    at_most(LONGEST, **{"--seq_len": arguments.seq_len})
    at_most(WIDEST, **{"--hidden_size": arguments.hidden_size, "--seeds": arguments.seeds})
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
        found = measure_runs([Path(one) for one in split_list(arguments.run)], arguments.seq_len, average)
    else:
        cells, inits = cell_list(arguments.cell), split_list(arguments.init)
        found = measure_cells(
            cells, inits, arguments.seq_len, arguments.hidden_size, arguments.seeds, arguments.data, average
        )
    rows: list[Measured] = []
    with Console(stderr=True).status("measuring …") as status:
        for row in found:
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
    from rnnbench.system.console import Console

    console = Console()
    _draw(console, rows, produced_by)
    console.print(f"\nfigure: {file}", highlight=False, soft_wrap=True)


def _draw(console: Console, rows: Sequence[Measured], produced_by: str) -> None:
    from rnnbench.probes.measured import mean_decades
    from rnnbench.report.figures.terminal import curves
    from rnnbench.report.tables.reach import gradient_table
    from rnnbench.report.tables.writers import rich_table

    utf8 = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    console.print(rich_table(gradient_table(rows, produced_by), console.width))
    console.print("\nlog10 G(k)/G(0): how much of the gradient is left k states back", style="bold", highlight=False)
    for line in curves({row.name: mean_decades(row.curves) for row in rows}, console.width, plain=not utf8):
        console.print(line, highlight=False)
