"""What the verbs' argument parsers share: errors of one line, and the options that mean the same everywhere."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from rnnbench.config import CellConfig
from rnnbench.config.yaml_files import read_scalar, read_yaml
from rnnbench.errors import UserError, did_you_mean


class Parser(argparse.ArgumentParser):
    """argparse that raises `UserError` and suggests the option that was meant."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise UserError(readable(message, self._option_string_actions))


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Where results go."""
    parser.add_argument("--out", default="runs", metavar="FOLDER", help="the runs folder (default: runs)")
    parser.add_argument(
        "--wandb",
        choices=["offline", "online", "disabled"],
        help="Weights & Biases: default is WANDB_MODE, else offline (nothing leaves the machine)",
    )


def readable(message: str, options: Iterable[str]) -> str:
    """An argument parser's complaint as one sentence, with the nearest option where one is unknown."""
    text = re.sub(r"\S{200,}", lambda long: f"{long[0][:80]}… ({len(long[0])} characters)", " ".join(message.split()))
    found = re.search(r"unrecognized arguments: (.*)", text, re.IGNORECASE)
    if not found:
        return text if text.endswith("?") else text.rstrip(".") + "."
    wrong = next((word for word in found[1].split() if word.startswith("-")), found[1]).split("=")[0]
    hint = did_you_mean(wrong, [option for option in options if option.startswith("--")])
    return f'unknown option "{wrong}".' + (hint if "mean" in hint else " --help lists the options.")


def split_cell(argv: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Take ``--cell NAME`` and ``--cell.OPTION VALUE`` out: which options there are depends on the cell."""
    rest: list[str] = []
    cell: dict[str, Any] = {}
    words = iter(argv)
    for word in words:
        key, equals, value = word.partition("=")
        if key != "--cell" and not key.startswith("--cell."):
            rest.append(word)
            continue
        if not equals:
            try:
                value = next(words)
            except StopIteration:
                raise UserError(f"{key} needs a value.") from None
        if key == "--cell":
            cell.update(CellConfig.parse(value).options, name=CellConfig.parse(value).name)
        else:
            cell[key.removeprefix("--cell.")] = read_scalar(key, value)
    return rest, cell


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
