"""``rnnbench sweep STUDY``: do what is not done yet, then show it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnnbench.commands.arguments import Parser, add_output_options
from rnnbench.errors import UserError

if TYPE_CHECKING:
    from rnnbench.sweep.study import Job, Study


def main(argv: Sequence[str]) -> int:
    """Run a study's jobs and its report; status 1 where a run is missing at the end."""
    from rnnbench.sweep.study import find_study, study_folders

    names = sorted({path.stem for folder in study_folders() for path in folder.glob("[!_]*.py")})
    parser = Parser(prog="rnnbench sweep", description="Do all runs of a study that the ledger has no result for.")
    parser.add_argument("study", metavar="STUDY", help=f"a study's name or file; here: {', '.join(names) or 'none'}")
    parser.add_argument("--preset", default="quick", help="the study's size (default: quick)")
    parser.add_argument("--jobs", default="auto", metavar="N", help="workers of one thread each (default: one a core)")
    parser.add_argument("--launcher", default="local", choices=["local"], help="where the workers are")
    parser.add_argument("--retry_failed", action="store_true", help="do runs that failed once more")
    parser.add_argument("--dry_run", action="store_true", help="list the runs and stop")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    add_output_options(parser)
    arguments = parser.parse_args(argv)

    from rich.console import Console

    from rnnbench.ledger import Entry
    from rnnbench.report import report
    from rnnbench.sweep.display import Display
    from rnnbench.sweep.launcher import Outcome, check_root, default_jobs, sweep
    from rnnbench.tracking import mode_from_environment

    study, root = find_study(arguments.study), Path(arguments.out)
    jobs = _jobs(study, arguments.preset, root)
    workers = _workers(arguments.jobs, default_jobs())
    console = Console(stderr=arguments.json)
    if arguments.dry_run:
        for job in jobs:
            print(job.id, "finished" if Entry(root, study.name, job.id).result() else "to do")
        return 0
    check_root(root)
    mode = mode_from_environment(arguments.wandb)
    console.print(f"[bold]{study.name}[/] ({arguments.preset}): {study.question}", highlight=False)
    outcome, waiting = Outcome(), jobs
    while waiting:  # once, or as often as the results ask for more; what could not be done is not tried twice
        with Display(console) as display:
            more = sweep(waiting, root, study.name, workers, mode, display, arguments.retry_failed)
        outcome.skipped += more.skipped
        outcome.finished += more.finished
        outcome.trouble += more.trouble
        known = {job.id for job in jobs}
        waiting = [job for job in _jobs(study, arguments.preset, root) if job.id not in known]
        jobs = [*jobs, *waiting]
    shown = {}
    if outcome.skipped or outcome.finished:
        shown = report([root / study.name], {"md", "csv", "png", "svg"}, None, None if arguments.json else console)
        if outcome.finished:
            _mirror_summary(root / study.name, study.name, shown, mode)
    if arguments.json:
        print(
            json.dumps(
                {
                    "study": study.name,
                    "finished": outcome.finished,
                    "skipped": outcome.skipped,
                    "trouble": outcome.trouble,
                    "files": [str(file) for item in shown.values() for file in item["files"]],
                }
            )
        )
    elif not outcome.finished and not outcome.trouble:
        console.print(f"all {len(jobs)} runs were finished before; nothing was trained", highlight=False)
    for id, reason in outcome.trouble:
        console.print(f"[red]missing[/] {id}: {reason}", highlight=False)
    return 1 if outcome.trouble else 0


def _jobs(study: Study, preset: str, root: Path) -> list[Job]:
    """The preset's jobs; of a study with a follow-up, those that the ledger's results ask for as well."""
    from rnnbench.ledger import Entry

    folder = root / study.name
    names = sorted(path.name for path in folder.iterdir()) if study.follow_up and folder.is_dir() else []
    found = {name: result for name in names if (result := Entry(root, study.name, name).result()) is not None}
    return study.jobs(preset, found)


def _workers(asked: str, default: int) -> int:
    if asked == "auto":
        return default
    if not asked.isdecimal() or int(asked) < 1:
        raise UserError(f"--jobs must be auto or a positive number, got {asked}.")
    return int(asked)


def _mirror_summary(folder: Path, study: str, shown: dict[str, dict[str, object]], mode: str) -> None:
    """The study's summary run in Weights & Biases: its table and its figures."""
    from rnnbench.tracking import log_summary

    if mode == "disabled" or study not in shown:
        return
    rows = shown[study]["table"]
    files = shown[study]["files"]
    assert isinstance(rows, list)
    assert isinstance(files, list)
    columns = list(rows[0]) if rows else []
    table = (f"{study}", columns, [[row.get(column) for column in columns] for row in rows])
    log_summary(folder, study, [table], [Path(file) for file in files if str(file).endswith(".png")], mode)
