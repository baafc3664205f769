"""A Run as dotted keys and plain values, ``data.seq_len: 64``, and back: how flags and sweeps name its parts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rnnbench.config import CellConfig, Run
from rnnbench.config.merge import merge
from rnnbench.config.plain import quoted
from rnnbench.data.catalog import entry
from rnnbench.errors import UserError, told


def flat(run: Run) -> dict[str, Any]:
    """A Run as dotted keys and plain values; a cell with options is one value, its JSON."""
    out: dict[str, Any] = {}
    for key, value in run.to_dict().items():
        if key == "cell":
            out["cell"] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        elif isinstance(value, Mapping):
            out |= {f"{key}.{name}": item for name, item in value.items()}
        else:
            out[key] = value
    return out


def run_of(values: Mapping[str, Any]) -> Run:
    """The Run of dotted values.

    Args:
        values: By dotted key, of which a longer one goes over a shorter one; ``config`` is a part of a Run, as a
            mapping or as JSON, that all others go over.

    Raises:
        UserError: It is none.
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
        entry(str(run.data.name))
    return run


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted values as the tree of a Run; the longer name goes over the shorter one."""
    tree: dict[str, Any] = {}
    for name in sorted(values, key=lambda name: (name.count("."), name)):
        *rooms, key = name.split(".")
        value = _cell(values[name]) if name == "cell" else values[name]
        at = tree
        for room in rooms:
            at = at.setdefault(room, {})
            if not isinstance(at, dict):
                raise UserError(f"parameter {name} goes into {room}, which is {quoted(at)} and no mapping.")
        at[key] = _merged(at.get(key), value)
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


def _cell(value: Any) -> dict[str, Any]:
    """A cell in any of its spellings as a mapping, so that its options can be laid over."""
    cell = CellConfig.parse(value)
    return {"name": cell.name, **cell.options}


def _merged(below: Any, above: Any) -> Any:
    """A mapping laid over a mapping, else what lies above; never one that the file's tree shares."""
    if isinstance(above, Mapping):
        return {**below, **above} if isinstance(below, Mapping) else dict(above)
    return above
