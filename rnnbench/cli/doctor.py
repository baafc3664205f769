"""``rnnbench doctor``: will it run here, and how?"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rnnbench.cli.arguments import Parser
from rnnbench.errors import UserError


def main(argv: Sequence[str]) -> int:
    """Look, and say it; status 1 where something that is needed is missing."""
    parser = Parser("doctor", "What this machine has, and what it lacks.", "a JSON object")
    parser.add_argument("--out", default="runs", help="the runs folder to check")
    arguments = parser.parse_args(argv)
    facts, problems = examine(Path(arguments.out))
    if arguments.json:
        print(json.dumps({"facts": facts, "problems": problems}))
    else:
        width = max(map(len, facts))
        for key, value in facts.items():
            print(f"{key:<{width}}  {value}")
        print("\n".join(f"problem: {problem}" for problem in problems) or "all is well")
    return 1 if problems else 0


def examine(root: Path) -> tuple[dict[str, Any], list[str]]:
    """Facts by name, and what is wrong, a sentence each."""
    from rnnbench.backends.recurrence import native
    from rnnbench.data.describe import listing
    from rnnbench.sweep.slots import cores
    from rnnbench.system import machine
    from rnnbench.system.cache import folders, writable
    from rnnbench.tracking import mode_from_environment

    facts: dict[str, Any] = {"python": sys.version.split()[0]}
    problems = []
    for name in _needed():
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            facts[name] = "missing"
            problems.append(f"the package {name} is not installed; run `make install`.")
    facts["commit"] = machine.commit() or "not a git checkout"
    facts["device"] = machine.resolve_device("auto")
    facts["cores"] = cores()
    slow = native.library() is None
    facts["scan"] = "in torch's own operations, slower: there is no C compiler" if slow else "in C"
    facts["peers to time against"] = _external()
    facts["runs folder"] = f"{root}, {'writable' if writable(root) else 'not writable'}"
    if not writable(root):
        problems.append(f"the runs folder {root} cannot be written; choose another with --out.")
    facts["data folders"] = ", ".join(map(str, folders())) or "none: there is no home folder"
    if not any(map(writable, folders())):
        problems.append("there is no data folder that can be written; let RNNBENCH_DATA name one.")
    facts["data sets"] = ", ".join(row["name"] for row in listing() if row["here"])
    facts["Slurm"] = _slurm()
    facts["W&B"] = mode_from_environment(None)
    return facts, problems


def _slurm() -> str:
    """Can ``rnnbench sweep --launcher slurm`` be used here?"""
    from rnnbench.sweep.slurm_launcher import check_slurm

    try:
        check_slurm()
    except UserError as error:
        return f"no: {error}"
    return "yes"


def _external() -> str:
    """The packages whose kernels `rnnbench throughput` can time, and those that it could if they were installed."""
    from rnnbench.throughput.external import EXTERNAL
    from rnnbench.throughput.external.package import PackageImplementation

    packages = {
        one.package: find_spec(one.module) for one in EXTERNAL.values() if isinstance(one, PackageImplementation)
    }
    here = ", ".join(name for name, spec in packages.items() if spec)
    missing = ", ".join(name for name, spec in packages.items() if not spec)
    return "; ".join(filter(None, (here, f"not installed: {missing}" if missing else "")))


def _needed() -> list[str]:
    """The packages that ours says it needs."""
    needed = (line for line in requires("rnnbench") or () if "extra ==" not in line)
    return [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in needed]
