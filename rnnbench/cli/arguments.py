"""What the verbs' argument parsers share: errors of one sentence, flags from a dataclass's fields, lists of cells."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NoReturn, get_args, get_origin

from rnnbench.config import CellConfig
from rnnbench.config.plain import quoted, read_yaml
from rnnbench.config.values import hints_of, is_part
from rnnbench.errors import UserError, did_you_mean


class Parser(argparse.ArgumentParser):
    """argparse that raises `UserError`, and names the option that was meant.

    Args:
        verb: Of `rnnbench`, with what it does as ``about``.
        json: What ``--json`` prints, where there is that option.
        cell: Whether ``--cell.OPTION VALUE`` is taken for every OPTION; the cell says later which it has.
    """

    def __init__(self, verb: str = "", about: str = "", json: str = "", cell: bool = False, **more: Any) -> None:
        super().__init__(**{"prog": f"rnnbench {verb}", "description": about, "allow_abbrev": False, **more})
        self.cell = cell
        self._negative_number_matcher = re.compile(r"-[\d.]+([eE][-+]?\d+)?$")  # argparse's takes -1e-3 for an option
        if json:
            self.add_argument("--json", action="store_true", help=f"print {json}")

    def error(self, message: str) -> NoReturn:
        text = re.sub(r"\S{200,}", lambda word: f"{word[0][:80]}… ({len(word[0])} characters)", message)
        raise UserError(text if text.endswith("?") else f"{text.rstrip('.')}.")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.cell:
            for flag in {word.partition("=")[0] for word in args if word.startswith("--cell.")}:
                self.add_argument(flag, type=partial(read_flag, hint=None, name=flag))
        arguments, rest = super().parse_known_args(args, namespace)
        if rest:
            wrong = next((word for word in rest if word.startswith("-")), rest[0]).partition("=")[0]
            hint = did_you_mean(wrong, [option for option in self._option_string_actions if option.startswith("--")])
            self.error(f'unknown option "{wrong}".{hint if "mean" in hint else " --help lists the options."}')
        return arguments, rest


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Where results go."""
    parser.add_argument("--out", default="runs", metavar="FOLDER", help="the runs folder (default: runs)")
    parser.add_argument(
        "--wandb",
        choices=["offline", "online", "disabled"],
        help="Weights & Biases: default is WANDB_MODE, else offline (nothing leaves the machine)",
    )


def add_fields(parser: Any, cls: type, *prefixes: str, skip: Sequence[str] = ()) -> None:
    """A flag for each field of a dataclass, described by its docstring; absent from the arguments where not given.

    Values are read by `read_flag` and left for the dataclass to check.

    Args:
        parser: Or a group of one.
        cls: The dataclass; each of its parts becomes a group.
        prefixes: What to put before a field's name; the last one also in the arguments.
        skip: Fields without a flag.
    """
    about = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", inspect.getdoc(cls) or "", re.M)
    helps = {name: " ".join(text.replace("%", "%%").split()) for name, text in about}
    for item in dataclasses.fields(cls):
        if item.name in skip:
            continue
        hint, key = hints_of(cls)[item.name], f"{prefixes[-1]}{item.name}"
        flag: dict[str, Any] = {"dest": key, "default": argparse.SUPPRESS, "help": helps[item.name]}
        flag["type"] = partial(read_flag, hint=hint, name=key)
        if is_part(hint):
            group = parser.add_argument_group(item.name)
            group.add_argument(f"--{key}", metavar="MAPPING", **flag)
            add_fields(group, hint, f"{key}.")
            continue
        if item.default is not None and item.default is not False:
            flag["help"] += f" ({item.default})"
        choices = get_args(hint) if get_origin(hint) is Literal else ("true", "false") if hint is bool else ()
        flag["metavar"] = "|".join(choices) or item.name.upper()
        if hint is bool:
            flag |= {"nargs": "?", "const": True}
        parser.add_argument(*(f"--{prefix}{item.name}" for prefix in prefixes), **flag)


def read_flag(text: str, hint: Any, name: str) -> Any:
    """A flag's value: the text as it is where the setting is a text (but null, where it may be), else read as YAML."""
    import yaml

    kinds = get_args(hint) or (hint,)
    if any(kind is str or isinstance(kind, str) for kind in kinds):
        return None if text == "null" and type(None) in kinds else text
    try:
        return read_yaml(text)
    except yaml.YAMLError:
        raise UserError(f"{name} must be a plain value, got {quoted(text)}.") from None


def cell_list(text: str) -> list[CellConfig]:
    """The cells that a list names, each once; the inverse of joining their labels with commas.

    Raises:
        UserError: something that is neither a name nor a name with options in brackets.
    """
    return list({cell.label: cell for cell in map(CellConfig.parse, split_list(text))}.values())


def split_list(text: str) -> list[str]:
    """What stands between the commas that are outside brackets, each once.

    Raises:
        UserError: nothing does.
    """
    parts = [part.strip() for part in re.split(r",(?![^(]*\))", text)]
    if not all(parts):
        raise UserError(f"expected names separated by commas, got {text!r}.")
    return list(dict.fromkeys(parts))
