"""``rnnbench runs list|show|rm|verify|pack|unpack``: the runs on disk, one in full, and whether all are whole."""

from __future__ import annotations

import argparse
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.cli.arguments import Parser
from rnnbench.cli.output import lines, print_rows, text_table
from rnnbench.errors import UserError, unknown
from rnnbench.runs import CHECKPOINT, LOG, RESULT, STATUSES, Busy, Lock, friendly
from rnnbench.runs.scan import RUNNING, UNFINISHED, Found, last_lines, last_step, packs_below, read_config, run_at, scan

if TYPE_CHECKING:
    from rich.console import Console

#: Lines of a log that are shown.
LOG_LINES = 20


def main(argv: Sequence[str]) -> int:
    """Status 1 where `verify` finds a fault, 2 where `rm` was not told ``--yes``."""
    parser = Parser("runs", "The runs on disk.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|show|rm|verify|pack|unpack")
    lister = verbs.add_parser("list", help="a line a run", json="JSON")
    lister.add_argument("--study", help="of this study alone")
    shower = verbs.add_parser("show", help="all of one run", json="JSON")
    shower.add_argument("run", metavar="RUN", help="a run's folder, its id, or a part of it that no other has")
    remover = verbs.add_parser("rm", help="remove runs", json="JSON")
    remover.add_argument(
        "runs", nargs="*", metavar="RUN",
        help="a run's folder or id, a part of an unfinished one's id that no other has, or a folder of runs",
    )  # fmt: skip
    remover.add_argument("--yes", action="store_true", help="remove them; without it they are only listed")
    verifier = verbs.add_parser("verify", help="hash every file again", json="JSON")
    verifier.add_argument("--without_weights", action="store_true", help="model.pt need not be there, nor fit")
    about = "turn finished studies into three files each; float curves become float32, no weights or logs"
    packer = verbs.add_parser("pack", help=about, json="JSON")
    packer.add_argument("--without_weights", action="store_true", help="pack though model.pt is left out of a pack")
    unpacker = verbs.add_parser("unpack", help="turn packs into run directories again", json="JSON")
    for one in (packer, unpacker):
        one.add_argument("folders", nargs="+", metavar="FOLDER", help="a study's folder, or one with studies below it")
        one.add_argument("--out", metavar="FOLDER", help="write there, a folder a study (default: in their place)")
    for one in (lister, verifier):
        one.add_argument("folders", nargs="*", default=["runs"], metavar="FOLDER", help="where (default: runs)")
    for one in (shower, remover):
        one.add_argument("--out", default="runs", metavar="FOLDER", help="where ids are looked for (default: runs)")
    for one, what in ((lister, "list"), (remover, "remove, finished ones too,")):
        one.add_argument("--status", metavar="S,…", help=f"{what} only these: failed,oom,unfinished say")
    arguments = parser.parse_args(argv)
    verb = {"list": _list, "show": _show, "rm": _remove, "verify": _verify, "pack": _pack, "unpack": _unpack}
    return verb[arguments.verb](arguments)


def _list(arguments: argparse.Namespace) -> int:
    wanted = _statuses(arguments.status)
    runs = scan(map(Path, arguments.folders))
    chosen = [run for run in runs if run.status in wanted and arguments.study in (None, run.study)]
    if chosen or arguments.json:
        print_rows([row(run) for run in chosen], show, arguments.json)
    else:
        print(f"none of the {len(runs)} runs below {', '.join(arguments.folders)}")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    facts = about(_one(arguments.run, Path(arguments.out)))
    print(json.dumps(facts) if arguments.json else "\n".join(lines(facts)))
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from rnnbench.runs.verify import NOTES, WITHOUT_CHECKSUMS, verify, verify_pack

    folders = [Path(folder) for folder in arguments.folders]
    runs = scan(folders, skip_damaged=True)
    counts: Counter[str] = Counter()
    findings = [one for pack in packs_below(folders) for one in verify_pack(pack)]
    shown_ones = list(findings)
    for run in runs:
        problems = verify(run, weights=not arguments.without_weights)
        findings += problems
        counts["faulty" if any(one.fault for one in problems) else problems[0].kind if problems else "unchanged"] += 1
        shown_ones += [one for one in problems if one.kind != WITHOUT_CHECKSUMS]
    for one in () if arguments.json else shown_ones:
        print(f"{one.kind:<10}  {shown(one.folder)}: {one.what}", flush=True)
    faults = sum(one.fault for one in findings)
    by_kind = {kind: counts[kind] for kind in ("unchanged", *NOTES, "faulty") if counts[kind]}
    if arguments.json:
        plain = [vars(one) | {"folder": str(one.folder), "fault": one.fault} for one in findings]
        print(json.dumps({"runs": len(runs), **by_kind, "findings": plain}))
    else:
        summary = ", ".join(f"{count} {kind}" for kind, count in by_kind.items()) or "none"
        print(f"{_count(len(runs), 'run')}: {summary}; {_count(faults, 'fault') if faults else 'no fault'}")
    return 1 if faults else 0


