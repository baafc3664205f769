"""Which cell, and its options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from rnnbench.config.plain import checked, quoted, whole
from rnnbench.errors import UserError

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class CellConfig:
    """Which cell, and the options that its constructor takes: ``lstm`` or ``{name: lstm, forget_bias: 3}``.

    3 and 3.0 are one value, an int here; the cell is given what its constructor declares.
    """

    name: str = "lstm"
    options: Mapping[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        options = self.options
        if not isinstance(self.name, str) or not isinstance(options, Mapping):
            given = {"name": self.name, **options} if isinstance(options, Mapping) else options
            raise UserError(f"cell must be a name or a mapping with a name, got {quoted(given)}.")
        checked(self.name, "cell")
        plain: dict[str, Scalar] = {}
        for key, item in options.items():
            if not isinstance(key, str) or not key.isidentifier():
                raise UserError(f"a cell option must be a name, got {quoted(key)}.")
            plain[key] = whole(checked(item, f"cell.{key}"))
            if not isinstance(plain[key], str | int | float | bool | None):
                raise UserError(f"cell option {key} must be a plain value, got {quoted(item)}.")
        object.__setattr__(self, "options", plain)

    @property
    def label(self) -> str:
        """``lstm`` or ``lstm(forget_bias=3)``: how tables and figures name it."""
        inside = ", ".join(f"{key}={value}" for key, value in sorted(self.options.items()))
        return f"{self.name}({inside})" if inside else self.name

    @classmethod
    def parse(cls, value: str | Mapping[str, Any] | CellConfig) -> CellConfig:
        """From a name, from ``{"name": …, option: …}``, or from itself."""
        if isinstance(value, CellConfig):
            return value
        if isinstance(value, str):
            text = value.strip()
            if not text.startswith("{"):
                return cls(text)
            with suppress(ValueError, RecursionError):
                value = json.loads(text)
        if not isinstance(value, Mapping):
            raise UserError(f"cell must be a name or a mapping with a name, got {quoted(value)}.")
        return cls(value.get("name", "lstm"), {key: item for key, item in value.items() if key != "name"})

    def plain(self) -> str | dict[str, Scalar]:
        """The inverse of `parse`."""
        return {"name": self.name, **self.options} if self.options else self.name
