"""What the verbs' argument parsers share: errors of one line, and the options that mean the same everywhere."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from typing import Any, NoReturn

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
    text = " ".join(message.split())
    found = re.search(r"unrecognized arguments: (.*)", text, re.IGNORECASE)
    if not found:
        return text.rstrip(".") + "."
    wrong = next((word for word in found[1].split() if word.startswith("-")), found[1]).split("=")[0]
    hint = did_you_mean(wrong, [option for option in options if option.startswith("--")])
    return f'unknown option "{wrong}".' + (hint if "mean" in hint else " --help lists the options.")
