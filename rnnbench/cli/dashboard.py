"""``rnnbench dashboard build|push STUDY_FOLDER``: a study's W&B workspace and report, as files or on a server."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnnbench.cli.arguments import Parser

if TYPE_CHECKING:
    from rnnbench.report.dashboard.build import Dashboard

VERBS = {
    "build": "Write a study's W&B workspace and report as files; nothing leaves the machine.",
    "push": "Save a study's workspace and report to a W&B server; what an earlier push has left there is replaced.",
}


def main(argv: Sequence[str]) -> int:
    """Build, or push."""
    about = "A study's W&B workspace and report, made from its runs."
    parser = Parser("dashboard", about, epilog="Each has --help, and --json for machines.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="build|push")
    for verb, about in VERBS.items():
        one = verbs.add_parser(verb, help=about, about=about, json="what was made as JSON")
        one.add_argument("study", type=Path, metavar="STUDY_FOLDER", help="runs/STUDY, with its finished runs")
        one.add_argument(
            "--project", default=os.environ.get("WANDB_PROJECT") or "rnnbench",
            help="W&B's project (default: WANDB_PROJECT, else rnnbench, where runs are logged)",
        )  # fmt: skip
        one.add_argument(
            "--entity", default=os.environ.get("WANDB_ENTITY") or "",
            help="whose project (default: WANDB_ENTITY, else the key's own)",
        )  # fmt: skip
        if verb == "build":
            one.add_argument("--out", type=Path, help="where to write (default: STUDY_FOLDER/dashboard)")
    arguments = parser.parse_args(argv)

    from rnnbench.report.dashboard.build import read_dashboard

    dashboard = read_dashboard(arguments.study)
    return _build(dashboard, arguments) if arguments.verb == "build" else _push(dashboard, arguments)


def _build(dashboard: Dashboard, arguments: argparse.Namespace) -> int:
    from rnnbench.report.dashboard.build import write

    out = arguments.out or arguments.study / "dashboard"
    files = write(dashboard, arguments.entity, arguments.project, out)
    if arguments.json:
        sections = {section.name: [panel.title for panel in section.panels] for section in dashboard.sections}
        print(json.dumps({"study": dashboard.study, "files": [str(path) for path in files], "sections": sections}))
        return 0
    panels = ", ".join(f"{section.name} {len(section.panels)}" for section in dashboard.sections)
    print(f"{', '.join(path.name for path in files)} in {out}; panels: {panels}")
    mirrored = any((arguments.study / "wandb").glob("offline-run-*"))
    runs = f", `wandb sync {arguments.study}/wandb/offline-run-*` its runs" if mirrored else ""
    print(f"nothing was uploaded: `rnnbench dashboard push {arguments.study}` saves both to W&B{runs}")
    return 0


def _push(dashboard: Dashboard, arguments: argparse.Namespace) -> int:
    from rnnbench.report.dashboard.push import push

    pushed = push(dashboard, arguments.entity, arguments.project)
    if arguments.json:
        print(json.dumps({"workspace": pushed.workspace, "report": pushed.report, "replaced": pushed.replaced}))
        return 0
    for name, url, replaced in zip(("workspace", "report"), pushed[:2], pushed.replaced, strict=True):
        print(f"{name} {'replaced' if replaced else 'saved'}: {url}")
    return 0
