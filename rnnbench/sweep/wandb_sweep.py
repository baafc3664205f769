"""The YAML file of a W&B sweep as a Study, without a server; a Run as dotted keys, ``data.seq_len: 64``, and back."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnbench.catalog import data_set
from rnnbench.config import CellConfig, Run
from rnnbench.config.plain import quoted, read_yaml
from rnnbench.config.run import merge
from rnnbench.config.timing import Timing
from rnnbench.errors import UserError, told, unknown
from rnnbench.sweep.study import Study
from rnnbench.sweep.wandb_parameters import Parameter, plainly

#: Runs that one file may ask for.
MOST_RUNS = 10_000
#: Values in a file and how deep they may lie: by YAML's anchors a file may contain itself, or double with every line.
MOST_VALUES, DEEPEST = 200_000, 12
#: W&B's rule for a parameter's name.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
READ = ("name", "description", "method", "parameters", "run_cap")
#: Further keys of W&B's files, and why they change nothing here.
UNUSED = {
    "early_terminate": "every run has its whole budget",
    "command": "the runs are those of rnnbench train",
    "program": "the runs are those of rnnbench train",
    "project": "the projection goes to rnnbench",
    "entity": "WANDB_ENTITY names it",
    **dict.fromkeys(("apiVersion", "kind", "controller", "job", "image_uri", "settings", "scheduler", "metrics"), ""),
}


# --- a Run as dotted keys ---------------------------------------------------------------------------------------------


def flat(run: Run | Timing) -> dict[str, Any]:
    """A Run (or a Timing) as dotted keys and plain values; a cell with options is one value, its JSON."""
    values = run.to_dict()
    if isinstance(values.get("cell"), Mapping):
        values["cell"] = json.dumps(values["cell"], ensure_ascii=False)
    out: dict[str, Any] = {}
    for key, value in values.items():
        out |= {f"{key}.{name}": item for name, item in value.items()} if isinstance(value, Mapping) else {key: value}
    return out


def varying(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys that are not the same in all rows, or not in all, in order of appearance."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return [key for key in keys if len({row.get(key, ...) for row in rows}) > 1]


def run_of(values: Mapping[str, Any]) -> Run:
    """The Run of dotted values.

    Args:
        values: By dotted key, of which a longer one goes over a shorter one; ``config`` is a part of a Run, as a
            mapping or as JSON, that all others go over.

    Raises:
        UserError: They do not make a Run.
    """
    try:
        above = _nested({key: value for key, value in values.items() if key != "config"})
        run = Run.from_dict(merge(_part(values["config"]), above) if "config" in values else above)
        run.id.encode()
    except UserError:
        raise
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:  # numbers without end, half characters
        raise UserError(f"{quoted(dict(values))} is no run ({told(error)}).") from None
    if run.data.path is None:
        data_set(str(run.data.name))
    return run


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted values as the tree of a Run; never a mapping that the file's tree shares."""
    tree: dict[str, Any] = {}
    for name in sorted(values, key=lambda name: (name.count("."), name)):
        *sections, key = name.split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
            if not isinstance(branch, dict):
                raise UserError(f"parameter {name} goes into {section}, which is {quoted(branch)} and no mapping.")
        value, below = values[name], branch.get(key)
        if name == "cell":  # in any of its spellings, as a mapping, so that its options can be laid over
            cell = CellConfig.parse(value)
            value = {"name": cell.name, **cell.options}
        if isinstance(value, Mapping):
            value = {**(below if isinstance(below, Mapping) else {}), **value}
        branch[key] = value
    return tree


