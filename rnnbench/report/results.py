"""The finished runs below some folders, as they are on disk: settings, metrics, curves, history."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnbench.catalog import DataSet, data_set
from rnnbench.config import CellConfig
from rnnbench.errors import UserError
from rnnbench.runs import RESULT, STATUSES, read_rates, read_speeds, setting_of
from rnnbench.runs.packs import PACK, is_packed, pack_of, packed
from rnnbench.runs.run_directory import read_history
from rnnbench.system.terminal import visible

Arrays = dict[str, NDArray[np.generic]]

#: What became of the runs that are not done, in a table's words.
LOST = {"diverged": "diverged", "failed": "failed", "oom": "ran out of memory", "timeout": "took too long"}
#: Where a direction is lost for good older results have −708.4, and of the mean over a run's trajectories, at most 32,
#: accordingly less: a Lyapunov exponent below this is of a run some of whose trajectories have lost every direction.
LEAST_EXPONENT = -700.0 / 32
#: How fast a training step is; the processor's time is less disturbed by other workers, and stays.
SPEEDS = ("tokens_per_second", "step_ms")
#: A whole number with a point, in a cell's label: older results have ``lstm(forget_bias=3.0)/loop/step``.
_POINT = re.compile(r"(=-?\d+)\.0(?=[,)])")


@dataclass(frozen=True)
class Result:
    """One finished job: a training, or a timing."""

    folder: Path  # the run's folder
    id: str  # the run's name
    kind: str  # train, or timing
    protocol: int  # the version of the protocol that it was made under (`rnnbench.config.PROTOCOL`)
    status: str  # one of `rnnbench.runs.STATUSES`
    run: Mapping[str, Any]  # the configuration as nested plain values
    # flat names to values; an infinity is a float here (the file, being JSON, says "inf")
    metrics: Mapping[str, float | int | str | None]
    environment: Mapping[str, Any]  # commit, versions, device, threads, backend
    seconds: float  # wall time of the job
    error: str | None  # one line on what went wrong, where it was neither done nor diverged
    curves: str | None  # the name of the file with its arrays
    # of a training run, how its learning rate was chosen: its setting's entry of `learning_rates.json`
    choice: Mapping[str, Any] | None = None
    # by a cell's label what tables call it, where that is shorter
    shown: Mapping[str, str] = field(default_factory=dict)

    @property
    def broken(self) -> bool:
        """Was it ended by an error, by too little memory or time, and not by what its numbers say?"""
        return self.status not in ("done", "diverged")

    @property
    def study(self) -> str:
        """The name of the folder that holds the run's."""
        return self.folder.parent.name

    @property
    def done(self) -> bool:
        """Whether its metrics may enter a mean."""
        return self.status == "done"

    @property
    def cell(self) -> str:
        """What a training run's cell is called: ``lstm``, ``lstm(forget_bias=3)``, or Leaky of ``leaky.py:Leaky``."""
        label = CellConfig.parse(self.run["cell"]).label
        return self.shown.get(label, label)

    @property
    def data(self) -> str:
        """The label of a training run's data: its name, or the stem of the user's file."""
        data = self.run["data"]
        return visible(Path(data["path"]).stem) if data.get("path") else str(data.get("name"))

    @property
    def data_set(self) -> DataSet:
        """What the catalogue knows of a training run's data."""
        return data_set(str(self.run["data"].get("name")))

    @property
    def seq_len(self) -> int:
        """Sequence length T."""
        return int(self.run["data"]["seq_len"] if self.kind == "train" else self.run["seq_len"])

    @property
    def seeds(self) -> tuple[int, int]:
        """What decided the initial weights, and what the order of the data."""
        seed = int(self.run.get("seed") or 0)
        return seed, seed if self.run.get("data_seed") is None else int(self.run["data_seed"])

    @property
    def rate(self) -> float | None:
        """The learning rate that it was trained at."""
        return (self.run.get("optim") or {}).get("lr")

    @property
    def rate_chosen(self) -> bool:
        """Was it trained at the rate that was chosen for its setting?"""
        return self.choice is not None and bool(self.choice.get("found")) and self.choice["lr"] == self.rate

    def number(self, name: str) -> float | None:
        """A metric as a float (it may be infinite); None where it is missing, not a number or NaN."""
        value = self.metrics.get(name)
        if isinstance(value, str | None) or math.isnan(value):
            return None
        return float(value)

    def curve(self, name: str) -> NDArray[np.float64] | None:
        """An array of ``curves.npz`` (nothing is unpickled), such as init/gradient_flow: (K+1,); None if absent.

        Read-only: who asks again gets the same.
        """
        if self.curves is None or (array := arrays(self.folder / self.curves).get(name)) is None:
            return None
        return np.asarray(array, dtype=np.float64)

    @property
    def curve_names(self) -> frozenset[str]:
        """What `curve` can be asked for; empty where there is no file, or none that can be read."""
        return frozenset() if self.curves is None else frozenset(arrays(self.folder / self.curves))

    def history(self) -> Iterator[dict[str, Any]]:
        """The rows of ``history.jsonl`` in order; a line cut off by a crash is left out."""
        with suppress(OSError, UnicodeDecodeError):
            for row in read_history(self.folder):
                if isinstance(row, dict):
                    yield {key: _number(value) for key, value in row.items()}


