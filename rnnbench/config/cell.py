"""Which cell, and its options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from rnnbench.errors import UserError

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class CellConfig:
    """Which cell, and the options that its constructor takes: ``lstm`` or ``{name: lstm, forget_bias: 3.0}``."""

    name: str = "lstm"
    options: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """``lstm`` or ``lstm(forget_bias=3.0)``: how tables and figures name it."""
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
            with suppress(ValueError):
                value = json.loads(text)
        if not isinstance(value, Mapping) or not isinstance(value.get("name", "lstm"), str):
            raise UserError(f"cell must be a name or a mapping with a name, got {value!r}.")
        options = {str(key): item for key, item in value.items() if key != "name"}
        for key, item in options.items():
            if not isinstance(item, str | int | float | bool | None):
                raise UserError(f"cell option {key} must be a plain value, got {item!r}.")
        return cls(value.get("name", "lstm"), options)

    def plain(self) -> str | dict[str, Scalar]:
        """The inverse of `parse`."""
        return {"name": self.name, **self.options} if self.options else self.name
