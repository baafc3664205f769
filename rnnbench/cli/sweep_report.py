"""What a sweep shows at its end: the report, and what is missing."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnnbench.sweep.run_study import Outcome
    from rnnbench.sweep.study import Study
    from rnnbench.system.console import Console

#: Beside a report: which results it was made from, and what it printed.
MADE_FROM = ".made_from"


def show(
    study: Study, root: Path, outcome: Outcome, wandb: str, console: Console, tables: bool
) -> dict[str, dict[str, Any]]:
    """The report, on the terminal, on disk and in W&B; what it said last where no result has changed since."""
    from rich.text import Text

    folder = root / study.name
    made_from = _fingerprint(folder)
    marker = folder / "report" / MADE_FROM
    if not made_from:
        return {}
    if not outcome.finished and not outcome.trouble and (said := _said_before(marker, made_from)) is not None:
        if tables:
            console.print(Text.from_ansi(said.rstrip()), soft_wrap=True)
        console.print(f"all {len(outcome.skipped)} runs were finished before; nothing was trained", highlight=False)
        return {}
    from rich.markup import escape

    from rnnbench.report import report, usual
    from rnnbench.runs import StorageError, write_atomic
    from rnnbench.system.console import Console as Page

    page = Page(file=io.StringIO(), width=console.width, force_terminal=console.is_terminal)
    try:
        shown = report([folder], usual() - {"tex"}, None, page)
        said = page.file.getvalue()  # type: ignore[attr-defined]
        write_atomic(marker, json.dumps({"results": made_from, "said": said}).encode())
    except StorageError as error:
        console.print(f"[red]no report[/]: {escape(str(error))}", highlight=False, soft_wrap=True)
        return {}
    if tables:
        console.print(Text.from_ansi(said.rstrip()), soft_wrap=True)
    if outcome.finished:
        _mirror_summary(folder, study.name, shown, "offline" if outcome.offline else wandb)
    return shown


def _said_before(marker: Path, made_from: str) -> str | None:
    """What the report of these very results printed; None where there is none of them."""
    try:
        before = json.loads(marker.read_text())
        return str(before["said"]) if before["results"] == made_from else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _fingerprint(folder: Path) -> str:
    """Which results a study's folder holds, and what lies beside them, without reading either."""
    import hashlib

    from rnnbench.runs.study_files import RATES, SPEEDS, STUDY

    found = sorted(folder.glob("*/result.json"))
    found += [path for name in (STUDY, RATES, SPEEDS) if found and (path := folder / name).exists()]
    told = "\n".join(f"{path.parent.name} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in found)
    return hashlib.sha256(told.encode()).hexdigest() if found else ""


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
        console.print("stopped; the same command goes on from here.", highlight=False)
        return 130
    return 1 if outcome.trouble else 0


def _mirror_summary(folder: Path, study: str, shown: dict[str, dict[str, Any]], mode: str) -> None:
    """The study's summary run in Weights & Biases: its tables and its figures."""
    from rnnbench.tracking import log_summary

    if mode == "disabled" or study not in shown:
        return
    made = []
    for name, key in ((study, "table"), (f"{study}-comparisons", "comparisons")):
        if rows := shown[study][key]:
            columns = list(dict.fromkeys(column for row in rows for column in row))
            made.append((name, columns, [[row.get(column) for column in columns] for row in rows]))
    log_summary(folder, study, made, [Path(file) for file in shown[study]["files"] if file.endswith(".png")], mode)
