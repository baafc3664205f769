"""``rnnbench check-cell``: hold a cell against the laws that bind every cell."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rnnbench.cli.arguments import Parser, split_cell
from rnnbench.config.parts import WIDEST
from rnnbench.config.plain import at_most
from rnnbench.errors import UserError

if TYPE_CHECKING:
    from rnnbench.config import CellConfig
    from rnnbench.conformance import CheckResult


def main(argv: Sequence[str]) -> int:
    """Print a certificate; status 1, and a line for each broken law, where there is none to be had."""
    flags, cell = split_cell(argv)
    parser = Parser(prog="rnnbench check-cell", description="Hold a cell against the laws that bind every cell.")
    parser.add_argument(
        "name",
        metavar="NAME",
        help="see `rnnbench cells`; its options: --cell.OPTION VALUE; RNNBENCH_CELLS=FILE.py names a file of yours",
    )
    parser.add_argument(
        "--backend",
        action="append",
        metavar="NAME",
        help="look at this one only; may be repeated (default: all)",
    )
    parser.add_argument("--device", default="cpu", choices=["auto", "cpu", "cuda"], help="where it runs (default: cpu)")
    parser.add_argument(
        "--input_size", type=int, default=5, metavar="I", help="8, the cell's width here, for one that wants I = H"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    arguments = parser.parse_args(flags)
    if "name" in cell:
        raise UserError("check-cell takes the cell's name by itself: rnnbench check-cell NAME.")
    if arguments.input_size < 1:
        raise UserError(f"--input_size must be positive, got {arguments.input_size}.")
    at_most(WIDEST, **{"--input_size": arguments.input_size})

    from rnnbench.config import CellConfig
    from rnnbench.conformance import check
    from rnnbench.system import machine

    machine.prepare()
    device = machine.resolve_device(arguments.device)
    config = CellConfig.parse({"name": arguments.name, **cell})
    findings = check(config, backends=arguments.backend, device=device, input_size=arguments.input_size)
    facts = describe(config, device)
    broken = [finding for finding in findings if finding.ok is False]
    if arguments.json:
        print(json.dumps({**facts, "ok": not broken, "findings": [finding.plain() for finding in findings]}))
    elif broken:
        for line in verdicts(config.label, broken):
            print(line)
    else:
        show(facts, findings)
    return 1 if broken else 0


def describe(config: CellConfig, device: str) -> dict[str, Any]:
    """What the certificate is of, and what it was made with."""
    from importlib.metadata import version
    from platform import python_version

    from rnnbench.cells import cell_class
    from rnnbench.conformance import formulas

    cls = cell_class(config.name)
    weights, state = formulas(config)
    return {
        "cell": config.label,
        "class": f"{cls.__module__}.{cls.__qualname__}",
        "paper": cls.paper,
        "parameters": weights,
        "state": state,
        "device": device,
        "versions": {"rnnbench": version("rnnbench"), "torch": version("torch"), "python": python_version()},
    }


def verdicts(label: str, broken: Sequence[CheckResult]) -> list[str]:
    """One line a broken law: what broke and where, at its worst, and on what."""
    lines = []
    for law in dict.fromkeys(finding.property for finding in broken):
        found = [finding for finding in broken if finding.property == law]
        worst = max(found, key=lambda finding: math.inf if finding.figure is None else finding.figure)
        on = ", ".join(dict.fromkeys(f"{finding.backend} in {finding.dtype}" for finding in found))
        error = "" if worst.figure is None else f"; the error is {worst.figure:.3g} times what is allowed"
        lines.append(f"{label}: the {law} law is broken ({on}): {worst.where}{error}.")
    return lines


def show(facts: dict[str, Any], findings: Sequence[CheckResult]) -> None:
    """The certificate, for a person."""
    from rich.table import Table

    from rnnbench.conformance import PROPERTIES
    from rnnbench.system.console import Console

    console = Console()
    console.print(f"[bold]{facts['cell']}[/] keeps every law", highlight=False)
    console.print(f"{facts['class']}; {facts['paper'] or 'no source given'}", highlight=False)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("law", "on", "in", "worst", "at"):
        table.add_column(name, justify="right" if name == "worst" else "left")
    for law in PROPERTIES:
        if law == "parameters":
            continue  # a line of its own
        found = [finding for finding in findings if finding.property == law]
        worst = max(found, key=lambda finding: finding.figure or 0.0)
        figure = "" if worst.figure is None else f"{worst.figure:.2g}"
        on, formats = (dict.fromkeys(getattr(f, key) for f in found) for key in ("backend", "dtype"))
        table.add_row(law, " ".join(on), " ".join(formats), figure, worst.where)
    console.print(table)
    console.print("worst: the largest error as a share of what is allowed; none where the law is one of yes and no.")
    console.print(f"weights {facts['parameters']}; numbers in the state {facts['state']}", highlight=False)
    for finding in findings:
        if finding.ok is None:
            console.print(f"not on {finding.backend}: {finding.where}", highlight=False)
    made_with = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    console.print(f"{made_with}, {facts['device']}", highlight=False)