def read(paths: list[Path]) -> list[Result]:
    """Every finished job below the given folders (a runs folder, a study's or a run's), by study and id.

    Workers of a sweep slow each other down, so a training's speed is that which was measured apart (`speeds.json`), or
    by a run that had the machine to itself; else there is none. A ``result.json`` that cannot be read, or is of a data
    set that the catalogue does not know, is skipped with one line on stderr. No result at all is a UserError.
    """
    results: dict[Path, Result] = {}
    by_setting: dict[Path, tuple[Settings, Settings]] = {}
    for path in paths:
        if not path.is_dir():
            raise UserError(f"{path} is not a folder; give a runs folder, a study's folder or a run's folder.")
        for folder in _run_folders(path.resolve()):
            study = folder.parent
            if folder in results:
                continue
            if study not in by_setting:
                by_setting[study] = read_rates(study), read_speeds(study)
            try:
                run = packed(folder)
                values = json.loads((folder / RESULT).read_bytes()) if run is None else run[1].result
                results[folder] = _parse(folder, values, *by_setting[study])
            except (OSError, ValueError, TypeError, KeyError, AttributeError, UserError) as error:
                warn(folder / "result.json", error)
    if not results:
        where = ", ".join(map(str, paths))
        raise UserError(f"no finished run below {where}; expected <study>/<run>/result.json: train something first.")
    shown = _short_labels(results.values())
    return sorted(
        (replace(result, shown=shown) for result in results.values()) if shown else results.values(),
        key=lambda result: (str(result.folder.parent), result.id),
    )


def _short_labels(results: Iterable[Result]) -> dict[str, str]:
    """By their labels the classes of the users' own modules, but for those whose name another cell has as well."""
    runs = (result.run for result in results)
    cells = {
        c.label: c for run in runs for c in map(CellConfig.parse, run["cells"] if "cells" in run else [run["cell"]])
    }
    names: dict[str, set[str]] = {}
    for cell in cells.values():
        names.setdefault(cell.short_name, set()).add(cell.name)
    return {label: c.short for label, c in cells.items() if c.short != label and len(names[c.short_name]) == 1}


def by_study(results: list[Result]) -> dict[Path, list[Result]]:
    """Results by the study's folder, in the order in which they come."""
    out: dict[Path, list[Result]] = {}
    for result in results:
        out.setdefault(result.folder.parent, []).append(result)
    return out