def _pack(arguments: argparse.Namespace) -> int:
    """Pack each study whose runs are all finished and as their checksums say; in its place, or below ``--out``."""
    from rnnbench.runs.packs import LEFT_OUT, is_packed, remove_packed, write_pack
    from rnnbench.runs.verify import verify

    studies: dict[Path, list[Found]] = {}
    for run in scan(map(Path, arguments.folders)):
        studies.setdefault(run.folder.parent, []).append(run)
    if not studies:
        raise UserError(f"there are no runs below {', '.join(arguments.folders)}.")
    for study, runs in studies.items():
        waiting = [run for run in runs if run.result is None]
        if waiting:
            raise UserError(f"{shown(study)} is not done: {_count(len(waiting), 'run')} without a result; finish or "
                            "remove them first.")  # fmt: skip
        faults = [one for run in runs for one in verify(run, weights=False) if one.fault]
        if faults:
            raise UserError(f"{shown(faults[0].folder)} is faulty ({faults[0].what}); see `rnnbench runs verify`.")
        weights = sum(LEFT_OUT[0] in run.names for run in runs)
        if weights and arguments.out is None and not arguments.without_weights:
            raise UserError(f"{_count(weights, 'run')} of {shown(study)} would lose model.pt, which a pack leaves out; "
                            "--without_weights agrees to that, --out FOLDER writes the pack elsewhere.")  # fmt: skip
    counts: dict[Path, int] = {}
    for target, study in _targets(studies, arguments.out).items():
        if arguments.out is not None and is_packed(target):
            raise UserError(f"{shown(target)} has a pack already; choose another folder with --out.")
        directories = [run.folder for run in studies[study] if not run.packed]
        counts[target] = write_pack(study, target, directories)
        if arguments.out is None:
            remove_packed(study, directories)
    return _tell(arguments.json, "packed", counts)


def _unpack(arguments: argparse.Namespace) -> int:
    from rnnbench.runs.packs import unpack

    folders = packs_below(map(Path, arguments.folders))
    if not folders:
        raise UserError(f"there is no pack below {', '.join(arguments.folders)}.")
    counts = {target: unpack(study, target) for target, study in _targets(folders, arguments.out).items()}
    return _tell(arguments.json, "unpacked", counts)


def _targets(studies: Iterable[Path], out: str | None) -> dict[Path, Path]:
    """Each study's folder by where its files go: its own folder, or one of its name below ``--out``.

    Raises:
        UserError: two studies have one name, and would be mixed there.
    """
    targets: dict[Path, Path] = {}
    for study in studies:
        target = study if out is None else Path(out) / study.name
        if target in targets:
            raise UserError(f"{shown(targets[target])} and {shown(study)} would both go to {shown(target)}; "
                            "give one --out for each.")  # fmt: skip
        targets[target] = study
    return targets


