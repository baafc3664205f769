"""A cell's options: from plain values to what its constructor declares, and from its defaults to plain values."""

from __future__ import annotations

import collections.abc
import inspect
from collections.abc import Callable
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import torch
from torch.nn import functional as F

from rnnbench.config import Option, check_value
from rnnbench.errors import UserError, unknown


def read_option(value: Option, hint: Any, name: str) -> Any:
    """What a constructor's annotation says, from a plain value: an enum's member and a function by their names.

    A function is one of torch's, or of torch.nn.functional's: ``tanh``, ``gelu``. A list is one of whatever the
    annotation says of its items.

    Raises:
        UserError: another type, or a name that there is not.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        return read_option(value, next(kind for kind in arguments if kind is not NoneType), name)
    if hint is Callable or origin is collections.abc.Callable:
        return _function(value, name)
    if isinstance(hint, type) and issubclass(hint, Enum):
        members = {key: member for member in hint for key in (member.name, member.value)}
        if isinstance(value, list) or value not in members:
            raise UserError(f"{name} must be one of {', '.join(member.name for member in hint)}, got {value!r}.")
        return members[value]
    if origin in (tuple, list, collections.abc.Sequence):
        if not isinstance(value, list):
            raise UserError(f"{name} must be a list, as in [1, 2], got {value!r}.")
        kinds = arguments if origin is tuple and arguments[-1] is not ... else (arguments[0],) * len(value)
        if len(kinds) != len(value):
            raise UserError(f"{name} must be a list of {len(kinds)}, got {value!r}.")
        items = [read_option(item, kind, name) for item, kind in zip(value, kinds, strict=True)]
        return items if origin is list else tuple(items)
    return check_value(value, hint, name)


def _function(value: Option, name: str) -> Callable[..., Any]:
    known = {key: item for module in (F, torch) for key, item in vars(module).items() if _is_function(key, item)}
    if not isinstance(value, str) or value not in known:
        raise unknown(f"function of torch or torch.nn.functional for {name}", str(value), known)
    function: Callable[..., Any] = known[value]
    return function


def _is_function(name: str, item: Any) -> bool:
    return callable(item) and not isinstance(item, type) and not name.startswith("_")


def plain_default(default: Any) -> Any:
    """A constructor's default as it would be given: plain values, which JSON can hold."""
    if default is inspect.Parameter.empty:
        return "required"
    if isinstance(default, list | tuple):
        return [plain_default(item) for item in default]
    if default is None or (isinstance(default, bool | int | float | str) and not isinstance(default, Enum)):
        return default
    return str(getattr(default, "name", None) or getattr(default, "__name__", default))
