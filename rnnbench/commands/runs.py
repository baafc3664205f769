"""``rnnbench runs list|show|rm|verify``: what the ledger holds, one of it, what is to go, and whether all is whole."""

from __future__ import annotations

import argparse
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnnbench.commands.arguments import Parser
from rnnbench.commands.listing import print_rows
from rnnbench.errors import UserError, unknown

if TYPE_CHECKING:
    from rnnbench.ledger.survey import Found


def main(argv: Sequence[str]) -> int:
    """Status 1 where `verify` finds a fault, 2 where `rm` was not told ``--yes``."""
    parser = Parser(prog="rnnbench runs", description="The runs on disk.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|show|rm|verify", parser_class=Parser)
    lister = verbs.add_parser("list", help="a line a run", prog="rnnbench runs list")
    lister.add_argument("--study", help="of this study alone")
    shower = verbs.add_parser("show", help="all of one run", prog="rnnbench runs show")
    shower.add_argument("run", metavar="RUN", help="a run's folder, its id, or a part of it that no other has")
    remover = verbs.add_parser("rm", help="remove runs", prog="rnnbench runs rm")
    remover.add_argument(
        "runs", nargs="*", metavar="RUN",
        help="a run's folder or id, a part of an unfinished one's id that no other has, or a folder of runs",
    )  # fmt: skip
    remover.add_argument("--yes", action="store_true", help="remove them; without it they are only listed")
    verifier = verbs.add_parser("verify", help="hash every file again", prog="rnnbench runs verify")
    verifier.add_argument("--without_weights", action="store_true", help="model.pt need not be there, nor fit")
    for one in (lister, verifier):
        one.add_argument("folders", nargs="*", default=["runs"], metavar="FOLDER", help="where (default: runs)")
    for one in (shower, remover):
        one.add_argument("--out", default="runs", metavar="FOLDER", help="where ids are looked for (default: runs)")
    for one, what in ((lister, "list"), (remover, "remove, finished ones too,")):
        one.add_argument("--status", metavar="S,…", help=f"{what} only these: failed,oom,unfinished say")
    for one in (lister, shower, remover, verifier):
        one.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(argv)
    work = {"list": _list, "show": _show, "rm": _remove, "verify": _verify}[arguments.verb]
    return work(arguments)


def _list(arguments: argparse.Namespace) -> int:
    from rnnbench.commands.run_list import row, show
    from rnnbench.ledger.survey import survey

    wanted = _statuses(arguments.status)
    found = survey(map(Path, arguments.folders))
    chosen = [run for run in found if run.status in wanted and arguments.study in (None, run.study)]
    if chosen or arguments.json:
        print_rows([row(run) for run in chosen], show, arguments.json)
    else:
        print(f"none of the {len(found)} runs below {', '.join(arguments.folders)}")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from rnnbench.commands.layout import lines
    from rnnbench.commands.run_list import about

    told = about(_one(arguments.run, Path(arguments.out)))
    print(json.dumps(told) if arguments.json else "\n".join(lines(told)))
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from rnnbench.ledger.survey import survey
    from rnnbench.ledger.verify import NOTES, UNSEALED, verify

    runs = survey(map(Path, arguments.folders))
    counts: Counter[str] = Counter()
    findings, faults = [], 0
    for run in runs:
        found = verify(run, weights=not arguments.without_weights)
        findings += found
        wrong = [one for one in found if one.fault]
        faults += len(wrong)
        counts["faulty" if wrong else found[0].kind if found else "as sealed"] += 1
        for one in found:
            if not arguments.json and one.kind != UNSEALED:
                print(f"{one.kind:<10}  {shown(one.folder)}: {one.what}", flush=True)
    kinds = [kind for kind in ("as sealed", *NOTES, "faulty") if counts[kind]]
    if arguments.json:
        plain = [
            {"folder": str(one.folder), "kind": one.kind, "what": one.what, "fault": one.fault} for one in findings
        ]
        print(json.dumps({"runs": len(runs), **{kind: counts[kind] for kind in kinds}, "findings": plain}))
    else:
        told = ", ".join(f"{counts[kind]} {kind}" for kind in kinds) or "none"
        print(f"{_count(len(runs), 'run')}: {told}; {_count(faults, 'fault') if faults else 'no fault'}")
    return 1 if faults else 0


