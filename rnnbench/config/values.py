"""Trees of frozen dataclasses to plain values and back, each value checked once, and the identity that follows."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import cache, cached_property
from types import UnionType
from typing import Annotated, Any, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from rnnbench.config.plain import LARGEST, checked, quoted, read_yaml
from rnnbench.errors import UserError, unknown

#: Packages whose cells are called PACKAGE:NAME. Any other name with a colon is of the user's own module:
#: ``file.py:Class`` or ``package.module:Class``.
PEERS = ("torch", "torchrecurrent")
#: Part of every identity and of every result. Raise it when a default or a definition changes what a Run's numbers
#: mean: results of an older protocol stay readable, and are neither taken for done nor averaged with new ones.
#: 1: the seed moved the streams' phase alone; gradient flow on the data alone, a sample without any gradient entering
#: its mean as log(tiny); text of the corpora split 90/5/5.
#: 2: the training text is rolled by a random offset; gradient flow on the data and on noise, samples without any
#: gradient counted apart; half of a corpus's validation part is held out for good.
PROTOCOL = 2

Scalar = str | int | float | bool | None
#: A cell's option: a plain value or a list of them.
Option = Scalar | list[Scalar]
T = TypeVar("T")


@dataclass(frozen=True)
class CellConfig:
    """Which cell, and the options that its constructor takes: ``lstm`` or ``{name: lstm, forget_bias: 3}``.

    An option is a plain value or a list of them; a function or an enum's member is given by its name. 3 and 3.0 are one
    value, an int here; the cell is given what its constructor declares.
    """

    name: str = "lstm"
    options: Mapping[str, Option] = field(default_factory=dict)

    def __post_init__(self) -> None:
        options = self.options
        if not isinstance(self.name, str) or not isinstance(options, Mapping):
            raise _no_cell({"name": self.name, **options} if isinstance(options, Mapping) else options)
        checked(self.name, "cell")
        plain: dict[str, Option] = {}
        for key, item in options.items():
            if not isinstance(key, str) or not key.isidentifier():
                raise UserError(f"a cell option must be a name, got {quoted(key)}.")
            plain[key] = [_scalar(one, key) for one in item] if isinstance(item, list | tuple) else _scalar(item, key)
        object.__setattr__(self, "options", plain)

    @property
    def label(self) -> str:
        """``lstm`` or ``lstm(forget_bias=3)``: names it, whatever other cells there are."""
        return self._with_options(self.name)

    @property
    def short(self) -> str:
        """``Leaky(a=0.9)`` of ``cells/leaky.py:Leaky``, else the label: how tables name it, unless two share it."""
        return self._with_options(self.short_name)

    @property
    def short_name(self) -> str:
        """The class alone where that is of the user's own module."""
        place, _, name = self.name.rpartition(":")
        return name if place and place not in PEERS else self.name

    def _with_options(self, name: str) -> str:
        inside = ", ".join(f"{key}={value}" for key, value in sorted(self.options.items()))
        return f"{name}({inside})" if inside else name

    @classmethod
    def parse(cls, value: str | Mapping[str, Any] | CellConfig) -> CellConfig:
        """From a name, a label, ``{"name": …, option: …}`` or its JSON, or from itself."""
        if isinstance(value, CellConfig):
            return value
        if isinstance(value, str):
            text = value.strip()
            if not text.startswith("{"):
                return cls._of_label(text)
            with suppress(ValueError, RecursionError):
                value = json.loads(text)
        if not isinstance(value, Mapping):
            raise _no_cell(value)
        return cls(value.get("name", "lstm"), {key: item for key, item in value.items() if key != "name"})

    @classmethod
    def _of_label(cls, text: str) -> CellConfig:
        import yaml

        match = re.fullmatch(r"(.+)\(([^()]*)\)", text)
        if match is None and ("(" not in text or "/" in text):
            return cls(text)
        options: dict[str, Any] = {}
        for item in re.split(r",(?![^\[]*\])", match[2]) if match and match[2] else []:
            key, equals, value = (part.strip() for part in item.partition("="))
            if not equals or not key:
                match = None
                break
            try:
                options[key] = None if value == "None" else read_yaml(value)  # None: as a label prints it
            except yaml.YAMLError:
                options[key] = value
        if match is None:
            raise UserError(f'expected a cell such as gru or "lstm(forget_bias=3)", got {quoted(text)}.')
        return cls(match[1].strip(), options)

    def plain(self) -> str | dict[str, Option]:
        """The inverse of `parse`."""
        return {"name": self.name, **self.options} if self.options else self.name


