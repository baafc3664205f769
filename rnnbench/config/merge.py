"""Nested values of a Run laid over others, as flags are over a file: what is said last wins, whatever it excludes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from rnnbench.catalog import DATA_SETS
from rnnbench.config.cell import CellConfig
from rnnbench.config.parts import EXCLUSIONS, FOLLOWS, DataConfig
from rnnbench.config.run import Run
from rnnbench.config.values import from_dict
from rnnbench.errors import UserError


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values laid over those of a Run, or of parts of one.

    A Run that was written down as a whole holds more than anybody has said. So left out of what lies below is, beside
    what is said anew: what that excludes (tokens, where steps are given now); what was there because it follows from a
    value that is replaced (a data set's own length); and options that another data set or cell has, and the new one
    has not.

    Args:
        below: From which a Run can be made.
        above: Of ``cell`` a mapping, whose name may be missing.
    """
    out = {**below, **above}
    for name, default in vars(Run()).items():
        if name == "cell" and name in above:
            out[name] = _cell(below.get(name, {}), above[name])
        elif dataclasses.is_dataclass(default) and name in below and isinstance(above.get(name), Mapping):
            mapping = isinstance(below[name], Mapping)  # what is none is for `Run.from_dict` to refuse
            out[name] = _part(name, type(default), below[name], above[name]) if mapping else below[name]
    return out


def _cell(below: Any, above: Mapping[str, Any]) -> dict[str, Any]:
    before = CellConfig.parse(below)
    same = above.get("name", before.name) == before.name
    return {"name": before.name, **(before.options if same else {}), **above}


def _part(name: str, kind: type, below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    kept = {
        key: value
        for key, value in below.items()
        if not (_followed(name, kind, key, below, above) or _excluded(name, key, value, above))
    }
    out = {**kept, **above}
    if kind is DataConfig and out.get("val_path") and out.get("test_path") and "split" not in above:
        out.pop("split", None)  # nothing is left to divide
    if kind is DataConfig and {"path", "name"} & above.keys():
        data = DATA_SETS.get(str(from_dict(DataConfig, {key: out[key] for key in ("path", "name") if key in out}).name))
        out = {key: value for key, value in out.items() if key in above or data is None or data.understands(key)}
    return out


def _followed(part: str, kind: type, key: str, below: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    """Whether a value is the one that follows from others written beside it, of which one is replaced."""
    sources = FOLLOWS.get(part, {}).get(key, ())
    if not (below.keys() & sources and above.keys() & sources):
        return False
    try:
        rest: Any = from_dict(kind, {other: value for other, value in below.items() if other != key})
    except UserError:
        return False
    return bool(getattr(rest, key) == below[key])


def _excluded(part: str, key: str, value: Any, above: Mapping[str, Any]) -> bool:
    """Whether there is no room for a value beside those above it."""
    for one in EXCLUSIONS:
        if one.part == part and key in one.names:
            (_, idle), (other, others) = sorted(zip(one.names, one.idle, strict=True), key=lambda pair: pair[0] != key)
            if value not in idle and other in above and above[other] not in others:
                return True
    return False
