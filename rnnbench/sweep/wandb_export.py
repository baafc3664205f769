"""A study as the YAML file of a W&B grid sweep."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnbench.config import Run
from rnnbench.errors import UserError
from rnnbench.sweep.study import Study
from rnnbench.sweep.wandb_sweep import flat, study_of_file, varying


def to_wandb(study: Study, preset: str, source: str) -> str:
    """The YAML text of a grid sweep whose runs are those of a preset.

    Args:
        source: The study's name or file as the user gave it, for the comment at the head.

    Raises:
        UserError: The study has timings, or a search, or no such preset.
    """
    import yaml

    runs = _runs(study, preset)
    tree = {
        "name": study.name,
        "description": study.question,
        "project": "rnnbench",
        "program": "rnnbench",
        "method": "grid",
        "command": ["${env}", "${program}", "train", "${args}", "--study", study.name, "--wandb", "online"],
        "parameters": _parameters([_independent(run) for run in runs]),
    }
    text = (
        f"# The {len(runs)} runs of {' '.join(source.split())}, preset {preset}, for agents of Weights & Biases:\n"
        "#   wandb sweep THIS_FILE, then, where rnnbench is on the PATH, wandb agent SWEEP_ID.\n"
        "# Without a server: rnnbench sweep THIS_FILE.\n"
    ) + yaml.safe_dump(tree, sort_keys=False, width=110)
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


def _independent(run: Run) -> dict[str, Any]:
    """The dotted values of a Run, without those that follow from others."""
    values = flat(run)
    if run.budget.steps is not None:
        del values["budget.tokens"]
    if run.data.path is not None and run.data.name == ("csv" if run.data.path.lower().endswith(".csv") else "text"):
        del values["data.name"]
    return values


def _parameters(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """W&B's parameters: fixed ones where they are not the defaults, then those that vary.

    A key whose every value meets everything else is a parameter of its own. Keys that vary together, like a batch that
    shrinks as the length grows, are values of ``config``: JSON of a part of a Run.
    """
    defaults = flat(Run())
    keys = varying(rows)
    # data.seq_len always, as a data set may have a length of its own.
    fixed = {k: v for k, v in rows[0].items() if k not in keys and (k == "data.seq_len" or v != defaults[k])}
    free = [key for key in keys if _meets_all(rows, key) and all(_is_flag(row.get(key)) for row in rows)]
    together = [key for key in keys if key not in free]
    with_name = {"data.path"} if "data.name" in together else set()  # csv is no Run without its file
    part = {key: value for key, value in fixed.items() if key in with_name or not _is_flag(value)}
    parameters: dict[str, dict[str, Any]] = {key: {"value": value} for key, value in fixed.items() if key not in part}
    parameters |= {key: {"values": list(dict.fromkeys(row[key] for row in rows))} for key in free}
    if together or part:
        parts = [part | {key: row[key] for key in together if key in row} for row in rows]
        texts = list(dict.fromkeys(json.dumps(_nested(values), ensure_ascii=False) for values in parts))
        parameters["config"] = {"values": texts} if len(texts) > 1 else {"value": texts[0]}
    return parameters or {"seed": {"value": rows[0]["seed"]}}  # W&B wants one


def _meets_all(rows: Sequence[Mapping[str, Any]], key: str) -> bool:
    """Whether the set of rows is the product of the key's values and of what the rows are without it."""
    rest = {tuple((name, value) for name, value in row.items() if name != key) for row in rows}
    whole = {tuple(row.items()) for row in rows}
    return len(whole) == len({row.get(key, ...) for row in rows}) * len(rest)


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted values as a part of a Run."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        section, _, name = key.partition(".")
        if name:
            out.setdefault(section, {})[name] = value
        else:
            out[section] = json.loads(value) if key == "cell" and value.startswith("{") else value
    return out


def _is_flag(value: Any) -> bool:
    """Whether ``--key=value``, as W&B's agent writes it with Python's str, is read as that value again."""
    return isinstance(value, int | float) or (isinstance(value, str) and value.lower() not in ("null", "none", "~", ""))


def _check(text: str, runs: Sequence[Run]) -> None:
    """What was written, read again, is the same runs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sweep.yaml"
        path.write_text(text, encoding="utf-8")
        again = study_of_file(path)[0].jobs("quick")
    if different := {run.id for run in runs} ^ {run.id for run in again}:
        raise UserError(f"the sweep file would not bring back {sorted(different)[0]}; use rnnbench sweep instead.")