def _scalar(item: Any, key: str) -> Scalar:
    """A plain value of an option, or of one in its list."""
    name = getattr(item, "name", None) if isinstance(item, Enum) else getattr(item, "__name__", None)
    value = checked(item if name is None else name, f"cell.{key}")
    if not isinstance(value, Scalar):
        raise UserError(f"cell option {key} must be a plain value or a list of them, got {quoted(item)}.")
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST else value


def _no_cell(value: Any) -> UserError:
    return UserError(f"cell must be a name or a mapping with a name, got {quoted(value)}.")


class Job:
    """What `Run` and `Timing` share: plain values and back, and an identity."""

    def to_dict(self) -> dict[str, Any]:
        """Plain nested values, for YAML, JSON and W&B."""
        return to_dict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; raises `UserError` on an unknown key or a value of the wrong type."""
        return from_dict(cls, values)

    @cached_property
    def id(self) -> str:
        """Readable, and unique by the hash of everything that decides the numbers."""
        return self.id_under(PROTOCOL)

    def id_under(self, protocol: int) -> str:
        """The id that this job has, or had, under a version of the protocol."""
        raise NotImplementedError


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


def to_dict(config: Any) -> Any:
    """A tree of dataclasses as plain nested values."""
    if isinstance(config, CellConfig):
        return config.plain()
    if isinstance(config, tuple):
        return [to_dict(item) for item in config]
    if dataclasses.is_dataclass(config):
        return {item.name: to_dict(getattr(config, item.name)) for item in dataclasses.fields(config)}
    return config


def from_dict(cls: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """A dataclass tree from nested values, with every unknown key refused by its dotted name.

    The values are checked by the dataclasses themselves, see `check_fields`.
    """
    what = prefix.rstrip(".") or cls.__name__
    if not isinstance(values, Mapping):
        raise UserError(f"{what} must be a mapping of keys to values, got {quoted(values)}.")
    hints, arguments = hints_of(cls), {}  # type: ignore[arg-type]  # a class is hashable
    for key, value in values.items():
        if not isinstance(key, str):
            raise UserError(f"a key of {what} must be a name, got {quoted(key)}.")
        if key not in hints:
            known = [f"{prefix}{name}" for name in hints]
            raise unknown("key", f"{prefix}{key if key.isidentifier() else quoted(key)}", known)
        arguments[key] = from_dict(hints[key], value, f"{prefix}{key}.") if is_part(hints[key]) else value
    return cls(**arguments)


def check_fields(config: Any, part: str = "") -> None:
    """Check a dataclass's values by its annotations, from its ``__post_init__``; None is allowed where it is default.

    The values become what `check_value` makes of them: a float where an int stands for one.

    Raises:
        UserError: a value of the wrong type, or out of bounds.
    """
    prefix = f"{part}." if part else ""
    defaults = {item.name: item.default for item in dataclasses.fields(config)}
    for name, hint in hints_of(type(config)).items():  # type: ignore[arg-type]
        value = getattr(config, name)
        if value is not None or defaults[name] is not None:
            object.__setattr__(config, name, check_value(value, hint, f"{prefix}{name}"))


def check_value(value: Any, hint: Any, name: str) -> Any:
    """The value, if it is what the annotation says (an int may stand for a float, a list for a tuple).

    Raises:
        UserError: it is not.
    """
    origin, options = get_origin(hint), get_args(hint)
    if hint is CellConfig:
        return CellConfig.parse(value)
    if origin is Annotated:
        value = check_value(value, options[0], name)
        options[1].check(value, name)
        return value
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
            return tuple(check_value(item, options[0], name) for item in value)
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    kind = f"a {hint.__name__}" if is_part(hint) else getattr(hint, "__name__", hint)
    raise UserError(f"{name} must be {kind}, got {quoted(value)}.")


def is_part(hint: Any) -> bool:
    """Whether an annotation is a dataclass with settings of its own."""
    return isinstance(hint, type) and dataclasses.is_dataclass(hint) and hint is not CellConfig


@cache
def hints_of(cls: Any) -> dict[str, Any]:
    """The annotation of each field of a dataclass, in order, with its `Bounds`."""
    hints = get_type_hints(cls, include_extras=True)
    return {item.name: hints[item.name] for item in dataclasses.fields(cls)}
