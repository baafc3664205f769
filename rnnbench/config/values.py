"""Trees of frozen dataclasses to plain values and back, and the identity that follows from them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from rnnbench.config.cell import CellConfig
from rnnbench.errors import UserError, unknown

#: Part of every identity. Raise it when a default or a definition changes what a Run's numbers mean.
PROTOCOL = 1

T = TypeVar("T")


def identity(job: Any) -> str:
    """Eight hexadecimal digits of the SHA-256 of what differs from the defaults.

    Only what differs, so that a field added later, with a default, leaves older results valid.
    """
    values, defaults = to_dict(job), to_dict(type(job)())
    what = _canonical({"protocol": PROTOCOL, **_difference(values, defaults)})
    text = json.dumps(what, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def to_dict(config: Any) -> dict[str, Any]:
    """A tree of dataclasses as plain nested values."""
    out: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if isinstance(value, CellConfig):
            value = value.plain()
        elif dataclasses.is_dataclass(value):
            value = to_dict(value)
        elif isinstance(value, tuple):
            value = [v.plain() if isinstance(v, CellConfig) else v for v in value]
        out[item.name] = value
    return out


def from_dict(cls: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """A dataclass tree from nested values, with every unknown key refused by its dotted name."""
    if not isinstance(values, Mapping):
        raise UserError(f"{prefix.rstrip('.') or cls.__name__} must be a mapping of keys to values, got {values!r}.")
    hints = get_type_hints(cls)
    names = [item.name for item in dataclasses.fields(cls)]  # type: ignore[arg-type]
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in names:
            raise unknown("key", f"{prefix}{key}", [f"{prefix}{name}" for name in names])
        hint = hints[key]
        if hint is CellConfig:
            arguments[key] = CellConfig.parse(value)
        elif isinstance(hint, type) and dataclasses.is_dataclass(hint):
            arguments[key] = from_dict(hint, value, f"{prefix}{key}.")
        else:
            arguments[key] = check_value(value, hint, f"{prefix}{key}")
    return cls(**arguments)


def check_value(value: Any, hint: Any, name: str) -> Any:
    """The value, if it is what the annotation says (an int may stand for a float, a list for a tuple)."""
    origin, options = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value in options:
            return value
        raise UserError(f"{name} must be one of {', '.join(map(str, options))}, got {value!r}.")
    if origin in (UnionType, Union):
        if value is None and type(None) in options:
            return None
        return check_value(value, next(option for option in options if option is not type(None)), name)
    if origin is tuple:
        if isinstance(value, list | tuple):
            return tuple(
                CellConfig.parse(v) if options[0] is CellConfig else check_value(v, options[0], name) for v in value
            )
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise UserError(f"{name} must be {getattr(hint, '__name__', hint)}, got {value!r}.")


def _difference(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The entries of a nested mapping that are not the default's."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        default = defaults.get(key)
        if isinstance(value, dict) and isinstance(default, dict):
            if inner := _difference(value, default):
                out[key] = inner
        elif value != default:
            out[key] = value
    return out


def _canonical(value: Any) -> Any:
    """3 and 3.0 are equal, so the identity must see the same in them."""
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
