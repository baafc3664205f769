"""What the verbs' argument parsers share: errors of one line, and the options that mean the same everywhere."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from rnnbench.config import CellConfig
from rnnbench.config.plain import quoted
from rnnbench.errors import UserError, did_you_mean, told

#: Keys that a mapping in a YAML file may have.
KEYS = 1000


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


def read_scalar(key: str, text: str) -> Any:
    """A flag's value as YAML reads it.

    Raises:
        UserError: it is none.
    """
    import yaml

    try:
        return read_yaml(text)
    except yaml.YAMLError:
        raise UserError(f"{key} must be a plain value, got {quoted(text)}.") from None


def read_yaml(text: str) -> Any:
    """YAML as PyYAML reads it, but for 2e-3, which is the number that it looks like and not a text.

    A key that is given twice is refused, and so is what expands to more than a config can hold.

    Raises:
        yaml.YAMLError: whatever is wrong with it.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def flatten_mapping(self, node: Any) -> None:
            seen: set[str] = set()
            for key, _ in node.value if not hasattr(node, "flat") else ():
                if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                    if key.value in seen:
                        raise yaml.constructor.ConstructorError(
                            None, None, f"{quoted(key.value)} is given twice", key.start_mark
                        )
                    seen.add(key.value)
            super().flatten_mapping(node)
            node.flat = True
            if len(node.value) > KEYS:  # merges of merges: each level multiplies
                raise yaml.constructor.ConstructorError(None, None, "too many keys", node.start_mark)

    number = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError:
        raise
    except Exception as error:  # "2026-13-45", "!!bool maybe", a thousand brackets: PyYAML raises whatever comes
        raise yaml.YAMLError(told(error)) from None
