"""What lies below some folders: every run's, finished or not, and who is at work on it. Reads, never writes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.errors import UserError
from rnnbench.runs.files import CHECKPOINT, CONFIG, CURVES, HISTORY, LOG, RESULT, SAMPLES, WEIGHTS
from rnnbench.runs.lock import State, look
from rnnbench.runs.packs import fault_of, is_packed, pack_of, packed
from rnnbench.runs.run_directory import read_result

#: Any of these makes a folder a run's.
MARKS = frozenset({RESULT, CONFIG, HISTORY, CHECKPOINT, WEIGHTS, CURVES, SAMPLES})
#: How a run without a result stands: nobody is at work on it, or somebody is, or may be.
UNFINISHED, RUNNING = "unfinished", "running"
#: Bytes at a file's end in which its last line is looked for.
TAIL = 1 << 16


@dataclass(frozen=True)
class Found:
    """A run's folder as it was found.

    Args:
        folder: Where.
        names: The files in it.
        result: What `result.json` holds; None where there is none, or none that can be read.
        lock: Who is, or was, at work on it.
    """

    folder: Path
    names: frozenset[str]
    result: dict[str, Any] | None
    lock: State

    @property
    def id(self) -> str:
        """The run's name, which is its folder's."""
        return self.folder.name

    @property
    def study(self) -> str:
        """The name of the folder that holds the run's."""
        return self.folder.parent.name

    @property
    def packed(self) -> bool:
        """Has it no directory of its own, but a line in its study's pack?"""
        return packed(self.folder) is not None

    @property
    def held(self) -> bool:
        """Is somebody at work on it, as far as can be told at once? Of another machine's process it can not."""
        return not self.lock.free and not self.lock.dead()

    @property
    def status(self) -> str:
        """How it ended (`STATUSES`), or running, or unfinished."""
        if self.result is not None:
            return str(self.result["status"])
        return RUNNING if self.held else UNFINISHED


def scan(tops: Iterable[Path], skip_damaged: bool = False) -> list[Found]:
    """Every run below (or at) the given folders, packed ones too, once each, by path.

    Args:
        tops: Runs folders, studies' folders or run directories.
        skip_damaged: Leave the runs of damaged packs out.

    Raises:
        UserError: one of them is no folder; or a pack is damaged, and these are not to be skipped.
    """
    folders: dict[Path, frozenset[str]] = {}
    for top in tops:
        _check_folder(top)
        folders |= dict(_run_folders(top.resolve(), skip_damaged))
    return [_found(folder, names) for folder, names in sorted(folders.items())]


def run_at(folder: Path) -> Found | None:
    """The run whose directory this is, or would be if it were not packed; None where it is no run's."""
    folder = folder.resolve()
    if packed(folder) is not None:
        return _found(folder, frozenset({RESULT}))
    first = next(_run_folders(folder), None)
    return _found(*first) if first is not None and first[0] == folder else None


def packs_below(tops: Iterable[Path]) -> list[Path]:
    """The folders below (or at) the given ones that have a pack; raises `UserError` where one is no folder."""
    tops = list(tops)
    for top in tops:
        _check_folder(top)
    walks = (os.walk(top.resolve()) for top in tops)
    return sorted({Path(folder) for walk in walks for folder, _, _ in walk if is_packed(Path(folder))})


def _found(folder: Path, names: frozenset[str]) -> Found:
    locked = any(name.startswith(".lock-") for name in names)
    lock = look(folder) if locked else State()  # looked at first: who finishes now lets go of it afterwards
    return Found(folder, names, read_result(folder) if RESULT in names or locked else None, lock)


def _check_folder(top: Path) -> None:
    if not top.is_dir():
        raise UserError(f"{top} is not a folder; give a runs folder, a study's folder or a run's folder.")


def is_run(names: Iterable[str], below: Iterable[str] = ()) -> bool:
    """Do these files make a folder a run's? A log, or a write that was cut off, does where no folder lies beside it.

    A process that is killed while it writes `study.json` or a pack leaves such a write in the study's folder.
    """
    known = set(names)
    if known & MARKS or any(name.startswith(".lock-") for name in known):
        return True
    return not list(below) and (LOG in known or any(name.endswith(".part") for name in known))


def read_config(folder: Path) -> Any:
    """What `run.yaml` says, as plain values.

    Raises:
        OSError, ValueError, yaml.YAMLError: it cannot be read.
    """
    import yaml

    # The same YAML by C code, where there is some: ten times as fast.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load((folder / CONFIG).read_bytes(), loader)


def last_step(folder: Path) -> int | None:
    """The step of the history's last whole row; None before the first. Only the file's end is read."""
    for line in reversed(last_lines(folder / HISTORY)):
        with suppress(ValueError, TypeError, KeyError):
            return int(json.loads(line)["step"])
    return None


def last_lines(path: Path) -> list[str]:
    """The lines in the last 64 KiB of a text; none where there is no file."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - TAIL, 0))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return lines[1:] if size > TAIL else lines  # the first one is cut


def _run_folders(top: Path, skip_damaged: bool = False) -> Iterator[tuple[Path, frozenset[str]]]:
    for folder, below, files in os.walk(top):
        if is_packed(Path(folder)):
            if not (skip_damaged and fault_of(Path(folder))) and (pack := pack_of(Path(folder))) is not None:
                yield from ((Path(folder) / id, frozenset({RESULT})) for id in pack.runs if id not in below)
        elif is_run(files, below):
            below.clear()
            yield Path(folder), frozenset(files)
        below[:] = [name for name in below if name != "wandb"]  # thousands of files, none of them ours
