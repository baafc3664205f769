"""Is every run what it was when it was finished? Files are hashed again, and identities follow from configs again."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.config.values import PROTOCOL
from rnnbench.runs.files import (
    CHECKPOINT,
    CHECKSUMMED,
    CONFIG,
    CURVES,
    HISTORY,
    LOG,
    RESULT,
    WEIGHTS,
    facts_sha256,
    file_sha256,
)
from rnnbench.runs.packs import fault_of
from rnnbench.runs.scan import RUNNING, UNFINISHED, Found, read_config

EDITED, CUT_SHORT, MISSING, RENAMED, ORPHANED = FAULTS = ("edited", "cut short", "missing", "renamed", "orphaned")
WITHOUT_CHECKSUMS = "without checksums"
#: What is worth a word and is no fault: of runs that are under way, and of results from before there were checksums.
NOTES = (UNFINISHED, RUNNING, WITHOUT_CHECKSUMS)


@dataclass(frozen=True)
class Problem:
    """What was found of a run. kind: one of `FAULTS` or `NOTES`; what: a sentence without its full stop."""

    folder: Path
    kind: str
    what: str

    @property
    def fault(self) -> bool:
        """Is something wrong?"""
        return self.kind in FAULTS


def verify(run: Found, weights: bool = True) -> list[Problem]:
    """Every fault and note of one run; nothing where it is as it was when finished.

    Args:
        run: As `scan` found it.
        weights: Without them `model.pt` need not be there, and is not hashed.
    """
    if run.result is None and run.held:
        return [Problem(run.folder, RUNNING, f"by {run.lock.holder_name}")]
    if run.packed:  # whose files have the pack's checksums: `verify_pack`
        checks = _identity(run, run.result)
    else:
        checks = _unfinished(run) if run.result is None else _finished(run, weights)
    return [Problem(run.folder, kind, what) for kind, what in checks]


def verify_pack(folder: Path) -> list[Problem]:
    """What is wrong with a study's pack as a whole: it is missing a file, was edited or was cut short."""
    fault = fault_of(folder)
    return [] if fault is None else [Problem(folder / fault[1], fault[0], f"the pack's file {fault[2]}")]


#: What a check yields: the kind of a finding, and what it says.
Said = Iterator[tuple[str, str]]


def _unfinished(run: Found) -> Said:
    parts = [name for name in run.names if name.endswith(".part")]
    locked = any(name.startswith(".lock-") for name in run.names)
    if RESULT in run.names:
        yield CUT_SHORT, f"{RESULT} holds no result; delete it and the run is done again"
    elif CONFIG not in run.names and run.names - {LOG}:
        yield ORPHANED, f"{_listed(run.names - {LOG})} without {CONFIG} and {RESULT}"
    elif not locked and run.names & {CURVES, WEIGHTS} and CHECKPOINT not in run.names:
        # Who is killed leaves a lock, or a checkpoint; this one had let go of it, so it was finished.
        yield MISSING, f"{RESULT}, though the run was finished"
    else:
        where = "with a checkpoint to resume from" if CHECKPOINT in run.names else "without a checkpoint"
        whose = f"; {run.lock.holder_name} is dead" if run.lock.dead() else ""
        yield UNFINISHED, f"no result yet, {where}{whose}"
    if parts and not locked:
        yield ORPHANED, f"{_listed(parts)}: a write that was cut off"
    if CONFIG in run.names:
        yield from _identity(run, None)


def _finished(run: Found, weights: bool) -> Said:
    assert run.result is not None
    result = run.result
    if "seal" in result or "files" in result:
        yield from _with_checksums(run, result, weights)
        listed = result.get("files")
        known = set(listed) if isinstance(listed, Mapping) else set()
    else:
        yield (
            WITHOUT_CHECKSUMS,
            "from before there were checksums: only its identity, and whether files are whole, can be told",
        )
        yield from _whole(run, result)
        known = {*CHECKSUMMED, ".lock"}  # the lock of those days stayed
    extra = [name for name in run.names - known - {RESULT, LOG} if not name.startswith(".lock-")]
    if result["status"] == "timeout" and CHECKPOINT in extra:
        extra.remove(CHECKPOINT)  # kept: given more time the run resumes from it
    if CHECKPOINT in extra:
        extra.remove(CHECKPOINT)
        yield ORPHANED, f"{CHECKPOINT} beside a result"
    if extra:
        yield ORPHANED, f"{_listed(extra)}: no checksum of {'it' if len(extra) == 1 else 'them'}"
    if not run.lock.free:
        yield (
            ORPHANED,
            f"a lock of {run.lock.holder_name}{', which is dead,' if run.lock.dead() else ''} beside a result",
        )
    yield from _identity(run, result)


