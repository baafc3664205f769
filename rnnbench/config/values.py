"""Trees of frozen dataclasses to plain values and back, and the identity that follows from them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from rnnbench.config.cell import CellConfig
from rnnbench.config.plain import checked, quoted
from rnnbench.errors import UserError, unknown

#: Part of every identity and of every result. Raise it when a default or a definition changes what a Run's numbers
#: mean: results of an older protocol stay readable, and are neither taken for done nor averaged with new ones.
#: 1: the seed moved the streams' phase alone; gradient flow on the data alone, a sample without any gradient entering
#: its mean as log(tiny); text of the corpora split 90/5/5.
#: 2: the training text is rolled by a random offset; gradient flow on the data and on noise, samples without any
#: gradient counted apart; half of a corpus's validation part is held out for good.
PROTOCOL = 2

T = TypeVar("T")


def identity(job: Any, protocol: int = PROTOCOL) -> str:
    """Eight hexadecimal digits of the SHA-256 of the protocol and of what differs from the defaults.

    Only what differs, so that a field added later, with a default, leaves older results valid.
    """
    what = canonical({"protocol": protocol, **difference(job)})
    text = json.dumps(what, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def difference(job: Any) -> dict[str, Any]:
    """What of a job's plain nested values is not the default."""
    return differing(to_dict(job), to_dict(type(job)()))


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
        raise UserError(
            f"{prefix.rstrip('.') or cls.__name__} must be a mapping of keys to values, got {quoted(values)}."
        )
    hints = _hints(cls)  # type: ignore[arg-type]
    names = [item.name for item in dataclasses.fields(cls)]  # type: ignore[arg-type]
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if not isinstance(key, str):
            raise UserError(f"a key of {prefix.rstrip('.') or cls.__name__} must be a name, got {quoted(key)}.")
        if key not in names:
            known = [f"{prefix}{name}" for name in names]
            raise unknown("key", f"{prefix}{key if key.isidentifier() else quoted(key)}", known)
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
    value = checked(value, name)
    if origin is Literal:
        if isinstance(value, str | int) and value in options:
            return value
        raise UserError(f"{name} must be one of {', '.join(map(str, options))}, got {quoted(value)}.")
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
    raise UserError(f"{name} must be {getattr(hint, '__name__', hint)}, got {quoted(value)}.")


def check_fields(config: Any, room: str = "") -> None:
    """A dataclass made in Python, whose values nobody has looked at, held against its annotations; None is a default.

    Its values become what `check_value` makes of them: a float where an int stands for one.

    Raises:
        UserError: a value of the wrong type.
    """
    prefix = f"{room}." if room else ""
    defaults = {item.name: item.default for item in dataclasses.fields(config)}
    for name, hint in _hints(type(config)).items():  # type: ignore[arg-type]
        value = getattr(config, name)
        if value is None and defaults[name] is None:
            continue
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            if not isinstance(value, hint):
                raise UserError(f"{prefix}{name} must be a {hint.__name__}, got {quoted(value)}.")
            continue
        object.__setattr__(config, name, check_value(value, hint, f"{prefix}{name}"))


@cache
def _hints(cls: type) -> dict[str, Any]:
    names = {item.name for item in dataclasses.fields(cls)}
    return {name: hint for name, hint in get_type_hints(cls).items() if name in names}


def differing(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The entries of a nested mapping that are not the default's."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        default = defaults.get(key)
        if isinstance(value, dict) and isinstance(default, dict):
            if inner := differing(value, default):
                out[key] = inner
        elif value != default:
            out[key] = value
    return out


def canonical(value: Any) -> Any:
    """Plain nested values in which 3.0 is 3: the two are equal, so an identity must see the same in them."""
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
