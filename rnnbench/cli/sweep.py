"""``rnnbench sweep STUDY``: do what is not done yet, then show the report and what is missing."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.cli.arguments import Parser, add_output_options, cell_list
from rnnbench.errors import UserError, unknown

if TYPE_CHECKING:
    from rnnbench.report.tables.table import Table
    from rnnbench.sweep.run_study import Launcher, Options, Outcome
    from rnnbench.sweep.study import Study
    from rnnbench.sweep.tuning import TunedRate
    from rnnbench.system.console import Console

#: Beside a report: which results it was made from, and what it printed.
MADE_FROM = ".made_from"


def main(argv: Sequence[str]) -> int:
    """Run a study's jobs and its report; status 1 where a run is missing at the end, 130 where it was stopped."""
    arguments = _parser().parse_args(argv)

    from rnnbench.runs import RunDirectory, check_root
    from rnnbench.sweep.run_study import jobs_of, measure_speeds, results_of, run_study
    from rnnbench.sweep.study import with_cells
    from rnnbench.sweep.tuning import known_choices, tuned_study, tuning_study
    from rnnbench.system.console import Console

    console = Console(stderr=arguments.json or arguments.export_wandb is not None)
    preset, root = arguments.preset, Path(arguments.out)
    study = _study(arguments, console)
    if arguments.cells is not None:
        study = with_cells(study, cell_list(arguments.cells))
    study.jobs(preset)  # a preset that is unknown is refused before anything is said
    known = None
    asked = arguments.tune_lr is not None or arguments.tune_seeds is not None  # rates known already are no answer
    if study.tune is not None and not asked:
        known = known_choices(study, preset, root)
        study = study if known is None else tuned_study(study, preset, known)
    tuning = known is None and (asked or study.tune is not None)
    if arguments.export_wandb is not None:
        if tuning:
            raise UserError(
                f"{study.name} chooses its learning rates before its runs, which a file for `wandb sweep` cannot; run "
                "it here first, without --export_wandb: with the rates known it can be exported."
            )
        return _export(study, arguments)
    if arguments.dry_run:
        if tuning:
            study = tuning_study(study, preset, *_trials(study, arguments))
        for job in jobs_of(study, preset, root):
            print(job.id, "finished" if RunDirectory(root, study.name, job.id).result() else "to do")
        return 0
    options = _options(arguments)
    launch = _launcher(arguments, options)
    check_root(root)
    outcome = None
    if known is not None:
        _write_choices(root / study.name, known, study, preset)
    elif tuning:
        study, outcome = _tuned(study, arguments, options, launch, console)
    if outcome is None:
        _announce(study, preset, console)
        outcome = run_study(study, preset, root, options, launch, console)
        if arguments.launcher == "local" and not outcome.stopped:
            measure_speeds(root / study.name, jobs_of(study, preset, root), results_of(study, root), console)
    shown = show(study, root, outcome, options.wandb, console, tables=not arguments.json)
    if arguments.json:
        files = [str(file) for item in shown.values() for file in item["files"]]
        ended = {"study": study.name, "finished": outcome.finished, "skipped": outcome.skipped}
        print(json.dumps({**ended, "trouble": outcome.trouble, "stopped": outcome.stopped, "files": files}))
    return verdict(outcome, console)


def _parser() -> Parser:
    from rnnbench.sweep.study import study_folders

    names = sorted({path.stem for folder in study_folders() for path in folder.glob("[!_]*.py")})
    parser = Parser("sweep", "Do all runs of a study that have no result yet.", "the outcome as JSON")
    parser.add_argument(
        "study", metavar="STUDY",
        help=f"a study's name or file, or the YAML file of a W&B sweep; here: {', '.join(names) or 'none'}",
    )  # fmt: skip
    parser.add_argument(
        "--cells", metavar="NAME,…", help="these in place of the study's own, yours among them: lstm,gru,leaky.py:Leaky"
    )
    parser.add_argument("--preset", default="quick", help="the study's size (default: quick)")
    parser.add_argument(
        "--jobs", default="auto", metavar="N", help="runs at once (default: one a core; on a GPU as many as it holds)"
    )
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="stop a run that takes longer and record that")
    parser.add_argument(
        "--retry", default="", metavar="STATUS,…", help="try runs that ended so once more: failed, oom, timeout"
    )
    parser.add_argument("--launcher", default="local", choices=["local", "slurm"], help="where the workers are")
    parser.add_argument(
        "--slurm", action="append", default=[], metavar="KEY=VALUE,…",
        help="sbatch's own options, partition=gpu,time=240 say; --jobs is then the number of tasks (default: 8)",
    )  # fmt: skip
    parser.add_argument("--count", type=int, metavar="N", help="runs of a W&B sweep that draws at random")
    parser.add_argument(
        "--tune_lr", nargs="?", const="", metavar="LR,…",
        help="first choose a learning rate for each cell and setting on validation, from these and further ones until "
        "no choice is at the edge (default: the study's own, or 1e-3 … 3.2e-2 by twos)",
    )  # fmt: skip
    parser.add_argument("--tune_seeds", type=int, metavar="N", help="trials of each rate (default: the study's, or 1)")
    parser.add_argument(
        "--export_wandb", "--export-wandb", nargs="?", const="-", metavar="FILE",
        help="write the study as a file for `wandb sweep`, or print it, and stop",
    )  # fmt: skip
    parser.add_argument("--dry_run", action="store_true", help="list the runs and stop")
    add_output_options(parser)
    return parser