def _remove(arguments: argparse.Namespace) -> int:
    from rnnbench.ledger.survey import survey

    root, wanted = Path(arguments.out), None if arguments.status is None else _statuses(arguments.status)
    if not arguments.runs and wanted is None:
        raise UserError("name the runs to remove, or give --status.")
    chosen: dict[Path, Found] = {}
    for name in arguments.runs or [str(root)]:
        for run in _named(name, root, wanted is not None) if arguments.runs else survey([root]):
            if wanted is None or run.status in wanted:
                chosen[run.folder] = run
    for run in chosen.values():
        if run.held:
            raise UserError(
                f"{run.id} is being run by {run.lock.who}; nothing was removed. Stop it first; where that machine is "
                "dead, delete the run's .lock file."
            )
    removed = []
    for run in chosen.values():
        if arguments.yes:
            _erase(run)
        removed.append({"study": run.study, "id": run.id, "status": run.status, "folder": str(run.folder)})
        if not arguments.json:
            print(f"{'removed' if arguments.yes else 'would go'}  {run.status:<10}  {shown(run.folder)}")
    if arguments.json:
        print(json.dumps({"removed" if arguments.yes else "would_remove": removed}))
    if removed and not arguments.yes:
        raise UserError(f"nothing was removed; the same command with --yes removes {_count(len(removed), 'run')}.")
    if not removed and not arguments.json:
        print("nothing to remove")
    return 0


def _erase(run: Found) -> None:
    """Under its lock, and the result first: killed half-way, what is left looks unfinished, and is."""
    from rnnbench.ledger import RESULT, Busy, Lock, friendly
    from rnnbench.tracking import remove_earlier as remove_mirrored

    lock = Lock(run.folder)
    try:
        lock.acquire()
    except Busy as error:
        raise UserError(f"{error}; it was not removed.") from None
    try:
        with friendly(run.folder):
            (run.folder / RESULT).unlink(missing_ok=True)
            remove_mirrored(run.folder.parent, run.id)
            shutil.rmtree(run.folder)
    finally:
        lock.release(finished=False)


def _named(name: str, root: Path, by_status: bool) -> list[Found]:
    """The runs that one RUN of `rm` means; of a folder of runs the unfinished ones alone, unless --status names others.

    Raises:
        UserError: none, or a part of a finished run's id.
    """
    from rnnbench.ledger.survey import UNFINISHED, run_at, survey

    path = Path(name)
    if path.is_dir() and (own := run_at(path)) is not None:
        return [own]
    if path.is_dir() and (below := survey([path])):
        return [run for run in below if by_status or run.status == UNFINISHED]
    run = _one(name, root)
    if run.result is not None and run.id != name and not by_status:
        raise UserError(f'"{name}" is a part of the id of {run.id}, which is {run.status}; give the whole id.')
    return [run]


def _one(name: str, root: Path) -> Found:
    """The run of that folder, id or part of an id.

    Raises:
        UserError: there is none, or more than one.
    """
    from rnnbench.ledger.survey import run_at, survey

    path = Path(name)
    if path.is_dir() and (own := run_at(path)) is not None:
        return own
    if not root.is_dir():
        raise UserError(f"{name} is not a run's folder, and there is no folder {root} to look for it in; see --out.")
    known = survey([root])
    found = [run for run in known if run.id == name] or [run for run in known if name in run.id]
    if not found:
        raise unknown("run", name, {run.id for run in known})
    if len(found) > 1:
        some = ", ".join(str(shown(run.folder)) for run in found[:3]) + (", …" if len(found) > 3 else "")
        raise UserError(f'"{name}" means {len(found)} runs ({some}); give a folder.')
    return found[0]


def _statuses(text: str | None) -> frozenset[str]:
    """The statuses of ``--status failed,oom``; all of them where it is not given."""
    from rnnbench.ledger import STATUSES
    from rnnbench.ledger.survey import RUNNING, UNFINISHED

    known = (*STATUSES, UNFINISHED, RUNNING)
    names = known if text is None else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise unknown("status", name, known)
    return frozenset(names)


def shown(folder: Path) -> Path:
    """A folder as one would type it here."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
