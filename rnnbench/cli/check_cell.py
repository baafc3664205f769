"""``rnnbench check-cell``: the conformance checks that every cell must pass."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rnnbench.cli.arguments import Parser
from rnnbench.config import CellConfig, check_value
from rnnbench.config.plain import Width
from rnnbench.errors import UserError

if TYPE_CHECKING:
    from rnnbench.conformance import CheckResult


def main(argv: Sequence[str]) -> int:
    """Print what was checked; status 1, and a line for each check that failed, where one did."""
    parser = Parser("check-cell", "The conformance checks that every cell must pass.", "a JSON object", cell=True)
    parser.add_argument(
        "name", metavar="NAME",
        help="see `rnnbench cells`, or FILE.py:CLASS of yours; its options: --cell.OPTION VALUE",
    )  # fmt: skip
    parser.add_argument("--backend", action="append", metavar="NAME", help="this one only; may be repeated (all)")
    parser.add_argument("--device", default="cpu", choices=["auto", "cpu", "cuda"], help="where it runs (cpu)")
    parser.add_argument(
        "--input_size", type=int, default=5, metavar="I", help="8, the cell's width here, for one that wants I = H (5)"
    )
    parser.add_argument(
        "--like", metavar="CELL",
        help="compare it with this cell too, on shared weights: outputs and every gradient (torch:GRU, say)",
    )  # fmt: skip
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    arguments = vars(parser.parse_args(argv))
    if arguments["cell"] is not None:
        raise UserError("check-cell takes the cell's name by itself: rnnbench check-cell NAME.")
    input_size = check_value(arguments["input_size"], Width, "--input_size")
    options = {key.partition(".")[2]: value for key, value in arguments.items() if key.startswith("cell.")}
    config = CellConfig(arguments["name"], options)

    from rnnbench.conformance import check, like
    from rnnbench.system import machine

    machine.prepare()
    device = machine.resolve_device(arguments["device"])
    findings = check(config, backends=arguments["backend"], device=device, input_size=input_size)
    if arguments["like"] is not None:
        findings += like(config, CellConfig.parse(arguments["like"]), device, input_size)
    facts = describe(config, device)
    broken = [finding for finding in findings if finding.ok is False]
    if arguments["json"]:
        print(json.dumps({**facts, "ok": not broken, "findings": [finding.plain() for finding in findings]}))
    elif broken:
        print("\n".join(verdicts(config.label, broken)))
    else:
        show(facts, findings)
    return 1 if broken else 0


def describe(config: CellConfig, device: str) -> dict[str, Any]:
    """What was checked, and with which versions."""
    from importlib.metadata import version
    from platform import python_version

    from rnnbench.cells import cell_class
    from rnnbench.conformance import formulas

    cls = cell_class(config.name)
    weights, state = formulas(config)
    return {
        "cell": config.label,
        "class": config.name if config.short_name != config.name else f"{cls.__module__}.{cls.__qualname__}",
        "paper": cls.paper,
        "parameters": weights,
        "state": state,
        **({"exempt": dict(cls.exempt)} if cls.exempt else {}),
        "device": device,
        "versions": {"rnnbench": version("rnnbench"), "torch": version("torch"), "python": python_version()},
    }


def verdicts(label: str, broken: Sequence[CheckResult]) -> list[str]:
    """One line a failed check: what fails and where, at its worst, and on what."""
    lines = []
    for name in dict.fromkeys(finding.property for finding in broken):
        results = [finding for finding in broken if finding.property == name]
        worst = max(results, key=lambda finding: math.inf if finding.figure is None else finding.figure)
        on = ", ".join(dict.fromkeys(f"{finding.backend} in {finding.dtype}" for finding in results))
        error = "" if worst.figure is None else f"; the error is {worst.figure:.3g} times what is allowed"
        lines.append(f"{label}: the {name} check fails ({on}): {worst.where}{error}.")
    return lines


def show(facts: dict[str, Any], findings: Sequence[CheckResult]) -> None:
    """What was checked, for a person."""
    from rnnbench.backends.backend import MULTIPLE
    from rnnbench.cli.output import text_table
    from rnnbench.conformance import PROPERTIES
    from rnnbench.system.console import Console

    heads = ("check", "on", "in", "worst", "at")
    table = text_table(*heads, wrapped=heads, right=("worst",))
    for name in PROPERTIES:
        if name == "parameters" or name in facts.get("exempt", {}):
            continue  # a line of its own
        results = [finding for finding in findings if finding.property == name]
        worst = max(results, key=lambda finding: finding.figure or 0.0)
        figure = "" if worst.figure is None else f"{worst.figure:.2g}"
        on, formats = (dict.fromkeys(getattr(f, key) for f in results) for key in ("backend", "dtype"))
        table.add_row(name, " ".join(on), " ".join(formats), figure, worst.where)
    console = Console(highlight=False)
    exempt = facts.get("exempt", {})
    console.print(f"[bold]{facts['cell']}[/] passes every check{' that it is not exempt from' if exempt else ''}")
    console.print(f"{facts['class']}; {facts['paper'] or 'no source given'}")
    console.print(table)
    console.print("worst: the largest error as a share of what is allowed; none where the answer is yes or no.")
    console.print(f"weights {facts['parameters']}; numbers in the state {facts['state']}")
    for finding in findings:
        if finding.property == "like":
            error = f"{MULTIPLE * (finding.figure or 0.0):.2g} times the float32 loop's own"
            console.print(
                f"like the other cell on {finding.backend}: the largest error, of {finding.where}, is {error}"
            )
        if finding.ok is None and finding.property == "backend":
            console.print(f"not on {finding.backend}: {finding.where}")
    for name, reason in exempt.items():
        console.print(f"exempt from {name}: {reason}", markup=False)
    console.print(", ".join([*(f"{name} {number}" for name, number in facts["versions"].items()), facts["device"]]))