def _run_folders(top: Path) -> Iterator[Path]:
    """The run directories with a result, those of packed runs too, which do not exist.

    What is inside a run directory (checkpoints, wandb) is not searched.
    """
    for folder, below, files in os.walk(top):
        if is_packed(Path(folder)) and (pack := pack_of(Path(folder))) is not None:
            yield from (Path(folder) / id for id in pack.runs if id not in below)
        elif RESULT in files:
            below.clear()
            yield Path(folder)


#: What a study's folder says of its runs' settings (`rnnbench.runs.setting_of`).
Settings = Mapping[str, Mapping[str, Any]]


def _parse(folder: Path, values: Any, rates: Settings, speeds: Settings) -> Result:
    """A Result whose every derived property works, or an exception that says what is wrong."""
    if values["status"] not in STATUSES:
        raise ValueError(f"status must be one of {', '.join(STATUSES)}, got {values['status']!r}")
    metrics = {_POINT.sub(r"\1", str(key)): _number(value) for key, value in (values.get("metrics") or {}).items()}
    for key, value in metrics.items():
        if key.endswith("/lyapunov_1") and isinstance(value, int | float) and value < LEAST_EXPONENT:
            metrics[key] = -math.inf
    environment = dict(values.get("environment") or {})
    choice = None
    if values["kind"] == "train":
        setting = setting_of(values["run"])
        choice, speed = rates.get(setting), speeds.get(setting)
        if speed is not None or environment.get("workers", 1) != 1:
            for name in SPEEDS:
                metrics.pop(f"throughput/{name}", None)
        for name in (*SPEEDS, "step_cpu_ms"):
            if speed is not None and isinstance(speed.get(name), int | float):
                metrics[f"throughput/{name}"] = float(speed[name])
        if speed is not None and isinstance(speed.get("environment"), Mapping):
            environment["timed_on"] = speed["environment"].get("device_name")
    result = Result(
        folder=folder,
        id=str(values["id"]),
        kind=str(values["kind"]),
        protocol=int(values.get("protocol", 1)),
        status=values["status"],
        run=values["run"],
        metrics=metrics,
        environment=environment,
        seconds=float(values.get("seconds") or 0.0),
        error=values.get("error"),
        curves=values.get("curves"),
        choice=choice,
    )
    if result.kind == "train":
        _ = result.cell, result.data, result.data_set, result.seq_len
    elif result.kind == "timing":
        _ = result.seq_len, [CellConfig.parse(cell) for cell in result.run["cells"]]
    else:
        raise ValueError(f'kind must be "train" or "timing", got {result.kind!r}')
    return result


def _number(value: Any) -> Any:
    """The floats that JSON has no way to write."""
    return {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}.get(value, value) if isinstance(value, str) else value


def warn(path: Path, error: Exception) -> None:
    """One line on stderr on what was left out."""
    text = f"{type(error).__name__}: {error}".replace("\n", " ")
    print(f"rnnbench: skipped {path}: {text}", file=sys.stderr)


def arrays(path: Path) -> Arrays:
    """All arrays of an ``.npz`` by name, read-only, nothing unpickled; none, and a line on stderr, if it is damaged.

    A report asks for each many times over: a file is opened once, and read anew where it was replaced.
    """
    for file in (path, path.parent.parent / PACK):  # a packed run has no file of its own
        with suppress(OSError):
            state = file.stat()
            return _arrays(path, state.st_mtime_ns, state.st_size)
    return _arrays(path, 0, 0)


@lru_cache(maxsize=1000)  # files; of a run on text each is some hundred kilobytes
def _arrays(path: Path, modified: int, size: int) -> Arrays:
    if (run := packed(path.parent)) is not None:
        return {_POINT.sub(r"\1", name): array for name, array in run[0].curves(path.parent.name).items()}
    out: Arrays = {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            for name in archive.files:
                array = out[_POINT.sub(r"\1", name)] = np.asarray(archive[name])
                array.flags.writeable = False  # it is handed out again and again
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        warn(path, error)
    return out