def _options(arguments: Any) -> Options:
    from rnnbench.runs import STATUSES
    from rnnbench.sweep.run_study import Options
    from rnnbench.system.machine import check_at_once
    from rnnbench.tracking import mode_from_environment

    jobs, timeout = arguments.jobs, arguments.timeout
    if jobs != "auto" and (not jobs.isdecimal() or int(jobs) < 1):
        raise UserError(f"--jobs must be auto or a positive number, got {jobs}.")
    if timeout is not None and not timeout > 0:
        raise UserError(f"--timeout must be a positive number of seconds, got {timeout:g}.")
    retry = frozenset(filter(None, arguments.retry.split(",")))
    for status in retry - set(STATUSES):
        raise unknown("status", status, STATUSES)
    workers = None if jobs == "auto" else int(jobs)
    if workers is not None and arguments.launcher == "local":
        check_at_once("--jobs", workers)
    return Options(workers, mode_from_environment(arguments.wandb), timeout, retry)


def _launcher(arguments: Any, options: Options) -> Launcher:
    if arguments.launcher == "slurm":
        from rnnbench.sweep.slurm_launcher import parse_parameters, slurm_launcher

        return slurm_launcher(options.workers, parse_parameters(arguments.slurm))
    if arguments.slurm:
        raise UserError("--slurm goes with --launcher slurm.")
    from rnnbench.sweep.scheduler import locally

    return locally


def _study(arguments: Any, console: Console) -> Study:
    """The study by its name or file, or that of a W&B sweep's file."""
    from rnnbench.sweep.study import find_study

    if not arguments.study.lower().endswith((".yaml", ".yml")):
        if arguments.count is not None:
            raise UserError(f"--count is for W&B sweep files, and {arguments.study} is not one; leave it out.")
        return find_study(arguments.study)
    from rnnbench.sweep.wandb_sweep import study_of_file

    study, notes = study_of_file(Path(arguments.study), arguments.count)
    for note in notes:
        console.print(f"[dim]{note}[/]", highlight=False, soft_wrap=True)
    return study


def _export(study: Study, arguments: Any) -> int:
    """The study as a file for ``wandb sweep``; - is the standard output."""
    from rnnbench.runs import friendly
    from rnnbench.sweep.wandb_export import to_wandb

    text = to_wandb(study, arguments.preset, arguments.study)
    if arguments.export_wandb == "-":
        print(text, end="")
        return 0
    path = Path(arguments.export_wandb)
    with friendly(path):
        path.write_text(text, encoding="utf-8")
    print(f"{path} is for `wandb sweep` and its agents; without a server, `rnnbench sweep {path}` does the same runs")
    return 0


def _announce(study: Study, preset: str, console: Console) -> None:
    from rich.markup import escape

    console.print(f"[bold]{study.name}[/] ({preset}): {escape(study.question)}", highlight=False)


def _tuned(
    study: Study, arguments: Any, options: Options, launch: Launcher, console: Console
) -> tuple[Study, Outcome | None]:
    """Choose learning rates on the validation part: the study at these rates, and None.

    The grid is extended, and tried further, until no choice is at its edge. Where a trial is missing there is nothing
    to choose by: the trials' study, and how it ended.
    """
    from rnnbench.report.tables.writers import rich_table
    from rnnbench.sweep.run_study import results_of, run_study
    from rnnbench.sweep.tuning import choose, extended, tuned_study, tuning_study

    preset, root = arguments.preset, Path(arguments.out)
    grid, seeds = _trials(study, arguments)
    while True:
        trials = tuning_study(study, preset, grid, seeds)
        _announce(trials, preset, console)
        outcome = run_study(trials, preset, root, options, launch, console)
        results = results_of(trials, root)
        if outcome.stopped or any(job.id not in results for job in trials.jobs(preset)):
            return trials, outcome
        choices = choose(trials, preset, results)
        if (longer := extended(grid, choices)) == tuple(sorted(set(grid))):
            break
        grid = longer
        console.print("a choice is at the edge of the rates tried, so further ones are tried, for every setting")
    tuned = tuned_study(study, preset, choices)
    console.print(rich_table(_write_choices(root / tuned.name, choices, study, preset), console.width))
    return tuned, None