def _tell(as_json: bool, verb: str, counts: Mapping[Path, int]) -> int:
    if as_json:
        print(json.dumps({verb: [{"folder": str(folder), "runs": count} for folder, count in counts.items()]}))
    else:
        print("\n".join(f"{verb} {_count(count, 'run')} in {shown(folder)}" for folder, count in counts.items()))
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    root, wanted = Path(arguments.out), None if arguments.status is None else _statuses(arguments.status)
    if not arguments.runs and wanted is None:
        raise UserError("name the runs to remove, or give --status.")
    named = [run for name in arguments.runs for run in _named(name, root, wanted is not None)]
    chosen = {
        run.folder: run
        for run in (named if arguments.runs else scan([root]))
        if wanted is None or run.status in wanted
    }  # fmt: skip
    for run in chosen.values():
        if run.packed:
            raise UserError(f"{run.id} is packed; `rnnbench runs unpack {shown(run.folder.parent)}` first.")
        if run.held:
            raise UserError(
                f"{run.id} is being run by {run.lock.holder_name}; nothing was removed. Stop it first; if that machine "
                "failed, delete the run's .lock file."
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
    path = Path(name)
    if (run := run_at(path)) is not None:
        return [run]
    if path.is_dir() and (below := scan([path])):
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
    path = Path(name)
    if (run := run_at(path)) is not None:
        return run
    if not root.is_dir():
        raise UserError(f"{name} is not a run's folder, and there is no folder {root} to look for it in; see --out.")
    known = scan([root])
    matches = [run for run in known if run.id == name] or [run for run in known if name in run.id]
    if not matches:
        raise unknown("run", name, {run.id for run in known})
    if len(matches) > 1:
        some = ", ".join(str(shown(run.folder)) for run in matches[:3]) + (", …" if len(matches) > 3 else "")
        raise UserError(f'"{name}" means {len(matches)} runs ({some}); give a folder.')
    return matches[0]


def _statuses(text: str | None) -> frozenset[str]:
    """The statuses of ``--status failed,oom``; all of them where it is not given."""
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


def row(run: Found) -> dict[str, Any]:
    """What a list says of a run; without a result, how far it is and who is at work on it."""
    result: Mapping[str, Any] = run.result or {}
    metric, value = _primary(result)
    out: dict[str, Any] = {"study": run.study, "id": run.id, "status": run.status, "folder": str(run.folder)}
    out |= {"step": last_step(run.folder) if run.result is None else None, "metric": metric, "value": value}
    out |= {name: result.get(name) for name in ("seconds", "started", "error")}
    return out | {"checkpoint": CHECKPOINT in run.names, "holder": run.lock.holder_name if run.held else None}


def show(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """A line a run, study by study; a terminal folds what does not fit."""
    from rich.text import Text

    from rnnbench.report.tables.table import number

    if not console.is_terminal:
        console.width = 10_000  # what is piped on stays a line a run
    heads = ("status", "score", "seconds", "started (UTC)")
    table = text_table("run", *heads, "", wrapped=("run", ""), right=("seconds",), gap=1)
    for row in rows:
        value = row["value"]
        plain = number(value) if isinstance(value, int | float) else value
        score = f"{row['metric']} {plain}" if value is not None else ""
        seconds = f"{row['seconds']:.0f}" if isinstance(row["seconds"], int | float) else ""
        started = str(row["started"] or "")[:16].replace("T", " ")
        entries = (f"{row['study']}/{row['id']}", row["status"], score, seconds, started, _note(row))
        table.add_row(*map(Text, entries))
    console.print(table)


def _note(row: Mapping[str, Any]) -> str:
    if row["error"]:
        return str(row["error"])
    parts = [f"step {row['step']}"] if row["step"] is not None else []
    if row["holder"]:
        parts.append(f"by {row['holder']}")
    elif row["checkpoint"]:
        parts.append("resumes from its checkpoint")
    return ", ".join(parts)


def about(run: Found) -> dict[str, Any]:
    """All that its folder says of a run, in the order in which one asks."""
    result: Mapping[str, Any] = run.result or {}
    values = result.get("run")
    if values is None:
        with suppress(Exception):  # whatever YAML makes of damaged bytes: there is the rest to show
            values = read_config(run.folder)
    facts = {key: value for key, value in row(run).items() if value not in (None, False)}
    for key in ("metric", "value"):
        facts.pop(key, None)
    facts |= _config(values)
    facts |= {name: result[name] for name in ("metrics", "environment", "files", "traceback") if result.get(name)}
    if log := last_lines(run.folder / LOG)[-LOG_LINES:]:
        facts["log"] = "\n".join(log)
    return facts


def _config(values: Any) -> dict[str, Any]:
    """What differs from the defaults apart from what does not; all of it where this version knows no such run."""
    from rnnbench.config import Run, difference
    from rnnbench.config.timing import Timing

    if not isinstance(values, Mapping):
        return {}
    kind: Any = Timing if "cells" in values else Run
    try:
        changed = difference(kind.from_dict(values))
    except Exception:  # of another version, or damaged: it is shown as it is
        return {"run": dict(values)}
    return {"differs from the defaults": changed, "as by default": _without(values, changed)}


def _without(values: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in values.items():
        inner = changed.get(key)
        if key not in changed:
            out[key] = value
        elif isinstance(value, Mapping) and isinstance(inner, Mapping) and (rest := _without(value, inner)):
            out[key] = rest
    return out


def _primary(result: Mapping[str, Any]) -> tuple[str | None, Any]:
    """Name and value of a training run's primary metric; none of a timing, or of data that is not known."""
    from rnnbench.catalog import data_set
    from rnnbench.report.task_families import TASK_FAMILIES

    if result.get("kind") == "train":
        with suppress(Exception):  # a result that is damaged is listed all the same
            key = TASK_FAMILIES[data_set(str(result["run"]["data"]["name"])).kind].primary.key
            if (value := result["metrics"].get(key)) is not None:
                return key, value
    return None, None