def _part(value: Any) -> dict[str, Any]:
    """The value of ``config``: a mapping, or the JSON of one."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise UserError(f"config must be a part of a Run as JSON, got {quoted(value)}.") from None
    if not isinstance(value, Mapping):
        raise UserError(f"config must be a part of a Run, a mapping of keys to values, got {quoted(value)}.")
    return dict(value)


# --- the file ---------------------------------------------------------------------------------------------------------


def study_of_file(path: Path, count: int | None = None) -> tuple[Study, list[str]]:
    """The study that a sweep file describes, under the preset ``quick``, and notes on what of the file is not used.

    A grid's runs are in W&B's order: parameters by name, the last fastest. A random draw is a pure function of the
    sweep's name, the parameter's name and the draw's number: a killed sweep resumes, one with a larger count is
    extended, and another range of one parameter leaves the others' draws what they were.

    Args:
        path: The YAML file.
        count: How many runs to take: needed for random unless the file has a run_cap; of a grid, the first ones.

    Raises:
        UserError: The file is not there, is no sweep, or asks for what is no Run.
    """
    import yaml

    try:
        tree = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the sweep {path}: {getattr(error, 'strerror', None) or error}.") from None
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise UserError(f"the sweep {path} is not YAML{where}: {problem or told(error)}.") from None
    try:
        _check_size(tree)
        return _study(tree, path, count)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _study(tree: Any, path: Path, count: int | None) -> tuple[Study, list[str]]:
    if not isinstance(tree, Mapping) or "parameters" not in tree:
        raise UserError("a sweep is a mapping with method and parameters.")
    for key in tree:
        if key not in (*READ, "metric", *UNUSED):
            raise unknown("key of a sweep", plainly(key), [*READ, "metric", *UNUSED])
    method = tree.get("method")
    if method in ("bayes", "custom"):
        raise UserError(f"method {method} needs W&B's server, which chooses; use grid or random, or --tune_lr.")
    if method not in ("grid", "random"):
        raise UserError(f"method must be grid or random, got {quoted(method)}.")
    name = _slug(tree.get("name")) or _slug(path.stem) or "sweep"
    parameters = list(_parameters(tree["parameters"]))
    names = [parameter.name for parameter in parameters]
    if twice := [one for one in names if names.count(one) > 1]:
        raise UserError(f"parameter {twice[0]} is given twice.")
    wanted = _wanted(count, tree.get("run_cap"))
    if method == "random" and wanted is None:
        raise UserError("how many runs a random sweep has is not said; give --count N, or run_cap in the file.")
    runs: dict[str, Run] = {}  # each once: equal values may be listed twice, and a random draw may repeat
    for values in _grid(parameters) if method == "grid" else _random(parameters, name, wanted or 0):
        run = run_of(values)
        runs.setdefault(run.id, run)
        if len(runs) == wanted:
            break
    question = " ".join(str(tree.get("description") or "").split())
    if not question:
        chosen = [parameter.name for parameter in parameters if parameter.distribution != "constant"]
        question = f"What comes of {', '.join(chosen) or 'these settings'}?"
    return Study(name, question, {"quick": lambda: tuple(runs.values())}), _notes(tree)


def _check_size(tree: Any) -> None:
    waiting, count = [(tree, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if count > MOST_VALUES or depth > DEEPEST:
            raise UserError(
                "it is too large or too deep for a sweep, or contains itself; write it out without anchors."
            )
        if isinstance(value, Mapping | list | tuple | set):
            waiting += [(item, depth + 1) for item in (value.values() if isinstance(value, Mapping) else value)]


def _wanted(count: int | None, cap: Any) -> int | None:
    if cap is not None and (not isinstance(cap, int) or isinstance(cap, bool) or cap < 1):
        raise UserError(f"run_cap must be a positive whole number, got {quoted(cap)}.")
    if count is not None and count < 1:
        raise UserError(f"the count must be at least 1, got {count}.")
    wanted = count if count is not None else cap
    if wanted is not None and wanted > MOST_RUNS:
        raise UserError(f"{wanted} runs are too many for one sweep; {MOST_RUNS} is the most.")
    return wanted


def _notes(tree: Mapping[str, Any]) -> list[str]:
    """The keys of the file that are not used, and why; an exported file's own command needs no note."""
    silent = {"project"} if tree.get("project") == "rnnbench" else set()
    if "rnnbench" in str([tree.get("program"), tree.get("command")]):
        silent |= {"program", "command"}
    unused = [key for key in UNUSED if key in tree and key not in silent]
    return [f"{key} is not used{f': {UNUSED[key]}' if UNUSED[key] else ''}" for key in unused]


def _slug(name: Any) -> str:
    """A name as that of a folder."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", str(name or "")).strip("_.-")[:100]


def _parameters(tree: Any, prefix: str = "") -> Iterator[Parameter]:
    """Every parameter below ``parameters``, in W&B's order, by its dotted name."""
    what = f"parameters of {prefix.rstrip('.')}" if prefix else "parameters"
    if not isinstance(tree, Mapping) or not tree:
        raise UserError(f"{what} must be a mapping of names, got {quoted(tree)}.")
    for key in tree:
        if not isinstance(key, str) or not NAME.fullmatch(key):
            raise UserError(f"{what} must have names of letters, digits, _, - and dots, got {quoted(key)}.")
    for key, settings in sorted(tree.items()):
        if not isinstance(settings, Mapping):
            raise UserError(
                f"parameter {prefix}{key} must be a mapping (value: {quoted(settings)}), got {quoted(settings)}."
            )
        if set(settings) == {"parameters"}:
            yield from _parameters(settings["parameters"], f"{prefix}{key}.")
        else:
            yield Parameter.parse(f"{prefix}{key}", settings)


def _grid(parameters: Sequence[Parameter]) -> Iterator[dict[str, Any]]:
    values = [parameter.grid() for parameter in parameters]
    size = math.prod(map(len, values))
    if size > MOST_RUNS:
        raise UserError(f"the grid has {size} runs, {MOST_RUNS} is the most; take values away or use method random.")
    for chosen in itertools.product(*values):
        yield {parameter.name: value for parameter, value in zip(parameters, chosen, strict=True)}


def _random(parameters: Sequence[Parameter], sweep: str, count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {p.name: p.quantile(uniform(sweep, p.name, number)) for p in parameters}


def uniform(*of: str | int) -> float:
    """A number strictly between 0 and 1, a pure function of what it is of."""
    digest = hashlib.sha256(json.dumps(of).encode()).digest()
    return (int.from_bytes(digest[:6], "big") + 0.5) / 2**48
