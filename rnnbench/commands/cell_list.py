"""Several cells in one option, written as tables print them: ``rnn,lstm(forget_bias=3)``."""

from __future__ import annotations

import re

from rnnbench.commands.arguments import read_yaml
from rnnbench.config import CellConfig
from rnnbench.errors import UserError


def cell_list(text: str) -> list[CellConfig]:
    """The cells that a list names, each once; the inverse of joining their labels with commas.

    Raises:
        UserError: something that is neither a name nor a name with options in brackets.
    """
    return list({cell.label: cell for cell in map(_cell, split_list(text))}.values())


def split_list(text: str) -> list[str]:
    """What stands between the commas that are outside brackets, each once.

    Raises:
        UserError: nothing does.
    """
    parts = [part.strip() for part in re.split(r",(?![^(]*\))", text)]
    if not all(parts):
        raise UserError(f"expected names separated by commas, got {text!r}.")
    return list(dict.fromkeys(parts))


def _cell(text: str) -> CellConfig:
    found = re.fullmatch(r"([^()]+?)(?:\((.*)\))?", text)
    if found is None:
        raise _not_a_cell(text)
    name, inside = found.groups()
    options = {}
    for item in (inside or "").split(",") if inside else []:
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            raise _not_a_cell(text)
        options[key.strip()] = _value(value.strip())
    return CellConfig.parse({"name": name, **options})


def _value(text: str) -> object:
    import yaml

    if text == "None":  # as a label prints it
        return None
    try:
        return read_yaml(text)
    except yaml.YAMLError:
        return text


def _not_a_cell(text: str) -> UserError:
    return UserError(f'expected a cell such as gru or "lstm(forget_bias=3)", got {text!r}.')
