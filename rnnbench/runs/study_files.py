"""What lies in a study's folder beside its runs: what the study is, the learning rates chosen for it, and its speeds.

runs/<study>/
    study.json           the question, and which runs are to be compared with each other
    learning_rates.json  for each setting the rates tried, on validation, and the one chosen
    speeds.json          how fast each setting trains, measured by itself once the runs were done
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rnnbench.config import Run
from rnnbench.config.values import PROTOCOL, canonical, differing
from rnnbench.runs.files import write_atomic
from rnnbench.runs.packs import read_study_file

STUDY, RATES, SPEEDS = "study.json", "learning_rates.json", "speeds.json"


@dataclass(frozen=True)
class PanelFile:
    """A panel as `study.json` has it.

    Args:
        name: In the names of its tables and figures; "" of a study that has but one.
        title: What varies, and what is the same for all, in a sentence.
        axis: The setting along which its figures are drawn, by its dotted name.
        runs: The ids of its jobs.
    """

    name: str = ""
    title: str = ""
    axis: str = "data.seq_len"
    runs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class StudyFile:
    """What a study says of itself.

    Args:
        question: What it asks, in a sentence.
        search: Its runs look for the longest T that can be learnt, so not all lengths are tried for all.
        panels: In their order.
    """

    question: str = ""
    search: bool = False
    panels: tuple[PanelFile, ...] = ()


def read_study(folder: Path) -> StudyFile:
    """What `study.json` says; an empty description where there is none, or none that can be read."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        facts = json.loads(read_study_file(folder, STUDY))
        panels = tuple(
            PanelFile(str(one["name"]), str(one["title"]), str(one["axis"]), frozenset(map(str, one["runs"])))
            for one in facts["panels"]
        )
        return StudyFile(str(facts["question"]), bool(facts["search"]), panels)
    return StudyFile()


def write_study(folder: Path, study: StudyFile) -> None:
    """Write `study.json`; the runs that a panel of the same name had before, of another preset say, stay in it."""
    before = {panel.name: panel for panel in read_study(folder).panels}
    panels = [
        {
            "name": panel.name,
            "title": panel.title,
            "axis": panel.axis,
            "runs": sorted(panel.runs | before.pop(panel.name, panel).runs),
        }
        for panel in study.panels
    ]
    panels += [{"name": p.name, "title": p.title, "axis": p.axis, "runs": sorted(p.runs)} for p in before.values()]
    content = json.dumps({"question": study.question, "search": study.search, "panels": panels}, indent=1).encode()
    with suppress(FileNotFoundError):
        if read_study_file(folder, STUDY) == content:
            return
    write_atomic(folder / STUDY, content)


def setting_of(run: Mapping[str, Any]) -> str:
    """What a run's training is but for seeds and learning rate, as canonical JSON: runs that share it are one group.

    Only what differs from the defaults, as in a run's identity: a field that is added later changes no setting that was
    written down before.

    run: Its plain nested values. What is measured beside the training (``probes``) is no part of it.
    """
    kept = {key: value for key, value in run.items() if key not in ("seed", "data_seed", "probes")}
    kept["optim"] = {key: value for key, value in dict(kept.get("optim") or {}).items() if key != "lr"}
    return json.dumps(canonical(differing(kept, _defaults())), sort_keys=True)


@cache
def _defaults() -> dict[str, Any]:
    return Run().to_dict()


def write_rates(folder: Path, choices: Sequence[Mapping[str, Any]]) -> None:
    """Write `learning_rates.json`: for each setting what was tried and chosen, see `rnnbench.sweep.tuning.Choice`."""
    content = {"protocol": PROTOCOL, "choices": list(choices)}
    write_atomic(folder / RATES, json.dumps(content, indent=1, ensure_ascii=False).encode())


def read_rates(folder: Path) -> dict[str, dict[str, Any]]:
    """The choices of `learning_rates.json` by setting; empty where there are none, or of another protocol."""
    return _by_setting(folder / RATES, "choices", _is_choice)


def write_speeds(folder: Path, speeds: Iterable[Mapping[str, Any]]) -> None:
    """Write `speeds.json`: of each setting its ``config``, its figures and its ``environment``; others in it stay."""
    merged = read_speeds(folder) | {setting_of(speed["config"]): dict(speed) for speed in speeds}
    content = {"protocol": PROTOCOL, "speeds": list(merged.values())}
    write_atomic(folder / SPEEDS, json.dumps(content, indent=1, ensure_ascii=False).encode())


def read_speeds(folder: Path) -> dict[str, dict[str, Any]]:
    """The figures of `speeds.json` by setting; empty where there are none, or of another protocol."""
    return _by_setting(folder / SPEEDS, "speeds", lambda entry: True)


def _is_choice(entry: Mapping[str, Any]) -> bool:
    """Does it say all that `rnnbench.sweep.tuning.Choice` wrote?"""
    rates = [(float(one["lr"]), int(one["lost"]), int(one["trials"]), one["score"]) for one in entry["rates"]]
    known = {"about", "metric", "at_edge"} <= entry.keys() and isinstance(entry["lr"], float | int)
    return known and entry["lr"] in [lr for lr, *_ in rates]


def _by_setting(path: Path, name: str, whole: Callable[[Mapping[str, Any]], bool]) -> dict[str, dict[str, Any]]:
    """The entries of a file that are whole; of a damaged file those that can be read."""
    out: dict[str, dict[str, Any]] = {}
    with suppress(OSError, ValueError, TypeError, KeyError):
        facts = json.loads(read_study_file(path.parent, path.name))
        for entry in facts[name] if facts["protocol"] == PROTOCOL else ():
            with suppress(ValueError, TypeError, KeyError, AttributeError):
                if whole(entry):
                    out[setting_of(entry["config"])] = entry
    return out
