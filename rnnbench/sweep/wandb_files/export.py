"""What varies among runs, and which of it varies together.

A set of runs is a grid where every value of one key meets every value of another. Keys that do not meet so, like a
batch that shrinks as the length grows, make one factor; the finest such partition is unique.
"""

from __future__ import annotations

import itertools
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from rnnbench.config import Run
from rnnbench.errors import UserError
from rnnbench.sweep.study import Study
from rnnbench.sweep.wandb_files.sweep_file import flat

#: Factors up to which all subsets are tried.
MOST_FACTORS = 12


def varying(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys that are not the same in all rows, or not in all, in order of appearance."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return [key for key in keys if len(_projection(rows, (key,))) > 1]


def factors(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[tuple[str, ...]]:
    """The finest groups of keys such that the set of rows is the product of what it is on each group.

    Args:
        rows: Hashable values by key; all that differ, differ in one of ``keys``.
        keys: Those that vary.
    """
    groups: list[tuple[str, ...]] = [(key,) for key in keys]
    for one, other in combinations(keys, 2):  # dependent pairs lie in one group: what is left is searched below
        if len(_projection(rows, (one, other))) < len(_projection(rows, (one,))) * len(_projection(rows, (other,))):
            groups = _joined(groups, one, other)
    if len(groups) > MOST_FACTORS:
        return groups if _is_product(rows, groups) else [tuple(keys)]
    found: list[tuple[str, ...]] = []
    while groups:
        factor = _smallest(rows, groups)
        found.append(tuple(key for key in keys if any(key in group for group in factor)))
        groups = [group for group in groups if group not in factor]
    return sorted(found, key=lambda group: keys.index(group[0]))


def _smallest(rows: Sequence[Mapping[str, Any]], groups: list[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """The fewest of the groups, the first among them, that all others are independent of."""
    first, *rest = groups
    for size in range(len(rest)):
        for chosen in combinations(rest, size):
            inside = (first, *chosen)
            if _is_product(rows, [sum(inside, ()), sum((group for group in groups if group not in inside), ())]):
                return inside
    return tuple(groups)


def _is_product(rows: Sequence[Mapping[str, Any]], groups: Sequence[tuple[str, ...]]) -> bool:
    together = len(_projection(rows, sum(groups, ())))
    return together == math.prod(len(_projection(rows, group)) for group in groups)


def _joined(groups: list[tuple[str, ...]], one: str, other: str) -> list[tuple[str, ...]]:
    """The groups with those of two keys made one."""
    those = [group for group in groups if one in group or other in group]
    return [group for group in groups if group not in those] + [sum(those, ())]


def _projection(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> set[tuple[Any, ...]]:
    """The distinct values of some keys; a key that a row lacks is a value of its own."""
    return {tuple(row.get(key, ...) for key in keys) for row in rows}


def to_wandb(study: Study, preset: str, source: str) -> str:
    """The YAML text of a grid sweep whose runs are those of a preset.

    Args:
        study: The study; its runs must not depend on results.
        preset: Its name.
        source: What was asked for, for the comment at the head: the study's name or file.

    Raises:
        UserError: It has timings, or a search, or no such preset.
    """
    runs = _runs(study, preset)
    parameters = _parameters([_said(run) for run in runs])
    tree = {
        "name": study.name,
        "description": study.question,
        "project": "rnnbench",
        "program": "rnnbench",
        "method": "grid",
        "command": ["${env}", "${program}", "train", "${args}", "--study", study.name, "--wandb", "online"],
        "parameters": parameters,
    }
    head = (
        f"# The {len(runs)} runs of {' '.join(source.split())}, preset {preset}, for agents of Weights & Biases:\n"
        "#   wandb sweep THIS_FILE, then, where rnnbench is on the PATH, wandb agent SWEEP_ID.\n"
        "# Without a server: rnnbench sweep THIS_FILE.\n"
    )
    text = head + _yaml(tree)
    _check(text, runs)
    return text


def _runs(study: Study, preset: str) -> list[Run]:
    jobs = study.jobs(preset)
    if study.follow_up is not None:
        raise UserError(f"{study.name} asks for later runs by the results of earlier ones, which a W&B sweep cannot.")
    runs = [job for job in jobs if isinstance(job, Run)]
    if len(runs) < len(jobs):
        raise UserError(f"{study.name} times contestants in turns, which W&B agents cannot; export a study of runs.")
    if not runs:
        raise UserError(f"{study.name} has no runs in its preset {preset}; there is nothing to export.")
    return runs


def _said(run: Run) -> dict[str, Any]:
    """The dotted values that must be said for a Run to come out: without those that follow from others."""
    values = flat(run)
    if run.budget.steps is not None:
        del values["budget.tokens"]
    if run.data.path is not None and run.data.name == ("csv" if run.data.path.lower().endswith(".csv") else "text"):
        del values["data.name"]
    return values


def _parameters(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """W&B's parameters: fixed ones where they are not the defaults, then those that vary."""
    defaults = flat(Run())
    keys = varying(rows)
    fixed = {key: value for key, value in rows[0].items() if key not in keys and _must_be_said(key, value, defaults)}
    groups = factors(rows, keys)
    free = [group[0] for group in groups if len(group) == 1 and all(_is_flag(row.get(group[0])) for row in rows)]
    bound = [group for group in groups if group[0] not in free]
    own = {"data.path"} if any("data.name" in group for group in bound) else set()  # csv is no Run without its file
    silent = {key: value for key, value in fixed.items() if key in own or not _is_flag(value)}
    parameters: dict[str, dict[str, Any]] = {key: {"value": value} for key, value in fixed.items() if key not in silent}
    parameters |= {key: {"values": list(dict.fromkeys(row[key] for row in rows))} for key in free}
    if bound or silent:
        parts = [_distinct(rows, group) for group in bound]
        texts = [json.dumps(_nested([silent, *chosen]), ensure_ascii=False) for chosen in itertools.product(*parts)]
        parameters["config"] = {"values": texts} if len(texts) > 1 else {"value": texts[0]}
    return parameters or {"seed": {"value": rows[0]["seed"]}}  # W&B wants one


def _must_be_said(key: str, value: Any, defaults: Mapping[str, Any]) -> bool:
    return key == "data.seq_len" or value != defaults[key]  # a data set has a length of its own


def _is_flag(value: Any) -> bool:
    """Whether ``--key=value``, as W&B's agent writes it with Python's str, is read as that value again."""
    return isinstance(value, int | float) or (isinstance(value, str) and value.lower() not in ("null", "none", "~", ""))


def _distinct(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[dict[str, Any]]:
    """What the rows have at some keys, each once, in order."""
    found = {tuple(row.get(key, ...) for key in keys): {key: row[key] for key in keys if key in row} for row in rows}
    return list(found.values())


def _nested(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Dotted values as a part of a Run."""
    out: dict[str, Any] = {}
    for key, value in (item for part in parts for item in part.items()):
        room, _, name = key.partition(".")
        if name:
            out.setdefault(room, {})[name] = value
        else:
            out[room] = json.loads(value) if key == "cell" and value.startswith("{") else value
    return out


def _yaml(tree: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(tree, sort_keys=False, width=110)


def _check(text: str, runs: Sequence[Run]) -> None:
    """What was written, read again, is the same runs."""
    from rnnbench.sweep.wandb_files.sweep_file import study_of_file

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sweep.yaml"
        path.write_text(text, encoding="utf-8")
        again = study_of_file(path)[0].jobs("quick")
    missing = {run.id for run in runs} ^ {run.id for run in again}
    if missing:
        raise UserError(f"the sweep file would not bring back {sorted(missing)[0]}; use rnnbench sweep instead.")