def _with_checksums(run: Found, result: Mapping[str, Any], weights: bool) -> Said:
    """The facts against their checksum, byte by byte, and the files against the facts."""
    if result.get("seal") != facts_sha256(result):
        yield EDITED, f"{RESULT}: its checksum is of other facts"
    # A space more, or a digit that no float can hold, changes no fact; it was not there when the file was written.
    elif (run.folder / RESULT).read_bytes() != json.dumps(result, indent=1, ensure_ascii=False).encode():
        yield EDITED, f"{RESULT}: its facts have their checksum, but not as they are written"
    files = result.get("files")
    for name, told in files.items() if isinstance(files, Mapping) else ():
        if name not in CHECKSUMMED or (name == WEIGHTS and not weights):
            continue
        path = run.folder / name
        try:
            size = path.stat().st_size
            if size < told["bytes"]:
                yield CUT_SHORT, f"{name} has {size} of {told['bytes']} bytes"
            elif size > told["bytes"] or file_sha256(path) != told["sha256"]:
                yield EDITED, f"{name} is not the file whose checksum was taken"
        except FileNotFoundError:
            yield MISSING, name
        except OSError as error:
            yield MISSING, f"{name} cannot be read: {error.strerror or error}"
        except (TypeError, KeyError):
            yield EDITED, f"{RESULT}: it tells no size and checksum of {name}"


def _whole(run: Found, result: Mapping[str, Any]) -> Said:
    """Of a result without checksums: is what can be parsed whole?"""
    if result.get("curves") and CURVES not in run.names:
        yield MISSING, CURVES
    elif CURVES in run.names:
        try:
            with zipfile.ZipFile(run.folder / CURVES) as arrays:
                if broken := arrays.testzip():
                    yield EDITED, f"{CURVES}: {broken} does not fit its checksum"
        except (OSError, zipfile.BadZipFile, EOFError) as error:
            yield CUT_SHORT, f"{CURVES} is not an archive: {error}"
    if HISTORY in run.names:
        steps: list[int] = []
        try:
            steps += [int(json.loads(line)["step"]) for line in (run.folder / HISTORY).read_bytes().splitlines()]
        except (OSError, ValueError, TypeError, KeyError):
            yield CUT_SHORT, f"{HISTORY} has a line that is not a row"
            return
        budget, last = _steps(result), max(steps, default=0)
        if budget is not None and last > budget:
            yield EDITED, f"{HISTORY} continues to step {last}, and the run had {budget}"
        elif budget is not None and last < budget and result["status"] == "done":
            yield CUT_SHORT, f"{HISTORY} ends at step {last} of {budget}"


def _steps(result: Mapping[str, Any]) -> int | None:
    """A training run's number of steps; None of another job, or where its config is none (which is said elsewhere)."""
    from rnnbench.config import Run

    with suppress(Exception):
        return Run.from_dict(result["run"]).steps if result.get("kind") == "train" else None
    return None


def _identity(run: Found, result: Mapping[str, Any] | None) -> Said:
    """Does the folder's name follow from the config, and do `run.yaml` and `result.json` tell of the same one?"""
    jobs = {}
    kind = result.get("kind") if result is not None else None
    if result is not None:
        jobs[RESULT] = result.get("run")
    if CONFIG in run.names:
        try:
            jobs[CONFIG] = read_config(run.folder)
        except Exception:  # whatever YAML makes of damaged bytes
            yield EDITED, f"{CONFIG} is not YAML"
    elif result is not None and "files" not in result and not run.packed:
        yield MISSING, CONFIG
    ids = {}
    protocols = [result.get("protocol", 1)] if result is not None else range(PROTOCOL, 0, -1)
    for name, values in jobs.items():
        try:
            ids[name] = _job(values, kind, protocols, run.id)
        except Exception as error:  # refused, or so damaged that it is not even looked at
            yield EDITED, f"{name} holds no run: {' '.join(str(error).split()).rstrip('.')}"
    if len(set(ids.values())) > 1:
        yield RENAMED, f"{CONFIG} tells of {ids[CONFIG]}, {RESULT} of {ids[RESULT]}"
    for name, id in ids.items():
        if id != run.id:
            yield RENAMED, f"the run in {name} is {id}"
            break
    if result is not None and RESULT in ids and result.get("id") != ids[RESULT]:
        yield RENAMED, f"{RESULT} calls itself {result.get('id')}, and its run is {ids[RESULT]}"


def _job(values: Any, kind: Any, protocols: Iterable[int], expected: str) -> str:
    """The identity of a run or a timing from its plain values; without its kind, the kind that they look like.

    An unfinished run does not say under which protocol it was begun: of several the one that gives the expected name.
    """
    from rnnbench.config import Run
    from rnnbench.config.timing import Timing

    timing = kind == "timing" or (kind is None and isinstance(values, Mapping) and "cells" in values)
    job = (Timing if timing else Run).from_dict(values)
    ids = [job.id_under(protocol) for protocol in protocols]
    return expected if expected in ids else ids[0]


def _listed(names: Any) -> str:
    known = sorted(names)
    return ", ".join(known[:4]) + (f" and {len(known) - 4} more" if len(known) > 4 else "")
