"""From the configuration to the data set. Nothing here imports Lightning."""

from __future__ import annotations

import dataclasses
from importlib import import_module

from rnnbench.catalog import DATA_SETS, data_set
from rnnbench.config import DataConfig
from rnnbench.data.source import Source
from rnnbench.errors import UserError


def load(data: DataConfig, seed: int = 0) -> Source:
    """The data set that the configuration names; raises `UserError` where it is unknown, missing or unfit."""
    item = data_set(str(data.name))
    for field in dataclasses.fields(data):
        value = getattr(data, field.name)
        if value != field.default and not item.understands(field.name):
            fit = [one.name for one in DATA_SETS.values() if field.name in one.options]
            raise UserError(
                f"data.{field.name} {value!r} is nothing to {item.name!r}; leave it out, it goes with {', '.join(fit)}."
            )
    module, name = item.source.split(":")
    source: Source = getattr(import_module(module), name).load(data, seed)
    return source