def _trials(study: Study, arguments: Any) -> tuple[tuple[float, ...], int]:
    """The learning rates to begin with, and how many trials of each: as asked, else the study's own."""
    from rnnbench.sweep.study import Tune
    from rnnbench.sweep.tuning import GRID

    tune = study.tune or Tune(GRID)
    try:
        grid = tuple(map(float, arguments.tune_lr.split(","))) if arguments.tune_lr else tune.grid
    except ValueError:
        raise UserError(
            f"--tune_lr must be numbers with commas between them, such as 1e-3,2e-3,4e-3, got {arguments.tune_lr}."
        ) from None
    return grid, tune.seeds if arguments.tune_seeds is None else arguments.tune_seeds


def _write_choices(folder: Path, choices: Sequence[TunedRate], study: Study, preset: str) -> Table:
    """Keep what was chosen beside the runs, as numbers and as a table; the choices of other presets stay."""
    from rnnbench.report.tables.learning_rates import choices_table
    from rnnbench.report.tables.writers import markdown
    from rnnbench.runs import friendly, read_rates, setting_of, write_atomic, write_rates

    table = choices_table(choices, f"Learning rates for {study.name} ({preset}), chosen on the validation part.")
    with friendly(folder):
        folder.mkdir(parents=True, exist_ok=True)
    before = read_rates(folder)
    kept = before | {setting_of(choice.config): choice.to_dict() for choice in choices}
    if kept != before:  # a file that is newer than the report has it made again
        write_rates(folder, [*kept.values()])
        write_atomic(folder / "learning_rates.md", markdown(table).encode())
    return table


def show(
    study: Study, root: Path, outcome: Outcome, wandb: str, console: Console, tables: bool
) -> dict[str, dict[str, Any]]:
    """The report, on the terminal, on disk and in W&B; what it said last where no result has changed since."""
    from rich.markup import escape
    from rich.text import Text

    folder = root / study.name
    made_from = _fingerprint(folder)
    marker = folder / "report" / MADE_FROM
    if not made_from:
        return {}
    if not outcome.finished and not outcome.trouble and (text := _said_before(marker, made_from)) is not None:
        if tables:
            console.print(Text.from_ansi(text.rstrip()), soft_wrap=True)
        console.print(f"all {len(outcome.skipped)} runs were finished before; nothing was trained", highlight=False)
        return {}

    from rnnbench.report import report, usual
    from rnnbench.runs import StorageError, write_atomic
    from rnnbench.system.console import Console

    file = io.StringIO()
    page = Console(file=file, width=console.width, force_terminal=console.is_terminal)
    try:
        shown = report([folder], usual() - {"tex"}, None, page)
        write_atomic(marker, json.dumps({"results": made_from, "said": file.getvalue()}).encode())
    except StorageError as error:
        console.print(f"[red]no report[/]: {escape(str(error))}", highlight=False, soft_wrap=True)
        return {}
    if tables:
        console.print(Text.from_ansi(file.getvalue().rstrip()), soft_wrap=True)
    if outcome.finished and study.name in shown:
        _mirror_summary(folder, study.name, shown[study.name], "offline" if outcome.offline else wandb)
    return shown


def _said_before(marker: Path, made_from: str) -> str | None:
    """What the report of these very results printed, if there has been one."""
    try:
        before = json.loads(marker.read_text())
        return str(before["said"]) if before["results"] == made_from else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _fingerprint(folder: Path) -> str:
    """Which results a study's folder holds, and what lies beside them, without reading either."""
    import hashlib

    from rnnbench.runs.packs import PACK, STUDY_FILES, SUMS

    files = sorted(folder.glob("*/result.json")) + [path for name in (PACK, SUMS) if (path := folder / name).exists()]
    if not files:
        return ""
    files += [path for name in STUDY_FILES if (path := folder / name).exists()]
    stats = "\n".join(f"{path.parent.name} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in files)
    return hashlib.sha256(stats.encode()).hexdigest()


def _mirror_summary(folder: Path, study: str, shown: dict[str, Any], mode: str) -> None:
    """The study's summary run in Weights & Biases: its tables and its figures."""
    from rnnbench.tracking import log_summary

    if mode == "disabled":
        return
    tables = []
    for name, key in ((study, "table"), (f"{study}-comparisons", "comparisons")):
        if rows := shown[key]:
            columns = list(dict.fromkeys(column for row in rows for column in row))
            tables.append((name, columns, [[row.get(column) for column in columns] for row in rows]))
    log_summary(folder, study, tables, [Path(file) for file in shown["files"] if file.endswith(".png")], mode)


def verdict(outcome: Outcome, console: Console) -> int:
    """Say what is missing, runs with the same reason together; the exit status."""
    from rich.markup import escape

    by_reason: dict[str, list[str]] = defaultdict(list)
    for id, reason in outcome.trouble:
        by_reason[reason].append(id)
    for reason, ids in by_reason.items():
        more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
        console.print(
            f"[red]not done[/] {escape(', '.join(ids[:3]))}{more}: {escape(reason)}", highlight=False, soft_wrap=True
        )
    if outcome.stopped:
        console.print("stopped; the same command resumes it.", highlight=False)
        return 130
    return 1 if outcome.trouble else 0
